import { describe, expect, it } from "vitest";
import { LogCoverage } from "../../src/audit/log-coverage.ts";

const partition = { topic: "t", partition: 0 };

function coverage(over: object = {}, letters: number[] = []): LogCoverage {
	const range = { ...partition, start: 0, startIs: "recorded" as const, low: 10, committed: 50, from: 10, to: 50, ...over };
	return new LogCoverage(
		[range],
		letters.map((offset) => ({ ...partition, offset, reason: "poison", rows: [], state: offset % 2 ? "skipped" : "open" })),
	);
}

function standings(covered: LogCoverage, offsets: number[]): string[] {
	return offsets.map((offset) => covered.standingOf({ ...partition, offset }));
}

describe("what of the log was covered", () => {
	it("tells a row's standing by where its message is", () => {
		const covered = coverage({}, [30]);
		covered.read(partition, [10, 11, 12, 20, 21, 30, 31]);
		covered.finished();
		expect(standings(covered, [-1, 5, 10, 13, 19, 20, 30, 31, 32, 49, 50, 99])).toEqual([
			"inside",
			"unchecked",
			"inside",
			"unchecked",
			"unchecked",
			"inside",
			"lettered",
			"inside",
			"unchecked",
			"unchecked",
			"ahead",
			"ahead",
		]);
		expect(covered.absentOffsets).toBe(10 + 7 + 8 + 18);
	});

	it("knows nothing of partitions that are not covered: such a row is nobody's", () => {
		expect(coverage().standingOf({ topic: "t", partition: 7, offset: 3 })).toBe("inside");
	});

	it("can't check rows of topics that are not looked at: deleted, or not configured any more", () => {
		expect(coverage().standingOf({ topic: "gone", partition: 0, offset: 3 })).toBe("unchecked");
	});

	it("doesn't count what the group was never to read", () => {
		const covered = coverage({ start: 20, from: 20 });
		covered.read(
			partition,
			Array.from({ length: 30 }, (_, i) => 20 + i),
		);
		covered.finished();
		expect(covered.absentOffsets).toBe(0);
		expect(standings(covered, [15, 20])).toEqual(["unchecked", "inside"]);
	});

	it("has nothing to say where nothing is committed", () => {
		const covered = coverage({ committed: null, to: 10 });
		expect(standings(covered, [3, 10, 11])).toEqual(["unchecked", "ahead", "ahead"]);
	});

	it("counts letters of what was looked at by state", () => {
		expect(coverage({}, [11, 12, 14, 60]).letters).toEqual({ open: 2, discarded: 0, skipped: 1 });
	});
});
