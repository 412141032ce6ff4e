/**
 * How often a child may be restarted before its supervisor gives up: OTP's restart intensity (supervisor3 keeps the restarts of the
 * period and exceeds when there are more than the intensity), and beside it a bound on failures in a row whatever the time, because
 * a slow crash loop would never exceed a rate. Pure: asked with the time.
 *
 * A side way of a message's way (docs/architecture.md).
 */

/** Restart intensity of one child: more than `maxRestarts` within the period, or in a row, is too many. */
export class RestartIntensity {
	readonly #maxRestarts: number;
	readonly #withinMs: number;
	#restarts: number[] = [];
	#restartsInARow = 0;
	#failuresInARow = 0;

	/** More than `maxRestarts` (0 or more) within `withinMs`, or more than that many in a row without progress, is too much. */
	constructor(bounds: { maxRestarts: number; withinMs: number }) {
		this.#maxRestarts = bounds.maxRestarts;
		this.#withinMs = bounds.withinMs;
	}

	/** Failed attempts and restarts since the last progress. */
	get failuresInARow(): number {
		return this.#failuresInARow;
	}

	/** A failure that costs a restart happened at `nowMs` (monotonic). True where the intensity is exceeded. */
	restarted(nowMs: number): boolean {
		this.#restartsInARow++;
		this.#failuresInARow++;
		this.#restarts = this.#restarts.filter((at) => nowMs - at < this.#withinMs);
		this.#restarts.push(nowMs);
		return this.#restarts.length > this.#maxRestarts || this.#restartsInARow > this.#maxRestarts;
	}

	/** A failed attempt in a live thread: no restart (maxAttempts bounds those), but no progress either. */
	failed(): void {
		this.#failuresInARow++;
	}

	/** Messages were handled: the row of failures ends; the restarts of the period stay counted. */
	progressed(): void {
		this.#restartsInARow = 0;
		this.#failuresInARow = 0;
	}

	/** A person or a changed file asked for a new beginning. */
	reset(): void {
		this.progressed();
		this.#restarts = [];
	}
}
