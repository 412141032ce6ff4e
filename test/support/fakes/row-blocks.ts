/** Packed rows as tests write and read them. */
import { joinTexts, separatorsFor } from "../../../src/core/rows/joined-texts.ts";
import { type RowBlock, rowsOf } from "../../../src/core/rows/rows.ts";

/** Rows of a block; all lists have one entry per row, `columns` one list per data column. */
export interface PlainBlock {
	readonly table: string;
	readonly lane?: number;
	readonly messages: readonly number[];
	readonly ids: readonly string[];
	readonly columns: readonly (readonly (string | null)[])[];
	readonly deletes?: readonly boolean[];
	readonly offsets?: readonly number[];
	readonly timestamps?: readonly number[];
	readonly bytes?: number;
}

/** The block of these rows, all in one lane. */
export function blockOf({ table, lane = 0, messages, ids, columns, deletes, offsets, timestamps, bytes = 50 }: PlainBlock): RowBlock {
	const separators = separatorsFor([ids, ...columns]);
	const joined = (values: readonly (string | null)[]) => joinTexts(values, separators);
	const numbers = (values: readonly number[] | undefined) => joined((values ?? messages).map((value) => String(Math.max(0, value))));
	return {
		table,
		length: ids.length,
		lane,
		messages: Int32Array.from(messages),
		deletes: Uint8Array.from(messages, (_, row) => (deletes?.[row] ? 1 : 0)),
		bytes: new Int32Array(ids.length).fill(bytes),
		separators,
		ids: joined(ids),
		columns: columns.map(joined),
		timestamps: numbers(timestamps),
		offsets: numbers(offsets),
		superseded: null,
	};
}

/** A block's ids, of superseded rows first; none where there is no block. */
export function idsOf(block: RowBlock | undefined): string[] {
	return block ? rowsOf(block).map(({ id }) => id) : [];
}

/** A data column's values, by its place in the layout; those of superseded rows first. */
export function columnOf(block: RowBlock | undefined, column: number): (string | null)[] {
	return block ? rowsOf(block).map(({ values }) => values[column] ?? null) : [];
}

/** All data columns' values. */
export function columnsOf(block: RowBlock | undefined): (string | null)[][] {
	return block ? block.columns.map((_, column) => columnOf(block, column)) : [];
}
