/** Decides which rows of a message its letter is about. Pure. */
import type { LetterPosition } from "../../core/dead-letters/dead-letter.ts";

/** True if the letter is about this row: it may be in the table (if it went through another time) or not. The other rows must be there. */
export function isRefused(letter: LetterPosition | undefined, table: string, id: string): boolean {
	if (!letter) return false;
	// Not all refused rows are named: it may be any row.
	if (letter.rowsLeftOut > 0 || letter.reason !== "row_fault") return true;
	let named = refusedRows.get(letter);
	if (!named) {
		named = new Set(letter.rows.map(([refusedTable, refusedId]) => `${refusedTable}\0${refusedId}`));
		refusedRows.set(letter, named);
	}
	return named.has(`${table}\0${id}`);
}

/** Cached, because each row of the message looks this up, and there may be thousands. */
const refusedRows = new WeakMap<LetterPosition, ReadonlySet<string>>();
