/** Which rows of a message are its letter's. Pure. */
import type { LetterPosition } from "../../core/dead-letters/dead-letter.ts";

/** Whether the letter was made of this row: it may be there (it went through another time) or not. Its neighbours have to be. */
export function isRefused(letter: LetterPosition | undefined, table: string, id: string): boolean {
	if (!letter) return false;
	// Some are not named, or none: it may be any.
	if (letter.rowsLeftOut > 0 || letter.reason !== "row_fault") return true;
	let named = refusedRows.get(letter);
	if (!named) {
		named = new Set(letter.rows.map(([refusedTable, refusedId]) => `${refusedTable}\0${refusedId}`));
		refusedRows.set(letter, named);
	}
	return named.has(`${table}\0${id}`);
}

/** Looked up by each row of the message, and there may be thousands. */
const refusedRows = new WeakMap<LetterPosition, ReadonlySet<string>>();
