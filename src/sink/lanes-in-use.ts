/**
 * How many of a table's lanes are used, two for each of the database's connections: one while it answers faster than rows come, because one
 * statement costs less than two half as large; more while statements leave rows behind or a lane is never idle. Pure.
 */

/** While one lane's statement runs on a connection the next lane's is cut and joined: the server never waits for us. */
const LANES_PER_CONNECTION = 2;

/** Lanes of a writer with so many connections. */
export function lanesFor(connections: number): number {
	return connections * LANES_PER_CONNECTION;
}

/** Time over which a lane's work is averaged, ms. */
const PERIOD_MS = 1_000;
/** Lanes are added while those in use are busier than this, on the average. */
const BUSY = 0.8;
/** One is given up where the others would have to be no busier than this. */
const EASY = 0.6;

/** See the file's header. `most` is what `lanesFor` gives. */
export class LanesInUse {
	readonly #most: number;
	#count = 1;
	/** Share of the time that statements were under way, summed over lanes, decaying. */
	#load = 0;
	#at: number | null = null;

	constructor(most: number) {
		this.#most = most;
	}

	/** 1 to `most`. */
	get count(): number {
		return this.#count;
	}

	/** A statement took `durationMs` and ended now; `isBehind`: it left more rows waiting than it took. */
	answered(durationMs: number, isBehind: boolean, now: number): void {
		const kept = this.#at === null ? 0 : Math.exp((this.#at - now) / PERIOD_MS);
		this.#load = this.#load * kept + durationMs / PERIOD_MS;
		this.#at = now;
		if (isBehind || this.#load > BUSY * this.#count) this.#count = Math.min(this.#most, this.#count + 1);
		else if (this.#load < EASY * (this.#count - 1)) this.#count--;
	}
}
