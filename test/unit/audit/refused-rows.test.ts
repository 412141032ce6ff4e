/** Which rows of a message are its dead letter's: a row of its neighbours has to be there. */
import { expect, it } from "vitest";
import { isRefused } from "../../../src/audit/verification/refused-rows.ts";
import type { LetterPosition } from "../../../src/core/dead-letters/dead-letter.ts";

const letter: LetterPosition = {
	...{ topic: "t", partition: 0, offset: 5, topicId: null, timestamp: 1, state: "open", reason: "row_fault", rowsLeftOut: 0 },
	rows: [
		["events", "a", "22003"],
		["orders", "b", "23503"],
	],
};

it("are those that it names, by table and id together", () => {
	const asked = (table: string, id: string) => isRefused(letter, table, id);
	expect([asked("events", "a"), asked("orders", "b")]).toEqual([true, true]);
	expect([asked("events", "b"), asked("orders", "a"), asked("events", "c")]).toEqual([false, false, false]);
	// Asked again, of the same letter and of another one.
	expect([asked("events", "a"), isRefused({ ...letter, rows: [] }, "events", "a")]).toEqual([true, false]);
});

it("are all where the letter doesn't name them, or not all of them", () => {
	expect(isRefused({ ...letter, reason: "poison", rows: [] }, "events", "z")).toBe(true);
	expect(isRefused({ ...letter, rowsLeftOut: 1 }, "events", "z")).toBe(true);
});

it("are none where there is no letter", () => {
	expect(isRefused(undefined, "events", "a")).toBe(false);
});
