import { describe, expect, it } from "vitest";
import { Findings } from "../../src/audit/findings.ts";
import { LogCoverage } from "../../src/audit/log-coverage.ts";
import type { RowFinding } from "../../src/sink/table-comparison.ts";

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
		expect([found.counts.ahead, found.verified]).toEqual([1, true]);
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
		expect(found.verified).toBe(false);
	});

	it("are held back in bounded number: more count as ahead", async () => {
		const found = findings(2);
		for (const offset of [70, 71, 72, 73]) found.found(extra(offset));
		await found.judgeHeld(async () => 60);
		expect(found.counts).toMatchObject({ ahead: 2, extra: 2 });
	});
});
