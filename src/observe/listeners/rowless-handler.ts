/** Warns if a handler that should make rows makes none: usually a forgotten `return`, which nothing else would show. */

/** After this many messages without any row, the handler is warned about. */
const FIRST = 100;
/** After this many messages, one in ten should have had a row. A handler that filters more on purpose is warned about once. */
const MANY = 1_000;
const RARE = 0.1;

/** Outcomes of a run. `finished` is set if the handler finishes its messages later, and may make their rows then. */
export interface RunOutcomes {
	readonly counts: { readonly row: number; readonly delete: number; readonly none: number; readonly rejected: number };
	/** Messages with records alone. */
	readonly records?: { readonly only: number };
	readonly finished?: unknown;
}

/** Counts the messages with and without rows. One per handler, for all its partitions. */
export class RowlessHandler {
	#messages = 0;
	#without = 0;
	#isKnown = false;

	/** The warning, once; otherwise null. */
	handled({ counts, records, finished }: RunOutcomes): string | null {
		if (this.#isKnown) return null;
		if (finished !== undefined) {
			this.#isKnown = true;
			return null;
		}
		this.#messages += counts.row + counts.delete + counts.none + counts.rejected + (records?.only ?? 0);
		this.#without += counts.none;
		if (this.#messages < FIRST || (this.#messages < MANY && this.#without < this.#messages)) return null;
		this.#isKnown = this.#messages >= MANY || this.#without === this.#messages;
		if (this.#messages - this.#without > RARE * this.#messages) return null;
		return `${this.#without} of its first ${this.#messages} messages gave no row: is a return missing in the handler?`;
	}
}
