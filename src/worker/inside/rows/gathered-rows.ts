/**
 * The rows of one table as a thread gathers them, column by column. This is all that packing them needs, however their texts are kept.
 * Pure.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import type { Separators } from "../../../core/rows/joined-texts.ts";
import { laneOf } from "../../../core/rows/rows.ts";
import { joinList } from "../built-ins.ts";

/** Rows by number, in the order in which they came. Every list has one entry per row. */
export interface GatheredRows {
	readonly length: number;
	/** Index of each row's message in its batch. */
	readonly messages: ArrayLike<number>;
	/** 1 if the row is a delete. */
	readonly deletes: ArrayLike<number>;
	readonly bytes: ArrayLike<number>;
	/** The row's lane, out of `lanes`. */
	laneOf(row: number, lanes: number): number;
	/** For each row a number of its id, from 0 on; equal ids have equal numbers. `different`: how many ids there are. */
	numberIds(): { readonly numbers: Int32Array; readonly different: number };
	/** The ids of these rows as one text. */
	joinIds(rows: readonly number[], by: Separators): string;
	/** The values of these rows in a data column as one text. */
	joinColumn(column: number, rows: readonly number[], by: Separators): string;
}

/** Lists of texts; `values` has one list per data column. */
export interface RowLists {
	readonly messages: readonly number[];
	readonly ids: readonly string[];
	readonly deletes: readonly number[];
	readonly bytes: readonly number[];
	readonly values: readonly (readonly (string | null)[])[];
}

/** Rows whose texts are strings. */
export class TextRows implements GatheredRows {
	readonly length: number;
	readonly messages: readonly number[];
	readonly deletes: readonly number[];
	readonly bytes: readonly number[];
	readonly #ids: RowLists["ids"];
	readonly #values: RowLists["values"];

	constructor({ messages, ids, deletes, bytes, values }: RowLists) {
		this.length = ids.length;
		this.messages = messages;
		this.deletes = deletes;
		this.bytes = bytes;
		this.#ids = ids;
		this.#values = values;
	}

	laneOf(row: number, lanes: number): number {
		return laneOf(this.#ids[row] as string, lanes);
	}

	numberIds(): { numbers: Int32Array; different: number } {
		const known = new Map<string, number>();
		const numbers = new Int32Array(this.length);
		for (let row = 0; row < this.length; row++) {
			const id = this.#ids[row] as string;
			let number = known.get(id);
			if (number === undefined) {
				number = known.size;
				known.set(id, number);
			}
			numbers[row] = number;
		}
		return { numbers, different: known.size };
	}

	joinIds(rows: readonly number[], by: Separators): string {
		return joinChosen(this.#ids, rows, by);
	}

	joinColumn(column: number, rows: readonly number[], by: Separators): string {
		return joinChosen(this.#values[column] as readonly (string | null)[], rows, by);
	}
}

/** Uses no list methods, because a handler may have changed them. */
function joinChosen(values: readonly (string | null)[], rows: readonly number[], { separator, nullMark }: Separators): string {
	const those = new Array<string>(rows.length);
	for (let i = 0; i < rows.length; i++) those[i] = values[rows[i] as number] ?? nullMark;
	return joinList(those, separator);
}
