/**
 * Which lanes can't write, and what was reported about it. By lane, because a fault may affect only some rows of a table (a lock, a
 * trigger): the success of other lanes says nothing about it. Pure bookkeeping.
 */

import type { SqlProblem } from "../database/sql-faults.ts";
import type { WritingPlace } from "./lane.ts";

/** After so many failures of its batch in a row a lane counts as stuck: one retry is a hiccup, a second means that the database is away. */
const FAILURES_UNTIL_STUCK = 2;
/** No answer for 45 s is never just a hiccup. */
const NO_ANSWER = "QUERY_DEADLINE";

/** Remembers which lanes can't write, and what was reported about them. */
export class LaneTroubles {
	/** Lanes that wait for somebody to mend something. */
	readonly #blocked = new Set<WritingPlace>();
	/** Lanes whose batch failed twice or more in a row, or had no answer. */
	readonly #failing = new Set<WritingPlace>();
	/** The reported reason why each blocked table is blocked. */
	readonly #told = new Map<string, string>();

	/** True while a systemic fault keeps rows of some table from being written. */
	get blocked(): boolean {
		return this.#blocked.size > 0;
	}

	/** True while rows can't be written, for whatever reason. */
	get stuck(): boolean {
		return this.blocked || this.#failing.size > 0;
	}

	/** True while rows of this lane can't be written. */
	isLaneStuck(lane: WritingPlace): boolean {
		return this.#blocked.has(lane) || this.#failing.has(lane);
	}

	/** True while rows of this table can't be written. */
	isStuck(table: string): boolean {
		return [...this.#blocked, ...this.#failing].some(({ layout }) => layout.name === table);
	}

	/**
	 * A batch of the lane failed for the `failures`th time in a row. True if that blocks the table for a reason that was not reported yet.
	 */
	failed(lane: WritingPlace, { code, fault, message }: SqlProblem, failures: number): boolean {
		if (failures >= FAILURES_UNTIL_STUCK || code === NO_ANSWER) this.#failing.add(lane);
		if (fault !== "systemic" && fault !== "connection") return false;
		this.#blocked.add(lane);
		const { name } = lane.layout;
		if (this.#told.get(name) === message) return false;
		this.#told.set(name, message);
		return true;
	}

	/** Some rows of the lane's batch were written. */
	progressed(lane: WritingPlace): void {
		this.#failing.delete(lane);
	}

	/** The lane's rows can be written again. True if that unblocks the table: it was blocked, and no lane of it is any more. */
	mended(lane: WritingPlace): boolean {
		this.#failing.delete(lane);
		const { name } = lane.layout;
		if (!this.#blocked.delete(lane) || [...this.#blocked].some(({ layout }) => layout.name === name)) return false;
		this.#told.delete(name);
		return true;
	}
}
