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

	/** True while rows of this table wait for somebody to mend something. */
	isBlocked(table: string): boolean {
		return [...this.#blocked].some(({ layout }) => layout.name === table);
	}

	/** True while rows of this table can't be written. */
	isStuck(table: string): boolean {
		return [...this.#blocked, ...this.#failing].some(({ layout }) => layout.name === table);
	}

	/**
	 * A batch of the lane failed for the `failures`th time in a row. blocked: that blocks the table for a reason that was not reported yet.
	 * failing: rows of the table can't be written from now on, and will be as soon as the fault passes. Null: nothing new.
	 */
	failed(lane: WritingPlace, { code, fault, message }: SqlProblem, failures: number): "blocked" | "failing" | null {
		const { name } = lane.layout;
		const wasStuck = this.isStuck(name);
		if (failures >= FAILURES_UNTIL_STUCK || code === NO_ANSWER) this.#failing.add(lane);
		if (fault !== "systemic" && fault !== "connection") return !wasStuck && this.isStuck(name) ? "failing" : null;
		this.#blocked.add(lane);
		if (this.#told.get(name) === message) return null;
		this.#told.set(name, message);
		return "blocked";
	}

	/** Some rows of the lane's batch were written. True if rows of the table could not be written, and now all lanes of it can. */
	progressed(lane: WritingPlace): boolean {
		return this.#failing.delete(lane) && !this.isStuck(lane.layout.name);
	}

	/** The lane's rows can be written again. True if rows of the table could not be written, and now all lanes of it can. */
	mended(lane: WritingPlace): boolean {
		const { name } = lane.layout;
		const wasStuck = this.isLaneStuck(lane);
		this.#failing.delete(lane);
		if (this.#blocked.delete(lane) && !this.isBlocked(name)) this.#told.delete(name);
		return wasStuck && !this.isStuck(name);
	}
}
