import { describe, expect, it } from "vitest";
import { lookedAt, type RequiredFigures, requirementsOf, unmet } from "../../../src/audit/verification/requirements.ts";

const counts = {
	matched: 700,
	purged: 100,
	ahead: 2_000,
	unchecked: 150,
	lettered: 38,
	missing: 5,
	older: 1,
	newer: 1,
	different: 2,
	extra: 2,
	unwritable: 1,
	failed: 40,
	beyond: 1,
};
const figures: RequiredFigures = {
	counts,
	behind: 12,
	passedOver: 7,
	letters: { open: 2, discarded: 3, skipped: 4 },
	lettersMissing: null,
};

describe("how much was looked at", () => {
	it("is the ids that were compared, with whatever result, of all that were met", () => {
		expect(lookedAt(counts)).toEqual({ ids: 812, of: 3_000, share: 812 / 3_000 });
	});

	it("is all where there is nothing", () => {
		const none = Object.fromEntries(Object.keys(counts).map((name) => [name, 0])) as unknown as typeof counts;
		expect(lookedAt(none)).toEqual({ ids: 0, of: 0, share: 1 });
	});
});

describe("requirements", () => {
	it("that don't hold are told with what was found", () => {
		expect(unmet(requirementsOf("open-letters=0,unread=0,share=1"), figures)).toEqual([
			"open-letters is 2, not 0",
			"unread is 12, not 0",
			"share is 0.2706, not 1",
		]);
	});

	it.each([
		["share", 0.27, 0.28, "0.2706"],
		["unread", 12, 11, "12"],
		["ahead", 2_000, 1_999, "2000"],
		["unchecked", 150, 149, "150"],
		["lettered", 38, 37, "38"],
		["passed-over", 7, 6, "7"],
		["open-letters", 2, 1, "2"],
		["discarded-letters", 3, 2, "3"],
		["skipped-letters", 4, 3, "4"],
	])("limit the figure of their own name: %s", (name, held, broken, found) => {
		expect(unmet(requirementsOf(`${name}=${held}`), figures)).toEqual([]);
		expect(unmet(requirementsOf(`${name}=${broken}`), figures)).toEqual([`${name} is ${found}, not ${broken}`]);
	});

	it("hold all together where each does", () => {
		expect(unmet(requirementsOf("open-letters=2, unread=12, share=0.27, ahead=2000, passed-over=7, skipped-letters=4"), figures)).toEqual(
			[],
		);
	});

	it("are not all though it reads so", () => {
		const almost = { ...figures, counts: { ...counts, matched: 10_000_000, ahead: 1 } };
		expect(unmet(requirementsOf("share=1"), almost)).toEqual(["share is 0.9999, not 1"]);
	});

	it("of letters that nobody can read don't hold", () => {
		expect(unmet(requirementsOf("open-letters=1000"), { ...figures, lettersMissing: "table gone" })).toEqual(["open-letters is not known"]);
	});

	it.each([
		[
			"shares=1",
			'"shares" is none of share, unread, ahead, unchecked, lettered, passed-over, open-letters, discarded-letters, skipped-letters.',
		],
		["share=1.5", "share=a number from 0 to 1."],
		["share", "share=a number from 0 to 1."],
		["unread=0.5", "unread=a whole number, 0 or more."],
		["unread=0,", '"" is none of'],
		["toString=1", '"toString" is none of'],
	])("%s is none", (text, words) => {
		expect(() => requirementsOf(text)).toThrow(words);
	});
});
