/** Rows as they are gathered while a run is handled, and what is left of them where a message fails in its middle. */
import { describe, expect, it } from "vitest";
import { rowsOf, type TableLayout } from "../../../src/core/rows/rows.ts";
import { ROW_OVERHEAD, RowEncoder } from "../../../src/worker/inside/rows/row-encoder.ts";
import { columnOf as column, layoutOf } from "../../support/fakes/row-submissions.ts";

const layout = layoutOf({ columns: [column("name", "text")] });
const positions = { from: 0, offsets: [100, 101, 102, 103], timestamps: [7, 8, 9, 10] };

/** What leaves it, row by row. */
function taken(encoder: RowEncoder) {
	return encoder
		.take(positions)
		.flatMap((block) => rowsOf(block).map(({ message, id, values, isDelete }) => [message, id, values[0], isDelete]));
}

describe("rows of a message that failed", () => {
	it("leave nothing behind: the next message's row is an upsert where theirs was a delete, and the other way round", () => {
		const encoder = new RowEncoder(layout);
		encoder.upsert(0, "a", { name: "kept" });
		const mark = encoder.length;
		encoder.remove(1, "b", {});
		encoder.upsert(1, "c", { name: "gone" });
		encoder.rollBack(mark);
		encoder.upsert(2, "d", { name: "behind" });
		encoder.remove(3, "e", {});
		expect(taken(encoder)).toEqual([
			[0, "a", "kept", false],
			[2, "d", "behind", false],
			[3, "e", null, true],
		]);
	});

	it("are dropped as far as they are its own", () => {
		const encoder = new RowEncoder(layout);
		encoder.upsert(0, "a", { name: "kept" });
		encoder.remove(1, "b", {});
		encoder.upsert(1, "c", { name: "gone" });
		encoder.drop(0);
		expect(encoder.length).toBe(3);
		encoder.drop(1);
		encoder.upsert(2, "d", { name: "behind" });
		expect(taken(encoder)).toEqual([
			[0, "a", "kept", false],
			[2, "d", "behind", false],
		]);
	});

	it("are as many bytes as id, values and what each row costs beside; a value that is missing is one", () => {
		const two: TableLayout = layoutOf({ columns: [column("name", "text"), column("note", "text")] });
		const encoder = new RowEncoder(two);
		expect(encoder.upsert(0, "id", { name: "four" })).toEqual({ bytes: ROW_OVERHEAD + 2 + 4 + 1 });
		expect(encoder.remove(1, "id", {})).toEqual({ bytes: ROW_OVERHEAD + 2 + 1 + 1 });
		encoder.rollBack(0);
		encoder.upsert(2, "x", { name: "y", note: "zz" });
		const [block] = encoder.take(positions);
		expect(Array.from(block?.bytes ?? [])).toEqual([ROW_OVERHEAD + 1 + 1 + 2]);
	});
});

it("a row that its table can't hold leaves no value behind: the next row's are its own", () => {
	const encoder = new RowEncoder(layoutOf({ columns: [column("name", "text"), { ...column("note", "text"), nullable: false }] }));
	expect(encoder.upsert(0, "a", { name: "lost" })).toMatchObject({ fault: { rowId: "a", sqlstate: "23502" } });
	encoder.upsert(1, "b", { name: "kept", note: "n" });
	expect(taken(encoder)).toEqual([[1, "b", "kept", false]]);
});

it("what was taken is gone, and texts that hold a separator are joined with another one for that time only", () => {
	const encoder = new RowEncoder(layout);
	encoder.upsert(0, "a", { name: "one\x1etwo" });
	expect(taken(encoder)).toEqual([[0, "a", "one\x1etwo", false]]);
	expect(encoder.take(positions)).toEqual([]);
	encoder.upsert(1, "b\x1d", {});
	expect(taken(encoder)).toEqual([[1, "b\x1d", null, false]]);
	encoder.upsert(2, "c", { name: "usual" });
	expect(encoder.take(positions)[0]?.separators).toEqual({ separator: "\x1e", nullMark: "\x1d" });
});
