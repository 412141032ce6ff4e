/**
 * How many of a table's lanes are used, one for each of the database's connections: one while it takes what comes, all from when it was left
 * behind until a second without. The more rows a statement has the less CPU of the server each takes (in statements of 5,000 rows 8 µs, of
 * 200 15, of 100 18, of 50 22, of 25 32), so two lanes in place of one would cost it a fifth more at 10,000 rows a second; with a backlog
 * all are full. That a lane is never idle is no reason for another: it takes more rows at a time. Pure.
 *
 * Step 7 of a message's way (docs/architecture.md).
 */

/** How long the others are kept once none is behind any more, ms: a backlog that comes in waves must not part its rows anew each time. */
const KEPT_MS = 1_000;

/** See the file's header. */
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
