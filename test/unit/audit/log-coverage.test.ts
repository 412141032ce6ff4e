import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { type CoveredPartition, LogCoverage } from "../../../src/audit/log/log-coverage.ts";
import { GapMemory, OffsetGaps } from "../../../src/audit/log/offset-gaps.ts";
import { seededRandom } from "../../../src/core/random.ts";

/** What is measured is what is held, not what waits to be collected. */
function collectGarbage(): void {
	setFlagsFromString("--expose-gc");
	(runInNewContext("gc") as () => void)();
}

const partition = { topic: "t", partition: 0 };

function coverage(over: object = {}, letters: number[] = []): LogCoverage {
	const range = {
		...partition,
		topicId: null,
		start: 0,
		startIs: "recorded" as const,
		low: 10,
		high: 60,
		isNoted: false,
		committed: 50,
		from: 10,
		to: 50,
		skipped: [],
		disbelieved: [],
		...over,
	};
	return new LogCoverage(
		[range],
		letters.map((offset) => ({
			...partition,
			offset,
			topicId: null,
			timestamp: 1,
			reason: "poison",
			rows: [],
			rowsLeftOut: 0,
			state: offset % 2 ? "skipped" : offset % 3 ? "open" : "discarded",
		})),
	);
}

function standings(covered: LogCoverage, offsets: number[]): string[] {
	return offsets.map((offset) => covered.standingOf({ ...partition, offset, timestamp: 1 }));
}

