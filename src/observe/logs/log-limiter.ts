/** Keeps one kind of record from flooding the log: the first passes at once, then at most one per interval, with the number held back. */

/** Limits records by kind. Kinds are few (topic and reason, a table, an error's code). `now` is monotonic, in ms. */
export class LogLimiter {
	readonly #now: () => number;
	readonly #intervalMs: number;
	readonly #kinds = new Map<string, { loggedAt: number; held: number }>();

	constructor(now: () => number, intervalMs: number) {
		this.#now = now;
		this.#intervalMs = intervalMs;
	}

	/** How many of this kind were held back since the last one that passed; null: hold this one back too. */
	admit(kind: string): number | null {
		const known = this.#kinds.get(kind);
		const now = this.#now();
		if (known && now - known.loggedAt < this.#intervalMs) {
			known.held++;
			return null;
		}
		this.#kinds.set(kind, { loggedAt: now, held: 0 });
		return known?.held ?? 0;
	}
}
