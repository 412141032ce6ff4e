/**
 * Decides how often a child may be restarted before its supervisor gives up. First, OTP's restart intensity: supervisor3 keeps the restarts
 * of the period, and more than the intensity are too many. Second, a limit on failures in a row, however far apart, because a slow crash
 * loop would never exceed a rate. Pure: the caller passes the time.
 *
 * Beside a message's way (docs/architecture.md).
 */

/** The restart intensity of one child. One per partition worker. */
export class RestartIntensity {
	readonly #maxRestarts: number;
	readonly #withinMs: number;
	#restarts: number[] = [];
	#restartsInARow = 0;
	#failuresInARow = 0;

	/**
	 * Exceeded by more than `maxRestarts` (0 or more) restarts within `withinMs`, or by more than that many failures in a row without
	 * progress.
	 */
	constructor(bounds: { maxRestarts: number; withinMs: number }) {
		this.#maxRestarts = bounds.maxRestarts;
		this.#withinMs = bounds.withinMs;
	}

	/** Failed attempts and restarts since the last progress. */
	get failuresInARow(): number {
		return this.#failuresInARow;
	}

	/** A failure at `nowMs` (monotonic) costs a restart. True if the intensity is exceeded. */
	restarted(nowMs: number): boolean {
		this.#restartsInARow++;
		this.#failuresInARow++;
		this.#restarts = this.#restarts.filter((at) => nowMs - at < this.#withinMs);
		this.#restarts.push(nowMs);
		return this.#restarts.length > this.#maxRestarts || this.#restartsInARow > this.#maxRestarts;
	}

	/** A failed attempt in a live thread: no restart (maxAttempts limits those), but no progress either. */
	failed(): void {
		this.#failuresInARow++;
	}

	/** Messages were handled: failures in a row are over; restarts of the period stay counted. */
	progressed(): void {
		this.#restartsInARow = 0;
		this.#failuresInARow = 0;
	}

	/** A person or a changed file asked to begin anew. */
	reset(): void {
		this.progressed();
		this.#restarts = [];
	}
}
