import { describe, expect, it } from "vitest";
import { contradictionIn } from "../../../src/worker/outcomes/answer-check.ts";
import type { BatchOutcome } from "../../../src/worker/thread/handler-thread.ts";
import { blockOf } from "../../support/fakes/row-blocks.ts";

/** Messages 10 to 12: one with two rows, one with a delete, one with none. */
function answer(over: Partial<BatchOutcome> = {}): BatchOutcome {
	const blocks = [blockOf({ table: "a", messages: [10, 10, 11], ids: ["x", "y", "z"], columns: [] })];
	const counts = { row: 1, delete: 1, none: 1, rejected: 0 };
	return { from: 10, to: 13, blocks, rows: 3, faults: [], rejected: [], counts, durationsMs: new Float64Array(0), warnings: [], ...over };
}

describe("an answer of a thread", () => {
	it("adds up where every message has an outcome and every row was packed", () => {
		expect(contradictionIn(answer())).toBeNull();
		expect(contradictionIn(answer({ from: 10, to: 20, handled: [10, 11, 19] }))).toBeNull();
		expect(contradictionIn(answer({ to: 20, counts: { row: 1, delete: 2, none: 3, rejected: 4 } }))).toBeNull();
		expect(contradictionIn(answer({ to: 10, blocks: [], rows: 0, counts: { row: 0, delete: 0, none: 0, rejected: 0 } }))).toBeNull();
	});

	it.each<[what: string, over: Partial<BatchOutcome>, words: RegExp]>([
		["rows are missing", { rows: 4 }, /gave 4 rows and 3 were packed/],
		["all rows are missing", { blocks: [] }, /gave 3 rows and 0 were packed/],
		["there are too many rows", { rows: 2 }, /gave 2 rows and 3 were packed/],
		["a message has no outcome", { to: 14 }, /4 messages were handled and 3 have an outcome/],
		["a row is of a message of another run", { from: 11, to: 14 }, /a row is of message 10, which is none of 11 to 13/],
		[
			"a row is of the message behind the run",
			{ to: 11, counts: { row: 1, delete: 0, none: 0, rejected: 0 } },
			/of message 11, .* 10 to 10/,
		],
		[
			"a list of a block is short",
			{ blocks: [{ ...(answer().blocks[0] as never as object), deletes: new Uint8Array(2) } as never] },
			/a block of 3 rows/,
		],
	])("does not where %s", (_, over, words) => {
		expect(contradictionIn(answer(over))).toMatch(words);
	});
});
