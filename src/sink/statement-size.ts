/**
 * How many rows go into a statement. One that ran into a timeout is not sent again as it was, for it would do so for ever on a server
 * that is slow: half as many, and more again once that goes well. Pure.
 */

/** So many statements have to go well before one is twice as large: of a server that stays slow at most a tenth of them is in vain. */
const SUCCESSES_UNTIL_LARGER = 10;

/** See the file's header. */
export class StatementSize {
	readonly #maxRows: number;
	#rows: number;
	#successes = 0;

	constructor(maxRows: number) {
		this.#maxRows = maxRows;
		this.#rows = maxRows;
	}

	/** Most rows of the next statement, at least 1. */
	get rows(): number {
		return this.#rows;
	}

	/** A statement of so many rows took too long. */
	failed(rows: number): void {
		this.#rows = Math.max(1, Math.floor(rows / 2));
		this.#successes = 0;
	}

	succeeded(): void {
		if (this.#rows === this.#maxRows || ++this.#successes < SUCCESSES_UNTIL_LARGER) return;
		this.#successes = 0;
		this.#rows = Math.min(this.#maxRows, this.#rows * 2);
	}
}
