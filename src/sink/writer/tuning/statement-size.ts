/**
 * How many rows a statement may have, tuned by the server's latency: as many as it answers within `answerMs`, between `minRows` and
 * `maxRows`. After a timeout the same statement would time out again, so it gets half as many rows, down to a single one; the number grows
 * again with success. A fast server always gets `maxRows`: 5,000 rows take 50 ms, `answerMs` is 250. Pure.
 */

/** So many statements have to go well before one is twice as large: of a server that stays slow at most a tenth of them is in vain. */
const SUCCESSES_UNTIL_LARGER = 10;
/** A statement that holds this share of what it may hold says what a full one takes. */
const NEARLY_FULL = 0.8;
/** At most this much more at a time: answer times of a shared machine jump. */
const GROWTH = 1.5;

/** `batch.minRows`, `maxRows` and `answerMs` of the configuration. */
export interface StatementLimits {
	readonly minRows: number;
	readonly maxRows: number;
	readonly answerMs: number;
}

/** Decides how many rows a statement may have. */
export class StatementSize {
	readonly #limits: StatementLimits;
	#rows: number;
	#successes = 0;

	constructor(limits: StatementLimits) {
		this.#limits = limits;
		this.#rows = limits.maxRows;
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

	/** A statement of so many rows was answered in `durationMs`. */
	succeeded(rows: number, durationMs: number): void {
		const { minRows, maxRows, answerMs } = this.#limits;
		if (this.#rows < Math.min(minRows, maxRows)) {
			this.#growAfterTimeout();
			return;
		}
		if (rows < this.#rows * NEARLY_FULL) return;
		const fitting = Math.floor((rows * answerMs) / Math.max(1, durationMs));
		this.#rows = Math.max(Math.min(minRows, maxRows), Math.min(maxRows, fitting, Math.ceil(this.#rows * GROWTH)));
	}

	#growAfterTimeout(): void {
		if (++this.#successes < SUCCESSES_UNTIL_LARGER) return;
		this.#successes = 0;
		this.#rows = Math.min(this.#limits.maxRows, this.#rows * 2);
	}
}