describe("what of the log was covered", () => {
	it("tells a row's standing by where its message is", () => {
		const covered = coverage({}, [30]);
		covered.read(partition, [10, 11, 12, 20, 21, 30, 31]);
		covered.finished();
		expect(standings(covered, [-1, 5, 10, 13, 19, 20, 30, 31, 32, 49, 50, 59, 60, 99])).toEqual([
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
			"past",
			"past",
		]);
		expect(covered.absentOffsets).toBe(10 + 7 + 8 + 18);
	});

	it("expects nothing of what the group passed over, and says how much that is", () => {
		const covered = coverage({
			skipped: [
				{ from: 0, to: 12, reason: "log_begins_after" },
				{ from: 20, to: 25, reason: "offsets_set" },
			],
		});
		covered.read(
			partition,
			Array.from({ length: 40 }, (_, index) => 10 + index),
		);
		covered.finished();
		expect(standings(covered, [10, 11, 12, 19, 20, 24, 25])).toEqual([
			"unchecked",
			"unchecked",
			"inside",
			"inside",
			"unchecked",
			"unchecked",
			"inside",
		]);
		expect([11, 12, 20, 25].map((offset) => covered.isPassedOver(partition, offset))).toEqual([true, false, true, false]);
		expect(covered.passedOver).toBe(17);
	});

	it("knows nothing of partitions that are not covered: such a row is nobody's", () => {
		expect(coverage().standingOf({ topic: "t", partition: 7, offset: 3, timestamp: 1 })).toBe("inside");
	});

	it("can't check rows of topics that are not looked at: deleted, or not configured any more", () => {
		expect(coverage().standingOf({ topic: "gone", partition: 0, offset: 3, timestamp: 1 })).toBe("unchecked");
	});

	it("takes a row of a topic that nobody ever read for nobody's", () => {
		const covered = new LogCoverage(coverage().ranges, [], { isKnown: (topic) => topic !== "never" });
		expect(["never", "gone"].map((topic) => covered.standingOf({ topic, partition: 0, offset: 3, timestamp: 1 }))).toEqual([
			"inside",
			"unchecked",
		]);
	});

	it("lets a letter stand for a row of its message, and for no other that has its place", () => {
		const letters = ["poison", "rejected", "row_fault", "future_timestamp", "process_died", "timeout"].map((reason, index) => ({
			...partition,
			offset: 20 + index,
			topicId: null,
			timestamp: 1,
			reason,
			rows: [],
			rowsLeftOut: 0,
			state: "open",
		}));
		const covered = new LogCoverage(coverage().ranges, letters);
		covered.read(
			partition,
			Array.from({ length: 40 }, (_, index) => 10 + index),
		);
		covered.finished();
		const at = (offset: number, isOptional: boolean) => covered.standingOf({ ...partition, offset, timestamp: 1 }, isOptional);
		const [poison, rejected, refused, future, died, timeout] = [20, 21, 22, 23, 24, 25];
		expect([rejected, refused, future].map((offset) => [at(offset as number, false), at(offset as number, true)])).toEqual(
			Array.from({ length: 3 }, () => ["inside", "lettered"]),
		);
		// What the handler failed at is not handed to it again: whose row it is can't be known.
		expect([poison, died, timeout].map((offset) => at(offset as number, false))).toEqual(["lettered", "lettered", "lettered"]);
	});

	it("goes on to later ends with the letters of then", () => {
		const covered = coverage({}, [30]);
		covered.read(
			partition,
			Array.from({ length: 40 }, (_, index) => 10 + index),
		);
		covered.finished();
		expect(standings(covered, [30, 52, 60])).toEqual(["lettered", "ahead", "past"]);
		covered.extend(
			covered.ranges.map((range) => ({ ...range, low: 40, from: 50, committed: 58, to: 58, high: 70 })),
			[],
		);
		covered.read(partition, [50, 51, 53, 54, 55, 56, 57]);
		covered.finished();
		expect(standings(covered, [30, 51, 52, 57, 58, 69, 70])).toEqual(["inside", "inside", "unchecked", "inside", "ahead", "ahead", "past"]);
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

	it("counts what lies behind the committed offsets, also where the log is a younger one or nothing is committed", () => {
		expect(coverage().behind).toBe(10);
		expect(coverage({ committed: null, to: 10 }).behind).toBe(50);
		const younger = coverage({ low: 0, from: 0, high: 7, to: 7 });
		expect(younger.behind).toBe(0);
		expect(standings(younger, [6, 7, 40, 50])).toEqual(["inside", "past", "past", "past"]);
	});

	it("a letter of an earlier log of the topic accounts for nothing in this one", () => {
		const range = {
			...partition,
			topicId: "new",
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
		const said = { ...partition, reason: "poison", rows: [], rowsLeftOut: 0, state: "open" };
		const letters = [
			{ ...said, offset: 3, topicId: "old", timestamp: 1 },
			{ ...said, offset: 4, topicId: "new", timestamp: 1 },
			// Of whoever did not know the id the timestamp tells.
			{ ...said, offset: 5, topicId: null, timestamp: 1 },
			{ ...said, offset: 6, topicId: null, timestamp: 999 },
			{ ...said, offset: 6, topicId: "new", timestamp: 1 },
		];
		const covered = new LogCoverage([range], letters);
		covered.read(partition, [3, 4, 5, 6, 7]);
		const at = (offset: number, timestamp: number) => covered.letterAt({ ...partition, offset, timestamp });
		expect([at(3, 1), at(4, 1)?.topicId, at(5, 1)?.offset, at(5, 2), at(6, 1)?.topicId]).toEqual([undefined, "new", 5, undefined, "new"]);
		expect(covered.standingOf({ ...partition, offset: 3, timestamp: 1 })).toBe("inside");
		expect(covered.standingOf({ ...partition, offset: 4, timestamp: 1 })).toBe("lettered");
		expect([covered.lettersOfOtherLogs, covered.letters.open]).toEqual([1, 4]);
	});

	it("goes back with no end, and counts letters of other logs once, however often it goes on", () => {
		const range = coverage({ topicId: "new" }).ranges[0] as CoveredPartition;
		const letter = { ...partition, offset: 45, topicId: "old", timestamp: 1, reason: "poison", rows: [], rowsLeftOut: 0, state: "open" };
		const covered = new LogCoverage([range], [letter]);
		covered.extend([{ ...range, from: 40, to: 30 }], [letter]);
		expect(covered.ranges).toMatchObject([{ from: 10, to: 50 }]);
		covered.extend([{ ...range, from: 40, to: 55 }], [letter]);
		expect([covered.ranges[0]?.to, covered.ranges[0]?.from, covered.lettersOfOtherLogs]).toEqual([55, 10, 1]);
	});

	it("finds the letter of a message without a timestamp, whose row has 0", () => {
		const [range] = coverage().ranges as [CoveredPartition];
		const letterOf = (offset: number, timestamp: number) => ({
			...{ ...partition, offset, topicId: null, timestamp, reason: "poison", rows: [], rowsLeftOut: 0, state: "open" },
		});
		const covered = new LogCoverage([range], [letterOf(20, -1), letterOf(21, 0), letterOf(22, 1)]);
		const at = (offset: number, timestamp: number) => covered.letterAt({ ...partition, offset, timestamp })?.offset;
		expect([at(20, 0), at(20, -1), at(21, -1), at(21, 0), at(22, 0), at(22, 1), at(20, 1)]).toEqual([
			20,
			20,
			21,
			21,
			undefined,
			22,
			undefined,
		]);
	});

	it("counts letters of what was looked at by state", () => {
		expect(coverage({}, [11, 12, 14, 18, 20, 22, 24, 60, 62]).letters).toEqual({ open: 3, discarded: 3, skipped: 1 });
		expect(coverage({}, [14]).letters).toEqual({ open: 1, discarded: 0, skipped: 0 });
	});
});

describe("offsets that the log doesn't hold", () => {
	/** Gaps of all lengths, and the offsets between them. */
	function gapped(seed: number, gaps: OffsetGaps, shortOnes = 3_000): { absent: Set<number>; present: number[]; end: number } {
		const random = seededRandom(seed);
		const [absent, present] = [new Set<number>(), [] as number[]];
		let at = 5_000_000_000;
		for (let i = 0; i < shortOnes; i++) {
			const messages = 1 + Math.floor(random() * 20);
			for (let k = 0; k < messages; k++) present.push(at++);
			const length = random() < 0.01 ? 15_000 + Math.floor(random() * 20_000) : 1 + Math.floor(random() * 5);
			gaps.add(at, at + length);
			for (let k = 0; k < length; k++) absent.add(at++);
		}
		return { absent, present, end: at };
	}

	it.each([1, 2, 3])("are known one by one (seed %i)", (seed) => {
		const gaps = new OffsetGaps(new GapMemory());
		const { absent, present, end } = gapped(seed, gaps);
		expect([...absent].filter((offset) => !gaps.has(offset))).toEqual([]);
		expect(present.filter((offset) => gaps.has(offset))).toEqual([]);
		expect([gaps.count, gaps.has(end), gaps.has(4_999_999_999)]).toEqual([absent.size, false, false]);
	});

	it.each([1, 2, 3])(
		"take no more memory than they may: what is beside them counts as one then, and none is forgotten (seed %i)",
		(seed) => {
			const gaps = new OffsetGaps(new GapMemory(2 * 2_048));
			const { absent, present } = gapped(seed, gaps);
			expect([...absent].filter((offset) => !gaps.has(offset))).toEqual([]);
			expect(gaps.count).toBe(absent.size);
			const known = present.filter((offset) => !gaps.has(offset)).length;
			expect(known).toBeGreaterThan(100);
			expect(known).toBeLessThan(present.length);
		},
	);

	it("behind each of a million transactions take a bit each", () => {
		collectGarbage();
		const before = process.memoryUsage();
		const gaps = new OffsetGaps(new GapMemory());
		for (let i = 0; i < 1_000_000; i++) gaps.add(2 * i + 1, 2 * i + 2);
		collectGarbage();
		const after = process.memoryUsage();
		expect([gaps.has(1_999_999), gaps.has(1_999_998)]).toEqual([true, false]);
		expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(4_000_000);
	});

	it("leave rows unchecked where there was no memory for them", () => {
		const range = {
			...partition,
			topicId: null,
			start: 0,
			startIs: "recorded" as const,
			low: 0,
			high: 40_000,
			isNoted: false,
			committed: 40_000,
			from: 0,
			to: 40_000,
			skipped: [],
			disbelieved: [],
		};
		const covered = new LogCoverage([range], [], { memory: new GapMemory(0) });
		covered.read(partition, [0, 1, 3]);
		covered.read(
			partition,
			Array.from({ length: 39_996 }, (_, i) => i + 4),
		);
		covered.finished();
		expect(standings(covered, [1, 2, 3, 16_383, 16_384, 39_999])).toEqual([
			"unchecked",
			"unchecked",
			"unchecked",
			"unchecked",
			"inside",
			"inside",
		]);
		expect(covered.absentOffsets).toBe(1);
	});
});
