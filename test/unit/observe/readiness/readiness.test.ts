import { describe, expect, it } from "vitest";
import { Readiness } from "../../../../src/observe/readiness.ts";

describe("readiness", () => {
	it("is ready while nobody says otherwise", () => {
		const readiness = new Readiness({ now: () => 0 });
		expect(readiness.report()).toEqual({ ready: true });
	});

	it("keeps the time of a reason's first occurrence and takes the newest message", () => {
		let now = Date.parse("2026-01-01T00:00:00Z");
		const readiness = new Readiness({ now: () => now });
		readiness.set("database", "connection refused");
		now += 60_000;
		readiness.set("database", "wrong password");
		expect(readiness.report()).toEqual({
			ready: false,
			reasons: [{ code: "database", topic: null, partition: null, message: "wrong password", since: "2026-01-01T00:00:00.000Z" }],
		});
	});

	it("begins anew after a reason was cleared", () => {
		let now = 0;
		const readiness = new Readiness({ now: () => now });
		readiness.set("draining", "stop");
		readiness.clear("draining");
		now = 1000;
		readiness.set("draining", "stop");
		expect(readiness.report()).toMatchObject({ reasons: [{ since: "1970-01-01T00:00:01.000Z" }] });
	});

	it("tells reasons in the order in which they began, those that a part has in its state among them", () => {
		let now = 2_000;
		const sinceMs = [1_000, 3_000];
		const problems = () => sinceMs.map((each) => ({ code: "thread_stuck" as const, where: null, message: `since ${each}`, sinceMs: each }));
		const readiness = new Readiness({ now: () => now }, problems);
		readiness.set("database", "first");
		now = 4_000;
		readiness.set("not_in_group", "last");
		readiness.set("database", "first, still");
		const report = readiness.report();
		expect(report.ready ? [] : report.reasons.map(({ message }) => message)).toEqual(["since 1000", "first, still", "since 3000", "last"]);
	});

	it("holds one reason per code and partition, and forgets a released partition's", () => {
		const readiness = new Readiness({ now: () => 0 });
		readiness.set("parked", "a", { topic: "orders", partition: 1 });
		readiness.set("crash_loop", "b", { topic: "orders", partition: 1 });
		readiness.set("parked", "c", { topic: "orders", partition: 11 });
		readiness.set("parked", "d", { topic: "others", partition: 1 });
		readiness.set("not_in_group", "broker away");
		readiness.clearPartition({ topic: "orders", partition: 1 });
		expect(readiness.report()).toMatchObject({
			ready: false,
			reasons: [
				{ code: "parked", topic: "orders", partition: 11 },
				{ code: "parked", topic: "others", partition: 1 },
				{ code: "not_in_group", topic: null, partition: null },
			],
		});
		readiness.clear("parked", { topic: "orders", partition: 11 });
		readiness.clear("parked", { topic: "others", partition: 1 });
		readiness.clear("not_in_group");
		expect(readiness.report()).toEqual({ ready: true });
	});
});
