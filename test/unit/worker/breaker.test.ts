import { describe, expect, it } from "vitest";
import { Breaker } from "../../../src/worker/outcomes/breaker.ts";
import { rowsFor } from "../../support/fakes/fake-thread.ts";
import { settle } from "../../support/fakes/manual-clock.ts";
import { WorkerHarness } from "../../support/fakes/worker-harness.ts";

const limits = { share: 0.1, minMessages: 100, withinMs: 60_000, consecutive: 5 };

describe("the breaker", () => {
	it("opens before the last of so many letters in a row", () => {
		const breaker = new Breaker(limits);
		expect([1, 2, 3, 4, 5].map(() => breaker.admits(0))).toEqual([true, true, true, true, false]);
		expect(breaker.reason).toBe("breaker: 5 dead letters in a row");
	});

	it("begins a new row with each message that goes through", () => {
		const breaker = new Breaker(limits);
		for (let i = 0; i < 20; i++) {
			expect(breaker.admits(0)).toBe(true);
			breaker.passed(20, 0);
		}
	});

	it("opens above its share, once there are enough messages in the period", () => {
		const breaker = new Breaker({ ...limits, consecutive: 0 });
		let letters = 0;
		for (let i = 0; i < 9; i++) {
			breaker.passed(1, 0);
			if (breaker.admits(0)) letters++;
		}
		expect(letters).toBe(9);
		breaker.passed(81, 0);
		// 10 of 100 is the share, 11 of 101 is above it.
		expect([breaker.admits(0), breaker.admits(0)]).toEqual([true, false]);
		expect(breaker.reason).toContain("11 of the last 101 messages");
	});

	it("forgets what is older than its period", () => {
		const breaker = new Breaker({ ...limits, consecutive: 0 });
		breaker.passed(1_000, 0);
		for (let i = 0; i < 50; i++) expect(breaker.admits(0)).toBe(true);
		// Of the 1,000 and the 50 nothing counts any more: they would make up for ten times as many letters.
		breaker.passed(90, 60_000);
		const admitted = Array.from({ length: 12 }, () => breaker.admits(60_000));
		expect(admitted.indexOf(false)).toBe(10);
		expect(breaker.reason).toContain("11 of the last 101 messages");
	});

	it("and counts what is still in it, in steps of a tenth", () => {
		const breaker = new Breaker({ ...limits, consecutive: 0 });
		breaker.passed(90, 0);
		for (let i = 0; i < 10; i++) expect(breaker.admits(5_999)).toBe(true);
		breaker.passed(1, 59_999);
		expect([breaker.admits(59_999), breaker.reason]).toEqual([false, expect.stringContaining("11 of the last 102 messages")]);
	});

	it("lets one message decide after a try: closed by one that passes, open again by a letter", () => {
		const breaker = new Breaker({ ...limits, consecutive: 2 });
		breaker.admits(0);
		expect(breaker.admits(0)).toBe(false);
		breaker.tryAgain();
		expect([breaker.onTrial, breaker.reason, breaker.admits(0)]).toEqual([true, null, false]);
		expect(breaker.reason).not.toBeNull();
		breaker.tryAgain();
		breaker.passed(1, 0);
		expect([breaker.onTrial, breaker.admits(0)]).toEqual([false, true]);
	});

	it("can be turned off", () => {
		const breaker = new Breaker({ share: 1, minMessages: 1, withinMs: 1_000, consecutive: 0 });
		for (let i = 0; i < 500; i++) expect(breaker.admits(i)).toBe(true);
	});
});

