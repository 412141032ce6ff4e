/** What the note of a former assignment means for the next one: suspicion, and of what. */
import { describe, expect, it } from "vitest";
import { type HandNote, suspicionAt, suspicionWords } from "../../../src/core/messages/hand-note.ts";

const note = (over: Partial<HandNote> = {}): HandNote => ({ by: null, began: 100, held: null, deaths: [], ...over });

describe("an assignment is careful", () => {
	it.each([
		["not where nothing is noted", null, 100, null],
		["not where the former was given away in order", note(), 100, null],
		["where the former ended without a word where it began", note({ by: "a" }), 100, { held: null, deaths: [], until: 10_100 }],
		["where that had committed less than a run", note({ by: "a" }), 2_099, { held: null, deaths: [], until: 12_099 }],
		["not where it had come further", note({ by: "a" }), 2_100, null],
		["not where the offset was set back: another stretch is read", note({ by: "a" }), 99, null],
		[
			"where messages were in hand",
			note({ held: { from: 150, to: 160 } }),
			140,
			{ held: { from: 150, to: 160 }, deaths: [], until: 10_140 },
		],
		[
			"of those that are not committed",
			note({ held: { from: 150, to: 160 } }),
			155,
			{ held: { from: 155, to: 160 }, deaths: [], until: 10_155 },
		],
		["not where all of them are", note({ held: { from: 150, to: 160 } }), 160, null],
		[
			"where it died with messages before, as far as they come again",
			note({
				deaths: [
					[149, 1],
					[150, 2],
				],
			}),
			150,
			{ held: null, deaths: [[150, 2]], until: 10_150 },
		],
		["not where those are committed", note({ deaths: [[149, 1]] }), 150, null],
	] as const)("%s", (_, former, start, suspicion) => {
		expect(suspicionAt(former, start)).toEqual(suspicion);
	});
});

it.each([
	[
		{ held: null, deaths: [], until: 9 },
		/^the process that had the partition ended soon after its start without giving it away: until offset 9 is committed, each run is noted/,
	],
	[{ held: { from: 5, to: 6 }, deaths: [], until: 9 }, /^the process died with offset 5 in hand/],
	[{ held: { from: 5, to: 8 }, deaths: [], until: 9 }, /^the process died with offsets 5 to 7 in hand/],
	[
		{
			held: { from: 5, to: 8 },
			deaths: [
				[3, 1],
				[12, 2],
			],
			until: 9,
		},
		/^the process died with offsets 3 to 12 in hand/,
	],
] as const)("people are told why: %#", (suspicion, words) => {
	expect(suspicionWords(suspicion)).toMatch(words);
});
