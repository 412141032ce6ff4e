/**
 * How many of a table's lanes are used, two for each of the database's connections: as few as take the rows that come in statements of a
 * fair duration, because one statement costs less than two half as large, and rows of one id meet more of their like in it. That a lane is
 * never idle is no reason for another: it takes more rows at a time. Pure.
 *
 * Step 7 of a message's way (docs/architecture.md).
 */
import { StatementCost } from "./statement-cost.ts";
import type { StatementLimits } from "./statement-size.ts";

/** While one lane's statement runs on a connection the next lane's is cut and joined: the server never waits for us. */
const LANES_PER_CONNECTION = 2;

/** Lanes of a writer with so many connections. */
export function lanesFor(connections: number): number {
	return connections * LANES_PER_CONNECTION;
}

/** Time over which the rate of rows is averaged, and for which no lane is given up after one was behind; ms. */
const PERIOD_MS = 1_000;
/** What a statement may take of `batch.answerMs` before its rows are shared with another lane: a row waits for the one before its own, too. */
const FAIR_SHARE = 1 / 6;
/** A fair duration is at least so many times what a statement without rows takes, up to `batch.answerMs`. */
const FAIR_BASES = 2;
/** Share of `batch.maxRows` up to which a lane is counted on. */
const FAIR_FILL = 0.5;
/** Lanes are added above the first share of what those in use can take, and given up below the second of what fewer could. */
const TIGHT = 0.9;
const LOOSE = 0.7;

/** What a statement's answer says. */
export interface Answered {
	readonly rows: number;
	readonly durationMs: number;
	/** More waits for the lane than its next statement may have. */
	readonly isBehind: boolean;
}

/** See the file's header. `most` is what `lanesFor` gives. */
export class LanesInUse {
	/** Numbers of lanes by which ids are parted evenly: a statement of half of all ids would take as long as those of the others together. */
	readonly #counts: readonly number[];
	readonly #connections: number;
	readonly #limits: Pick<StatementLimits, "maxRows" | "answerMs">;
	readonly #cost = new StatementCost();
	#chosen = 0;
	/** Rows of about one period, decaying. */
	#recent = 0;
	#at: number | null = null;
	#behindAt = Number.NEGATIVE_INFINITY;

	constructor(most: number, limits: Pick<StatementLimits, "maxRows" | "answerMs">) {
		this.#counts = Array.from({ length: most }, (_, index) => index + 1).filter((count) => most % count === 0);
		this.#connections = most / LANES_PER_CONNECTION;
		this.#limits = limits;
	}

	/** 1 to `most`. */
	get count(): number {
		return this.#counts[this.#chosen] as number;
	}

	/** A statement ended now. */
	answered({ rows, durationMs, isBehind }: Answered, now: number): void {
		const kept = this.#at === null ? 0 : Math.exp((this.#at - now) / PERIOD_MS);
		this.#recent = this.#recent * kept + rows;
		this.#at = now;
		this.#cost.answered(rows, durationMs);
		const needed = this.#recent / PERIOD_MS / this.#rowsPerMs();
		if (isBehind) this.#behindAt = now;
		const fewer = this.#counts[this.#chosen - 1] ?? 0;
		// More than one a connection only spare the server our own part: worth it where rows are left behind, and as long as they are.
		const isShort = needed > TIGHT * this.count && this.count < this.#connections;
		const isSpare = needed < LOOSE * fewer || this.count > this.#connections;
		if (isBehind || isShort) this.#chosen = Math.min(this.#counts.length - 1, this.#chosen + 1);
		else if (isSpare && this.#chosen > 0 && now - this.#behindAt > PERIOD_MS) this.#chosen--;
	}

	/** Rows that one lane takes in statements of a fair duration. */
	#rowsPerMs(): number {
		const { maxRows, answerMs } = this.#limits;
		const { baseMs, rowMs } = this.#cost.get();
		const fairMs = Math.min(answerMs, Math.max(FAIR_SHARE * answerMs, FAIR_BASES * baseMs));
		const rows = Math.max(1, Math.min(FAIR_FILL * maxRows, (fairMs - baseMs) / rowMs));
		return rows / (baseMs + rows * rowMs);
	}
}
