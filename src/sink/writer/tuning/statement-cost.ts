/**
 * What a statement costs by its rows, as a line through the last answers: so much for any statement, so much for each row. Pure.
 *
 * Step 7 of a message's way (docs/architecture.md).
 */

/** Weight of what was known before, at each answer: half after 69 of them. Large statements tell more than small ones. */
const KEPT = 0.99;
/** Below this share of their mean, rows differ too little to tell one cost from the other. */
const LEAST_SPREAD = 0.05;

/** See the file's header. */
export class StatementCost {
	#count = 0;
	#rows = 0;
	#ms = 0;
	#squares = 0;
	#products = 0;

	/** A statement of so many rows was answered in `durationMs`. */
	answered(rows: number, durationMs: number): void {
		this.#count = this.#count * KEPT + 1;
		this.#rows = this.#rows * KEPT + rows;
		this.#ms = this.#ms * KEPT + durationMs;
		this.#squares = this.#squares * KEPT + rows * rows;
		this.#products = this.#products * KEPT + rows * durationMs;
	}

	/** ms for any statement and for each of its rows, both at least 0. Where that can't be told, all of it is the rows'. */
	get(): { readonly baseMs: number; readonly rowMs: number } {
		const rows = this.#rows / this.#count;
		const ms = this.#ms / this.#count;
		const most = ms / Math.max(1, rows);
		const variance = this.#squares / this.#count - rows * rows;
		if (!(variance > (LEAST_SPREAD * rows) ** 2)) return { baseMs: 0, rowMs: most };
		const slope = (this.#products / this.#count - rows * ms) / variance;
		const rowMs = Math.max(0, Math.min(most, slope));
		return { baseMs: Math.max(0, ms - rowMs * rows), rowMs };
	}
}
