/** Whose a letter is, and which rows of its message were refused. */
import { describe, expect, it } from "vitest";
import { isSameMessage, letterName, refusedRowsOf, storableText } from "../../../src/core/dead-letters/dead-letter.ts";

describe("the refused rows of a letter", () => {
	const one = { table: "events", rowId: "a", sqlstate: "22003", refusedRows: [] };

	it("are those of its list, else the one that it names", () => {
		const refusedRows = [["orders", "b", "23503"] as const, ["events", "c", "22003"] as const];
		expect([refusedRowsOf({ ...one, refusedRows }), refusedRowsOf(one)]).toEqual([refusedRows, [["events", "a", "22003"]]]);
	});

	it("are none where it names no row, or no table", () => {
		expect([
			refusedRowsOf({ ...one, table: null }),
			refusedRowsOf({ ...one, rowId: null }),
			refusedRowsOf({ ...one, table: null, rowId: null }),
		]).toEqual([[], [], []]);
	});
});

describe("two letters", () => {
	const place = { topic: "t", partition: 3, offset: 7, topicId: "id", timestamp: 5 };

	it.each([
		["of one message", {}, true],
		["where one does not tell its log", { topicId: null }, true],
		["of another topic", { topic: "u" }, false],
		["of another partition", { partition: 4 }, false],
		["of another offset", { offset: 8 }, false],
		["of another log of the topic", { topicId: "other" }, false],
		["of another time", { timestamp: 6 }, false],
	])("%s", (_, over, isSame) => {
		expect(isSameMessage(place, { ...place, ...over })).toBe(isSame);
	});

	it("without a time are of one message, however that was written down", () => {
		expect(isSameMessage({ ...place, timestamp: -1 }, { ...place, timestamp: 0 })).toBe(true);
	});

	it("have names of their own by topic, partition, offset, log and time", () => {
		const others = [{ topic: "u" }, { partition: 4 }, { offset: 8 }, { topicId: null }, { timestamp: 6 }];
		expect(new Set([place, ...others.map((over) => ({ ...place, ...over }))].map(letterName)).size).toBe(6);
	});
});

it("a text that every target can keep has no NUL and no half character", () => {
	expect([storableText("a\0b\0"), storableText("a\ud800"), storableText(null), storableText("ü")]).toEqual(["ab", "a\ufffd", null, "ü"]);
});
