/**
 * Decides how many write lanes of a table are used, at most one per connection: one as long as it keeps up; all once it falls behind, until
 * none has been behind for a second. The more rows a statement has, the less CPU each row costs the server (8 µs in statements of 5,000
 * rows, 15 of 200, 18 of 100, 22 of 50, 32 of 25). So two lanes instead of one would cost a fifth more at 10,000 rows a second, while in a
 * backlog all lanes are full. A lane that is never idle is no reason for another one: it takes more rows at a time. Pure.
 *
 * Step 7 of a message's way (docs/architecture.md).
 */

/**
 * How long the other lanes are kept when none is behind any more, ms: a backlog that comes in waves must not redistribute its rows each
 * time.
 */
const KEPT_MS = 1_000;

/** Decides how many of a table's lanes are used. */
export class LanesInUse {
	readonly #most: number;
	#behindAt = Number.NEGATIVE_INFINITY;
	#count = 1;

	/** `most`: the number of connections. */
	constructor(most: number) {
		this.#most = most;
	}

	/** 1 to `most`. */
	get count(): number {
		return this.#count;
	}

	/** A lane's statement ended at `now` (monotonic ms). `isBehind`: more rows wait than its next statement may have. */
	answered(isBehind: boolean, now: number): void {
		if (isBehind) this.#behindAt = now;
		this.#count = now - this.#behindAt <= KEPT_MS ? this.#most : 1;
	}
}
