import { describe, expect, it } from "vitest";
import { usualSeparators } from "../../../src/core/rows/joined-texts.ts";
import { type BlockRow, laneOf, type RowBlock, rowsOf, type TableLayout, withoutMessages } from "../../../src/core/rows/rows.ts";
import { TextRows } from "../../../src/worker/inside/rows/gathered-rows.ts";
import { RowPacker } from "../../../src/worker/inside/rows/row-packer.ts";
import { layoutOf } from "../../support/fakes/row-submissions.ts";

/** A row by its message, id and value; `at` is the message's timestamp. The offset is 100 above the message. */
type Row = readonly [message: number, id: string, value?: string, isDelete?: boolean];

function pack(packer: RowPacker, layout: TableLayout, rows: readonly Row[], timestamps: readonly number[] = []): RowBlock[] {
	const gathered = {
		messages: rows.map(([message]) => message),
		ids: rows.map(([, id]) => id),
		deletes: rows.map(([, , , isDelete]) => (isDelete ? 1 : 0)),
		bytes: rows.map(([message]) => 50 + message),
		values: layout.columns.map(() => rows.map(([, , value = null]) => value)),
	};
	const most = 1 + Math.max(...gathered.messages);
	const offsets = Array.from({ length: most }, (_, message) => 100 + message);
	return packer.pack(
		new TextRows(gathered),
		{ from: 0, offsets, timestamps: offsets.map((_, at) => timestamps[at] ?? 0) },
		usualSeparators,
	);
}

function packed(rows: readonly Row[], timestamps?: readonly number[], layout = layoutOf()): RowBlock {
	return pack(new RowPacker(layout, 1), layout, rows, timestamps)[0] as RowBlock;
}

const brief = ({ message, id }: BlockRow) => `${id}${message}`;
/** Ids and messages of the rows to be sent, and of the superseded ones. */
function parts(block: RowBlock): [sent: string[], superseded: string[]] {
	const rows = rowsOf(block).map(brief);
	const superseded = block.messages.length - block.length;
	return [rows.slice(superseded), rows.slice(0, superseded)];
}

describe("the rows of a run", () => {
	it("are sent as they are where every id is met once", () => {
		const block = packed([
			[0, "a"],
			[1, "b"],
		]);
		expect([parts(block), block.superseded]).toEqual([[["a0", "b1"], []], null]);
	});

	it("are parted into the newest of each id and those it stands for, each with what is its own", () => {
		const block = packed(
			[
				[0, "a", "one"],
				[1, "b", "two", true],
				[2, "a", "three", true],
			],
			[7, 8, 9],
		);
		expect(parts(block)).toEqual([["b1", "a2"], ["a0"]]);
		expect(rowsOf(block).map(({ values: [name], isDelete, bytes }) => [name, isDelete, bytes])).toEqual([
			["one", false, 50],
			["two", true, 51],
			["three", true, 52],
		]);
		expect([block.offsets, block.timestamps, block.superseded?.offsets, block.superseded?.timestamps]).toEqual([
			"101\x1e102",
			"8\x1e9",
			"100",
			"7",
		]);
	});

	it("are compared by timestamp and then offset, in whatever order calls ended; of one message the last counts", () => {
		const rows: Row[] = [
			[2, "a"],
			[0, "a"],
			[1, "a"],
		];
		expect(parts(packed(rows, [5, 9, 5]))).toEqual([["a1"], ["a2", "a0"]]);
		expect(parts(packed(rows, [5, 5, 5]))).toEqual([["a2"], ["a0", "a1"]]);
		// Without a timestamp it is as old as can be.
		expect(parts(packed(rows, [-1, -1, 0]))[0]).toEqual(["a2"]);
		const last = packed([
			[3, "a", "first"],
			[3, "a", "last"],
		]);
		expect(rowsOf(last).map(({ values }) => values[0])).toEqual(["first", "last"]);
	});

	it("are compared by offset alone under the offset strategy, and not at all by a field", () => {
		const rows: Row[] = [
			[0, "a", "9"],
			[1, "a", "1"],
		];
		expect(parts(packed(rows, [9, 1], layoutOf({ version: { kind: "offset" } })))).toEqual([["a1"], ["a0"]]);
		const field = layoutOf({ version: { kind: "field", column: "amount", type: "bigint" } });
		expect(parts(packed(rows, [9, 1], field))).toEqual([["a0", "a1"], []]);
	});

	it("are parted by lane, superseded ones beside the newest", () => {
		const layout = layoutOf();
		const ids = Array.from({ length: 20 }, (_, i) => `id-${i}-`);
		const rows = [...ids, ...ids].map((id, message): Row => [message, id]);
		const blocks = pack(new RowPacker(layout, 3), layout, rows);
		expect(blocks.map(({ lane }) => lane)).toEqual([0, 1, 2]);
		for (const block of blocks) {
			const [sent, superseded] = parts(block);
			expect(rowsOf(block).every(({ id }) => laneOf(id, 3) === block.lane)).toBe(true);
			expect(sent.length).toBe(superseded.length);
		}
		expect(blocks.flatMap((block) => parts(block)[0]).sort()).toEqual(ids.map((id, i) => `${id}${i + 20}`).sort());
	});

	it("are not looked through for a while where a look found little", () => {
		const layout = layoutOf();
		const packer = new RowPacker(layout, 1);
		const all = (rows: readonly Row[]) => (pack(packer, layout, rows)[0] as RowBlock).length;
		const twice: Row[] = [
			[0, "a"],
			[1, "a"],
		];
		expect(all(twice)).toBe(1);
		expect(all([[0, "a"]])).toBe(1);
		for (let run = 0; run < 16; run++) expect(all(twice)).toBe(2);
		expect([all(twice), all(twice)]).toEqual([1, 1]);
	});

	it("lose those of dropped messages, and what a dropped row stood for is sent", () => {
		const block = packed([
			[0, "a", "one"],
			[1, "b", "two"],
			[2, "a", "three", true],
			[3, "b", "four"],
		]);
		const left = withoutMessages(block, new Map([[2, "dropped"]]));
		expect([left.length, left.messages.length, left.superseded]).toEqual([3, 3, null]);
		expect(rowsOf(left).map(brief)).toEqual(["a0", "b1", "b3"]);
		expect(rowsOf(left).map(({ values, isDelete, bytes }) => [values[0], isDelete, bytes])).toEqual([
			["one", false, 50],
			["two", false, 51],
			["four", false, 53],
		]);
		expect(left.offsets).toBe("100\x1e101\x1e103");
	});
});
