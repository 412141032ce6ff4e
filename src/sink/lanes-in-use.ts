/**
 * How many of a table's lanes are used, two for each of the database's connections: as few as take the rows that come, because one
 * statement costs less than two half as large, and rows of one id meet more of their like in it. A lane that is never idle is no reason for
 * another, for it takes more rows at a time; one whose statements are half full as well is. Pure.
 */

/** While one lane's statement runs on a connection the next lane's is cut and joined: the server never waits for us. */
const LANES_PER_CONNECTION = 2;

/** Lanes of a writer with so many connections. */
export function lanesFor(connections: number): number {
	return connections * LANES_PER_CONNECTION;
}

/** Time over which a lane's work is averaged, ms. */
const PERIOD_MS = 1_000;
/** A lane is added where those in use are busier than this, on the average, and their statements fuller. */
const BUSY = 0.8;
const FULL = 0.5;
/** One is given up where the others would be no busier than this, or their statements no fuller. */
const EASY = 0.6;
const SPARSE = 0.3;
/** Weight of a statement in how full they are on the average. */
const STATEMENT_WEIGHT = 0.1;

/** What a statement's answer says. */
export interface Answered {
	readonly durationMs: number;
	/** Share of the rows or bytes that a statement may have, whichever is larger. */
	readonly fill: number;
	/** More waits for the lane than its next statement may have. */
	readonly isBehind: boolean;
}

/** See the file's header. `most` is what `lanesFor` gives. */
export class LanesInUse {
	readonly #most: number;
	#count = 1;
	/** Share of the time that statements were under way, summed over lanes, decaying. */
	#load = 0;
	/** How full statements are, on the average. */
	#fill = 0;
	#at: number | null = null;

	constructor(most: number) {
		this.#most = most;
	}

	/** 1 to `most`. */
	get count(): number {
		return this.#count;
	}

	/** A statement ended now. */
	answered({ durationMs, fill, isBehind }: Answered, now: number): void {
		const kept = this.#at === null ? 0 : Math.exp((this.#at - now) / PERIOD_MS);
		this.#load = this.#load * kept + durationMs / PERIOD_MS;
		this.#fill += (fill - this.#fill) * STATEMENT_WEIGHT;
		this.#at = now;
		if (isBehind || (this.#load > BUSY * this.#count && this.#fill > FULL)) this.#use(this.#count + 1);
		else if (this.#load < EASY * (this.#count - 1) || this.#fill * this.#count < SPARSE * (this.#count - 1)) this.#use(this.#count - 1);
	}

	#use(count: number): void {
		const next = Math.max(1, Math.min(this.#most, count));
		this.#fill *= this.#count / next;
		this.#count = next;
	}
}
