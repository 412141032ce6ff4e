/**
 * Rows that the writer is given and rows that the server makes itself of the same numbers: what a column holds is said once in
 * JavaScript and once in SQL, so that the two do the same work. Pure.
 */
import type { TableLayout } from "../../src/core/rows/rows.ts";
import { columnOf, layoutOf } from "../../test/support/fakes/row-submissions.ts";

/** A kind of row. */
export interface RowShape {
	readonly columns: readonly { readonly name: string; readonly type: string }[];
	/** The columns' texts of row `i`. */
	readonly values: (i: number) => string[];
	/** The same as SQL expressions of the bigint `i`. */
	readonly expressions: readonly string[];
}

/** As the events of the other benches: a text, a bigint, a text of 90 characters and more. */
export const narrowRow: RowShape = {
	columns: [
		{ name: "name", type: "text" },
		{ name: "amount", type: "bigint" },
		{ name: "note", type: "text" },
	],
	values: (i) => [`name ${i}`, String(i * 7), `${"x".repeat(90)}${i}`],
	expressions: ["'name ' || i", "i * 7", "repeat('x', 90) || i"],
};

const WIDE_COLUMNS = 30;

/** 30 columns, every third a number, the texts 24 characters and more. */
export const wideRow: RowShape = {
	columns: Array.from({ length: WIDE_COLUMNS }, (_, column) => ({ name: `c${column}`, type: column % 3 === 2 ? "bigint" : "text" })),
	values: (i) => Array.from({ length: WIDE_COLUMNS }, (_, column) => (column % 3 === 2 ? String(i * 7 + column) : `${"x".repeat(24)}${i}`)),
	expressions: Array.from({ length: WIDE_COLUMNS }, (_, column) => (column % 3 === 2 ? `i * 7 + ${column}` : "repeat('x', 24) || i")),
};

/** A table for the shape, under the daemon's default version strategy. */
export function layoutFor(table: string, { columns }: RowShape): TableLayout {
	return layoutOf({ name: table, columns: columns.map(({ name, type }) => columnOf(name, type)) });
}

/**
 * The id's number of row `i` of `ids`. 7919 is prime to any number of ids that is not its multiple: no id comes twice among `ids` rows in
 * a row, and neighbours in time are no neighbours in the index.
 */
export function idNumber(i: number, ids: number): number {
	return (i * 7919) % ids;
}
