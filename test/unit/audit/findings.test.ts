import { describe, expect, it } from "vitest";
import { LogCoverage } from "../../../src/audit/log/log-coverage.ts";
import { Findings } from "../../../src/audit/verification/findings.ts";
import type { RowFinding } from "../../../src/sink/comparison/table-comparison.ts";

const range = {
	topic: "t",
	partition: 0,
	topicId: null,
	start: 0,
	startIs: "recorded" as const,
	low: 0,
	high: 60,
	isNoted: false,
	committed: 50,
	from: 0,
	to: 50,
	skipped: [],
	disbelieved: [],
};

function findings(maxHeld = 10): Findings {
	return new Findings({ coverage: new LogCoverage([range], []), onlyTopic: "t", maxDifferences: 10, maxHeld });
}

function extra(offset: number, kind: RowFinding["kind"] = "extra"): RowFinding {
	const stored = { topic: null, partition: 0, offset, timestamp: 1, deleted: false };
	return { kind, table: "events", id: `row of ${offset}`, expected: null, stored, columns: [], sqlstate: null };
}

describe("findings of rows past the end", () => {
	it("are ahead where the log has gone on meanwhile, and differences where it ends before them", async () => {
		const found = findings();
		for (const offset of [55, 60, 79, 80]) found.found(extra(offset));
		found.found(extra(999_999, "newer"));
		expect([found.counts.ahead, found.differing]).toEqual([1, 0]);
		const asked: unknown[] = [];
		await found.judgeHeld(async (partition) => {
			asked.push(partition);
			return 80;
		});
		expect(asked).toEqual([{ topic: "t", partition: 0 }]);
		expect(found.counts).toMatchObject({ ahead: 3, extra: 1, newer: 1 });
		expect(found.differences.map(({ kind, ...each }) => [kind, "id" in each && each.id])).toEqual([
			["extra", "row of 80"],
			["newer", "row of 999999"],
		]);
		expect(found.differing).toBe(2);
	});

	it("are held back in bounded number: more count as ahead", async () => {
		const found = findings(2);
		for (const offset of [70, 71, 72, 73]) found.found(extra(offset));
		await found.judgeHeld(async () => 60);
		expect(found.counts).toMatchObject({ ahead: 2, extra: 2 });
	});
});

describe("ids that were ahead", () => {
	it("count as what they turn out to be when they are compared again", async () => {
		const found = findings();
		for (const offset of [50, 51, 52, 53, 75]) found.found(extra(offset, offset === 50 ? "newer" : "extra"));
		await found.judgeHeld(async () => 80);
		expect([found.counts.ahead, found.comingBack, found.isAhead("events", "row of 75"), found.isAhead("other", "row of 75")]).toEqual([
			5,
			5,
			true,
			false,
		]);
		found.count("matched", "events", ["row of 50", "never ahead"]);
		found.count("purged", "events", ["row of 51"]);
		found.found({ ...extra(20), id: "row of 52", kind: "different" });
		// Still ahead.
		found.found({ ...extra(58), id: "row of 53", kind: "newer" });
		expect(found.counts).toMatchObject({ ahead: 2, matched: 2, purged: 1, different: 1 });
		expect([found.comingBack, found.isAhead("events", "row of 50")]).toEqual([2, false]);
	});
});

describe("a verification", () => {
	it.each(["missing", "older", "newer", "different", "extra", "unwritable"] as const)(
		"is none where only a row that is %s was found",
		(kind) => {
			const found = findings();
			expect(found.differing).toBe(0);
			found.found({ ...extra(3, kind), stored: kind === "newer" || kind === "extra" ? extra(3).stored : null });
			expect([found.differing, found.counts[kind], found.differences.length]).toEqual([1, 1, 1]);
		},
	);

	it("is none where only a message failed, or an offset is committed past the end", () => {
		const [failing, beyond] = [findings(), findings()];
		const message = { kind: "failed", topic: "t", partition: 0, offset: 3, reason: "poison", error: "boom" } as const;
		const offset = { kind: "beyond", topic: "t", partition: 0, offset: 70, high: 60 } as const;
		failing.failed(message);
		beyond.beyond(offset);
		expect([failing.differing, failing.counts.failed, failing.differences]).toEqual([1, 1, [message]]);
		expect([beyond.differing, beyond.counts.beyond, beyond.differences]).toEqual([1, 1, [offset]]);
	});

	it("counts all differences and keeps the first", () => {
		const found = new Findings({ coverage: new LogCoverage([range], []), onlyTopic: "t", maxDifferences: 2 });
		for (let offset = 1; offset <= 5; offset++) found.found({ ...extra(offset, "missing"), stored: null });
		expect([found.differing, found.differences.map((each) => "id" in each && each.id)]).toEqual([5, ["row of 1", "row of 2"]]);
	});
});

describe("findings of an interrupted verification", () => {
	const failure = (offset: number, partition = 0) =>
		({ kind: "failed", topic: "t", partition, offset, reason: "poison", error: "boom" }) as const;

	it("count a message once that fails again, because it is handed over again", () => {
		const found = findings();
		found.restore(7, [failure(3), failure(4)]);
		for (const again of [failure(3), failure(3, 1), failure(5)]) found.failed(again);
		expect(found.counts.failed).toBe(9);
		expect(found.differences).toEqual([failure(3), failure(4), failure(3, 1), failure(5)]);
	});

	it("keep no more differences than it may, and know all that are restored", () => {
		const found = new Findings({ coverage: new LogCoverage([range], []), onlyTopic: "t", maxDifferences: 2 });
		found.restore(3, [failure(1), failure(2), failure(3)]);
		found.failed(failure(3));
		expect([found.counts.failed, found.differences]).toEqual([3, [failure(1), failure(2)]]);
	});
});
