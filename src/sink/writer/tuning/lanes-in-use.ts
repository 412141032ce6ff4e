/**
 * How many write lanes of a table are in use, of one per connection: one as long as it keeps up; all once it was left behind, until it has
 * not been for a second. The more rows a statement has, the less CPU each row costs the server (in statements of 5,000 rows 8 µs, of 200
 * 15, of 100 18, of 50 22, of 25 32). So two lanes instead of one would cost a fifth more at 10,000 rows a second; in a backlog all lanes
 * are full. A lane that is never idle is no reason for another one: it takes more rows at a time. Pure.
 *
 * Step 7 of a message's way (docs/architecture.md).
 */

/** How long the others are kept once none is behind any more, ms: a backlog that comes in waves must not part its rows anew each time. */
const KEPT_MS = 1_000;

/** Decides how many of a table's lanes are used. */
export class LanesInUse {
	readonly #most: number;
	#behindAt = Number.NEGATIVE_INFINITY;
	#count = 1;

	/** `most`: one for each connection. */
	constructor(most: number) {
		this.#most = most;
	}

	/** 1 to `most`. */
	get count(): number {
		return this.#count;
	}

	/** A lane's statement ended at `now` (monotonic ms); `isBehind`: more waits for it than its next one may have. */
	answered(isBehind: boolean, now: number): void {
		if (isBehind) this.#behindAt = now;
		this.#count = now - this.#behindAt <= KEPT_MS ? this.#most : 1;
	}
}
