/**
 * Tunes how many rows a statement may have by the server's latency: as many as it answers within `answerMs`, between `minRows` and
 * `maxRows`. After a timeout the same statement would time out again, so it gets half as many rows, down to one; the number grows again
 * with success. A fast server always gets `maxRows`: 5,000 rows take 50 ms, and `answerMs` is 250. Pure.
 */

/** Successful statements before the size may double: if the server stays slow, at most a tenth of the statements fail. */
const SUCCESSES_UNTIL_LARGER = 10;
/** A statement filled to this share is as meaningful as a full one. */
const NEARLY_FULL = 0.8;
/** Maximum growth per step: answer times on a shared machine jump. */
const GROWTH = 1.5;

/** `batch.minRows`, `maxRows` and `answerMs` of the configuration. */
export interface SizeLimits {
	readonly minRows: number;
	readonly maxRows: number;
	readonly answerMs: number;
}

/** Decides how many rows a statement may have. */
export class StatementSize {
	readonly #limits: SizeLimits;
	#rows: number;
	#successes = 0;

	constructor(limits: SizeLimits) {
		this.#limits = limits;
		this.#rows = limits.maxRows;
	}

	/** Maximum rows of the next statement, at least 1. */
	get rows(): number {
		return this.#rows;
	}

	/** A statement with `rows` rows took too long. */
	failed(rows: number): void {
		this.#rows = Math.max(1, Math.floor(rows / 2));
		this.#successes = 0;
	}

	/** A statement with `rows` rows was answered in `durationMs`. */
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