describe("a partition with too many dead letters", () => {
	const breaker = { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 3 };
	const rejected = (messages: readonly number[]) => ({ rejected: messages.map((message) => ({ message, why: "no" })) });

	it("parks before the message that opened the breaker is dead-lettered; no timer tries it again", async () => {
		const h = new WorkerHarness({ breaker });
		await h.running(6);
		await h.act(() => h.thread.handled(rejected([0, 1, 2, 3, 5])));
		expect(h.letters.map(({ offset }) => offset)).toEqual([0, 1]);
		expect(h.finished).toEqual([4, 0, 1]);
		expect([h.worker.state, h.worker.breakerOpen]).toMatchObject([
			{ name: "parked", reason: expect.stringMatching(/^breaker: 3 dead letters in a row, the last at orders\/2 offset 2:/) },
			true,
		]);
		await h.clock.advance(3_600_000);
		expect(h.runs).toEqual(["0 1 2 3 4 5"]);
	});

	it("says which letter would have been the last and why, of the handler's own words none, and what ends it", async () => {
		const reasons: string[] = [];
		const told = async (h: WorkerHarness) => {
			expect(h.worker.troubles).toMatchObject([{ code: "parked" }]);
			reasons.push(h.worker.troubles[0]?.message ?? "");
		};
		const rejects = new WorkerHarness({ breaker });
		await rejects.running(3);
		await rejects.act(() => rejects.thread.handled({ rejected: [0, 1, 2].map((message) => ({ message, why: "Mrs Smith" })) }));
		await told(rejects);
		const refused = new WorkerHarness({ breaker });
		await refused.running(3);
		await refused.act(() => refused.thread.handled({ blocks: [rowsFor([0, 1, 2])] }));
		const fault = { table: "events", rowId: "Mrs Smith", sqlstate: "23514", message: "SQLSTATE 23514: constraint adults" };
		await refused.act(() => {
			for (const message of [0, 1, 2]) refused.submissions[0]?.refused(message, fault);
		});
		await told(refused);
		const poison = new WorkerHarness({ breaker: { ...breaker, consecutive: 1 }, maxAttempts: 1 });
		await poison.running(1);
		await poison.act(() => poison.thread.threw("x is not a function"));
		await told(poison);
		const ends = "; correct the cause, then save the handler's file or `pockaffe resume orders 2`: then one message decides";
		expect(reasons).toEqual([
			`breaker: 3 dead letters in a row, the last at orders/2 offset 2: rejected by ./handler.mjs${ends}`,
			`breaker: 3 dead letters in a row, the last at orders/2 offset 2: row_fault, events refuses its row with SQLSTATE 23514${ends}`,
			`breaker: 1 dead letters in a row, the last at orders/2 offset 0: poison, ./handler.mjs: x is not a function${ends}`,
		]);
	});

	it("stays closed for letters that others lie between, though the database has none of their rows yet", async () => {
		const h = new WorkerHarness({ breaker: { share: 0.5, minMessages: 4, withinMs: 60_000, consecutive: 3 } });
		await h.running(12);
		const bad = [2, 5, 8, 11];
		const good = [0, 1, 3, 4, 6, 7, 9, 10];
		await h.act(() => h.thread.handled({ ...rejected(bad), blocks: [rowsFor(good)] }));
		expect(h.letters.map(({ offset }) => offset)).toEqual(bad);
		expect(h.worker.breakerOpen).toBe(false);
		await h.act(() => h.submissions[0]?.settledAll(good));
		expect(h.finished.slice().sort((left, right) => left - right)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
	});

	it("lets one message decide when the file changes, then goes on in order", async () => {
		const h = new WorkerHarness({ breaker });
		await h.running(5);
		await h.act(() => h.thread.handled(rejected([0, 1, 2, 3])));
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.ready());
		expect(h.runs.at(-1)).toBe("2");
		await h.act(() => h.thread.handled());
		expect(h.runs.at(-1)).toBe("3");
		await h.act(() => h.thread.handled());
		expect(h.finished.slice().sort()).toEqual([0, 1, 2, 3, 4]);
	});

	it("parks again when the one message fails too, and no letter is made", async () => {
		const h = new WorkerHarness({ breaker });
		await h.running(3);
		await h.act(() => h.thread.handled(rejected([0, 1, 2])));
		await h.act(() => h.worker.resume());
		expect(h.runs.at(-1)).toBe("2");
		await h.act(() => h.thread.handled(rejected([2])));
		expect([h.worker.state.name, h.letters.length]).toEqual(["parked", 2]);
	});

	it("counts rows that the database refuses, and a row that goes in on trial closes it", async () => {
		const h = new WorkerHarness({ breaker });
		const fault = { table: "events", rowId: "x", sqlstate: "22003", message: "out of range" };
		await h.running(4);
		await h.act(() => h.thread.handled({ blocks: [rowsFor([0, 1, 2, 3])] }));
		await h.act(() => [0, 1, 2, 3].map((message) => h.submissions[0]?.refused(message, fault)));
		expect([h.letters.length, h.worker.state.name]).toEqual([2, "parked"]);
		await h.act(() => h.worker.resume());
		await h.act(() => h.thread.handled({ blocks: [rowsFor([2])] }));
		expect(h.worker.breakerOpen).toBe(false);
		await h.act(() => h.submissions[1]?.settled(2));
		expect(h.finished).toEqual([0, 1, 2]);
		expect(h.runs.at(-1)).toBe("3");
	});

	describe("on trial, with rows of before still in flight", () => {
		const fault = { table: "events", rowId: "x", sqlstate: "22003", message: "out of range" };
		const onTrial = async () => {
			const h = new WorkerHarness({ breaker });
			await h.running(7);
			await h.act(() => h.thread.handled({ ...rejected([0, 1, 2]), blocks: [rowsFor([3, 4, 5])] }));
			expect([h.worker.state.name, h.letters.length, h.finished]).toEqual(["parked", 2, [6, 0, 1]]);
			await h.act(() => h.worker.resume());
			expect(h.runs.at(-1)).toBe("2");
			return h;
		};

		it("is not decided by one of them that goes in", async () => {
			const h = await onTrial();
			await h.act(() => h.submissions[0]?.settledAll([3, 4]));
			await h.act(() => h.submissions[0]?.settled(5));
			await h.act(() => h.thread.handled(rejected([2])));
			expect([h.worker.state.name, h.letters.length, h.worker.breakerOpen]).toEqual(["parked", 2, true]);
		});

		it("is not decided by one of them that went in before it began", async () => {
			const h = new WorkerHarness({ breaker });
			await h.running(7);
			await h.act(() => h.thread.handled({ ...rejected([0, 1, 2]), blocks: [rowsFor([3, 4, 5])] }));
			await h.act(() => h.submissions[0]?.settledAll([3, 4]));
			await h.act(() => h.worker.resume());
			await h.act(() => h.thread.handled(rejected([2])));
			expect([h.worker.state.name, h.letters.length, h.worker.breakerOpen]).toEqual(["parked", 2, true]);
		});

		it("is not decided by one of them that is refused: it waits, and is handled again when the trial went well", async () => {
			const h = await onTrial();
			await h.act(() => h.submissions[0]?.refused(4, fault));
			expect([h.worker.state.name, h.worker.breakerOpen]).toEqual(["running", false]);
			await h.act(() => h.thread.handled());
			expect([h.worker.breakerOpen, h.finished, h.runs.at(-1)]).toEqual([false, [6, 0, 1, 2], "4"]);
			await h.act(() => h.thread.handled({ blocks: [rowsFor([4])] }));
			await h.act(() => h.submissions[1]?.refused(4, fault));
			expect(h.letters.map(({ offset }) => offset)).toEqual([0, 1, 4]);
		});

		it("waits for a person again, with what was refused meanwhile, when the one message fails", async () => {
			const h = await onTrial();
			await h.act(() => h.submissions[0]?.refused(4, fault));
			await h.act(() => h.thread.handled(rejected([2])));
			expect([h.worker.state.name, h.letters.length]).toEqual(["parked", 2]);
			await h.act(() => h.worker.resume());
			await h.act(() => h.thread.handled());
			await h.act(() => h.thread.handled());
			expect([h.runs.slice(-2), h.finished]).toEqual([
				["2", "4"],
				[6, 0, 1, 2, 4],
			]);
		});
	});

	it("counts poison, and is not waited for by a drain", async () => {
		const h = new WorkerHarness({ breaker: { ...breaker, consecutive: 1 }, maxAttempts: 1 });
		await h.running(1);
		await h.act(() => h.thread.threw());
		expect([h.letters, h.worker.state.name]).toEqual([[], "parked"]);
		await h.worker.drain("shutdown", () => false);
		await h.worker.stop("shutdown");
		await settle();
		expect(h.finished).toEqual([]);
	});
});
