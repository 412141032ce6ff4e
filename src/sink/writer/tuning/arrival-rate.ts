/**
 * Estimates how fast rows arrive at a lane, and whether waiting for more pays. On a quiet topic none would arrive in time; in a backlog
 * there are enough already. At 10,000 rows a second a linger of 5 ms brings 50 more; a row costs the server 18 µs in a statement of 100,
 * and 22 µs in one of 50 (docs/performance.md). Always waiting would delay a single row by the whole linger. Pure.
 */

/**
 * Number of lingers over which the rate is measured: long enough to tell a steady stream from a lone row, short enough to follow a change.
 */
const LINGERS_LOOKED_BACK = 10;
/** Minimum rows expected within a linger; fewer are never worth the wait. */
const LEAST_GAIN = 2;

/** Estimates how fast rows arrive at a lane, and how long to linger. Times in ms of a monotonic clock; `lingerMs` is `batch.lingerMs`. */
export class ArrivalRate {
	readonly #lingerMs: number;
	readonly #periodMs: number;
	/** Rows of about one period, as a decaying sum. */
	#recent = 0;
	#at = Number.NEGATIVE_INFINITY;

	constructor(lingerMs: number) {
		this.#lingerMs = lingerMs;
		this.#periodMs = Math.max(1, lingerMs) * LINGERS_LOOKED_BACK;
	}

	came(rows: number, now: number): void {
		this.#recent = this.#decayed(now) + rows;
		this.#at = now;
	}

	/** How long to wait with `atHand` rows, ms: `lingerMs` if at least as many again are expected, else 0. */
	lingerMs(atHand: number, now: number): number {
		const expected = (this.#decayed(now) / this.#periodMs) * this.#lingerMs;
		return expected >= Math.max(LEAST_GAIN, atHand) ? this.#lingerMs : 0;
	}

	#decayed(now: number): number {
		return this.#recent * Math.exp((this.#at - now) / this.#periodMs);
	}
}
