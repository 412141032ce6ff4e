/** What is noted of a group's way through a log: what is missing, and what was passed over. */
import { describe, expect, it } from "vitest";
import { compareLogIds, deletedLog, unknownLog } from "../../../src/core/offsets/log-identity.ts";
import {
	type PositionNote,
	restoredAt,
	restoredWords,
	type SkippedStretch,
	stretchesBefore,
	withStretch,
} from "../../../src/core/offsets/position-note.ts";

function note(reached: number | null, restored?: { from: number; to: number }): PositionNote {
	return { start: 0, assumed: false, log: unknownLog, reached, skipped: [], ...(restored && { restored }) };
}

const stretch = (from: number, to: number, reason: SkippedStretch["reason"] = "offsets_set"): SkippedStretch => ({ from, to, reason });

describe("a group that goes on at what it had committed misses", () => {
	it.each([
		["nothing where nothing is noted", null, 50, undefined],
		["nothing where how far it came was not noted", note(null), 50, undefined],
		["nothing where the note knows as much", note(50), 50, undefined],
		["nothing where the note knows more", note(60), 50, undefined],
		["what the note doesn't know", note(30), 50, { from: 30, to: 50 }],
		["what was missing before, as far as it is not read again", note(50, { from: 10, to: 20 }), 50, { from: 10, to: 20 }],
		["of that no more than lies before", note(50, { from: 10, to: 70 }), 50, { from: 10, to: 50 }],
		["none of that where all is read again", note(50, { from: 50, to: 70 }), 50, undefined],
		["both, from the first of them on", note(30, { from: 10, to: 20 }), 50, { from: 10, to: 50 }],
		["both, where the newer begins before", note(5, { from: 10, to: 20 }), 50, { from: 5, to: 50 }],
		["what was missing before where nothing newer is known", note(null, { from: 10, to: 20 }), 50, { from: 10, to: 20 }],
	] as const)("%s", (_, former, offset, restored) => {
		expect(restoredAt(former, offset)).toEqual(restored ? { restored } : {});
	});
});

it("rows that may be missing are told by their offsets, with what reads them again, and what says that none are", () => {
	const words = restoredWords({ topic: "orders", partition: 3 }, { from: 30, to: 50 });
	const command = "`pockaffe offsets set --topic orders --partition 3 --to";
	expect(words).toContain("its notes end at offset 30, but the group had committed 50. ");
	expect(words).toContain(
		`Rows of offsets 30 to 49 may be missing. To read them again: ${command} 30\`; if nothing is missing: ${command} 50\`. `,
	);
});

describe("what was passed over", () => {
	it.each([
		["is kept in order", [stretch(10, 20)], stretch(0, 5), [stretch(0, 5), stretch(10, 20)]],
		["stays apart by one offset", [stretch(0, 4)], stretch(5, 9), [stretch(0, 4), stretch(5, 9)]],
		["becomes one where it meets in front", [stretch(0, 5)], stretch(5, 9), [stretch(0, 9)]],
		["becomes one where it meets behind", [stretch(9, 12)], stretch(5, 9), [stretch(5, 12)]],
		["becomes one with all that it meets", [stretch(0, 3), stretch(4, 6), stretch(8, 9)], stretch(3, 7), [stretch(0, 7), stretch(8, 9)]],
		["takes in what lies in it", [stretch(4, 5)], stretch(0, 9), [stretch(0, 9)]],
		["is taken in by what it lies in", [stretch(0, 9)], stretch(4, 5), [stretch(0, 9)]],
		["is nothing where it is empty", [stretch(0, 9)], stretch(4, 4), [stretch(0, 9)]],
	])("%s", (_, before, added, after) => {
		expect(withStretch(before, added)).toEqual(after);
	});

	it("is told by the later reason where two become one", () => {
		expect(withStretch([stretch(0, 5, "log_begins_after")], stretch(5, 9, "log_ends_before"))).toEqual([stretch(0, 9, "log_ends_before")]);
	});

	it("counts as far as it lies before an offset", () => {
		const all = [stretch(0, 5), stretch(10, 20), stretch(30, 40)];
		expect(stretchesBefore(all, 15)).toEqual([stretch(0, 5), stretch(10, 15)]);
		expect(stretchesBefore(all, 10)).toEqual([stretch(0, 5)]);
		expect(stretchesBefore(all, 40)).toEqual(all);
	});
});

it.each([
	["a", "a", "same"],
	["a", "b", "other"],
	[null, "a", "unknown"],
	["a", null, "unknown"],
	[null, null, "unknown"],
	[deletedLog, "a", "other"],
	[deletedLog, null, "other"],
] as const)("what is kept of log %s is, in log %s, of the %s log", (kept, current, expected) => {
	expect(compareLogIds(kept, current)).toBe(expected);
});
