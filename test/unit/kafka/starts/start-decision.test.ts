/** Where a partition begins: a row for each case of the handbook's table (docs/delivery.md). */
import { describe, expect, it } from "vitest";
import { type PositionNote, restoredAt, stretchesBefore, withStretch } from "../../../../src/core/offsets/position-note.ts";
import {
	decidePosition,
	decideStart,
	type OutOfRangePolicy,
	outOfRangeWords,
	type PartitionFacts,
} from "../../../../src/kafka/starts/start-decision.ts";

const log = { low: 10, high: 90 };

function noted(reached: number | null, start = 12): PositionNote {
	return { start, assumed: false, log: { id: "a", witness: null }, reached, skipped: [] };
}

function facts(given: Partial<PartitionFacts>): PartitionFacts {
	const kept = given.kept ?? null;
	return { kept, keptIn: "kafka", inKafka: kept, noted: null, sameLog: "same", hasId: true, log, ...given };
}

const at = (offset: number, from: string) => ({ kind: "start", offset, from });

describe("a start, where", () => {
	it.each<[what: string, given: Partial<PartitionFacts>, decision: object]>([
		["nothing is kept and nothing noted, is as configured", {}, { kind: "choose" }],
		["it is kept and the log is the same, is what is kept", { kept: 50 }, at(50, "committed")],
		["it is kept at the log's very beginning", { kept: 10 }, at(10, "committed")],
		["it is kept at the log's very end", { kept: 90 }, at(90, "committed")],
		["it is kept behind what was noted (somebody set it back)", { kept: 30, noted: noted(50) }, at(30, "committed")],
		["it is kept for another log, is the new one's beginning", { kept: 50, sameLog: "other" }, at(10, "new_log")],
		["it is noted for another log, is the new one's beginning", { noted: noted(50), sameLog: "other" }, at(10, "new_log")],
		["it is kept past the end of another log", { kept: 500, sameLog: "other" }, at(10, "new_log")],
		["Kafka forgot and the note knows, is what was noted", { noted: noted(50) }, at(50, "noted")],
		["Kafka forgot and only the beginning was noted", { noted: noted(null) }, at(12, "noted")],
		["no id tells, and Kafka has it itself: it forgets with the topic", { kept: 50, sameLog: "unknown" }, at(50, "committed")],
		[
			"no id tells, and a table has it and Kafka a copy: believed as far as the log goes",
			{ kept: 50, keptIn: "table", inKafka: 50, sameLog: "unknown" },
			at(50, "committed"),
		],
		[
			"no id tells, and a table has it and Kafka no copy: Kafka forgets with the topic",
			{ kept: 50, keptIn: "table", inKafka: null, sameLog: "unknown" },
			at(10, "new_log"),
		],
		[
			"no id tells, Kafka has no copy, and the log begins behind what the table has: whichever it is, something is missing",
			{ kept: 5, keptIn: "table", inKafka: null, sameLog: "unknown" },
			{ kind: "park", position: 5, offset: 5, reason: "log_begins_after" },
		],
		[
			"no id tells, and a table has it at the log's very end, where every group is that has read all",
			{ kept: 90, keptIn: "table", inKafka: 90, sameLog: "unknown" },
			at(90, "committed"),
		],
		[
			"logs have no ids, and Kafka has it at the log's very end",
			{ kept: 90, noted: noted(90), sameLog: "unknown", hasId: false },
			at(90, "committed"),
		],
		["no id tells, and a table has more than the log", { kept: 500, keptIn: "table", inKafka: 500, sameLog: "unknown" }, at(10, "new_log")],
		[
			"logs have no ids, and Kafka has more than the log",
			{ kept: 500, noted: noted(500), sameLog: "unknown", hasId: false },
			at(10, "new_log"),
		],
		["no id tells, and only a note is left: the log is read whole", { noted: noted(50), sameLog: "unknown" }, at(10, "new_log")],
		[
			"no id tells, and Kafka has a copy of what the table lost",
			{ keptIn: "table", inKafka: 40, noted: noted(50), sameLog: "unknown" },
			at(50, "noted"),
		],
	])("%s", (_, given, decision) => {
		expect(decideStart(facts(given), "park")).toEqual(decision);
	});

	const outside = [
		["the log begins behind it", { kept: 3 }, 3, "log_begins_after"],
		["the log begins behind what was noted", { noted: noted(3, 1) }, 3, "log_begins_after"],
		["the log ends before it", { kept: 200 }, 200, "log_ends_before"],
		["the log ends before it and no id tells, but Kafka has it itself", { kept: 200, sameLog: "unknown" }, 200, "log_ends_before"],
	] as const;
	const policies = [
		["park", "park", null],
		["earliest", "jump", 10],
		["latest", "jump", 90],
	] as const;
	it.each(outside.flatMap((row) => policies.map((policy) => [...row, ...policy] as const)))(
		"%s, is as kafka.onOffsetOutOfRange says",
		(_, given, position, reason, policy, kind, offset) => {
			expect(decideStart(facts(given), policy)).toEqual({ kind, position, offset: offset ?? position, reason });
		},
	);

	it.each(["park", "earliest", "latest"] as OutOfRangePolicy[])("the log has the position nothing is decided (%s)", (policy) => {
		for (const position of [10, 50, 90]) expect(decidePosition(position, log, policy)).toBe(null);
	});
});

describe("what is missing in a database that is older than the group's offset", () => {
	const stretch = (from: number, to: number) => ({ from, to });
	it.each<[what: string, former: PositionNote | null, offset: number, missing: object | undefined]>([
		["is nothing where nothing was noted", null, 50, undefined],
		["is nothing where it was not noted how far the group came", noted(null), 50, undefined],
		["is nothing where just that was noted", noted(50), 50, undefined],
		["is nothing where more was noted (a commit that was lost)", noted(60), 50, undefined],
		["is what was committed and is not noted", noted(30), 50, stretch(30, 50)],
		["stays so where the group has gone on since", { ...noted(90), restored: stretch(30, 50) }, 90, stretch(30, 50)],
		["is what is left where it was set back in between", { ...noted(90), restored: stretch(30, 50) }, 40, stretch(30, 40)],
		["is nothing any more where it was set back before it", { ...noted(90), restored: stretch(30, 50) }, 30, undefined],
		["is all of it where it was put back twice", { ...noted(70), restored: stretch(30, 50) }, 90, stretch(30, 90)],
		["is all of it where it was put back further the second time", { ...noted(20), restored: stretch(30, 50) }, 90, stretch(20, 90)],
	])("%s", (_, former, offset, missing) => {
		expect(restoredAt(former, offset).restored).toEqual(missing);
	});
});

describe("what is told of a position outside its log", () => {
	it.each([
		[3, "offset 3 is out of range (the log has 10 to 90): 7 offsets were removed before they were read"],
		[100, "offset 100 is out of range (the log has 10 to 90): its last 10 offsets are gone"],
	])("names offset, bounds, loss and both commands (%i)", (position, words) => {
		const told = outOfRangeWords({ topic: "t", partition: 2, position }, log);
		expect(told).toContain(words);
		expect(told).toContain("`pockaffe offsets set --topic t --partition 2 --to earliest` (10)");
		expect(told).toContain("`pockaffe offsets set --topic t --partition 2 --to latest` (90)");
	});
});

describe("stretches that were passed over", () => {
	const stretch = (from: number, to: number) => ({ from, to, reason: "log_begins_after" as const });

	it("are kept in order, and those that meet become one", () => {
		expect(withStretch([stretch(1, 3), stretch(20, 30)], stretch(5, 9))).toEqual([stretch(1, 3), stretch(5, 9), stretch(20, 30)]);
		expect(withStretch([stretch(1, 5), stretch(9, 30)], stretch(5, 9))).toEqual([stretch(1, 30)]);
		expect(withStretch([stretch(1, 5)], stretch(7, 7))).toEqual([stretch(1, 5)]);
	});

	it("end where the group goes back to", () => {
		expect(stretchesBefore([stretch(1, 5), stretch(8, 12), stretch(20, 30)], 10)).toEqual([stretch(1, 5), stretch(8, 10)]);
	});
});
