/**
 * Rows that were tried again and still can't be written: when to split them, and what was found. The cause is either a single row (it is
 * locked, or a trigger or an extension fails on it) or the whole table. No row is refused here.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

import type { SqlProblem } from "../../database/sql-faults.ts";
import { LOCKED } from "../../database/sqlstate-names.ts";
import type { PendingRow } from "../sql/pending-rows.ts";
import { type AskLockHolders, describeHolders, type LockHolder } from "./lock-holders.ts";
import type { StuckSearch, WriteResult } from "./row-isolation.ts";

/** Up to this many rows can't show whether a row or its table is to blame: they are tried together with rows that wait behind them. */
const FEW = 3;
/** Failures in a row before a search: a second attempt often succeeds. */
const FAILURES_UNTIL_SEARCH = 2;
const LOCKED_UNTIL_SEARCH = 1;
/** Maximum failing statements of one search: each may wait for a lock, and keeps a connection. */
const MOST_FAILURES = 24;

/** Limits of a statement during a search: while it waits for a lock, it holds the locks of all rows before. */
export const SEARCH_LIMITS = { lockTimeoutMs: 200 };

/** Decides when rows that still fail are split to find the one at fault. One per task. */
export class RowSearch {
	readonly #ask: AskLockHolders;
	readonly #table: string;
	/** Failures in a row that begin the next search; null: the usual number for the problem. */
	#threshold: number | null = null;
	#isDue = false;
	#isLocked = false;
	#holders: readonly LockHolder[] = [];
	/** Rows that are slow by themselves, and whether other rows had an answer. */
	readonly #slow = new Set<PendingRow>();
	#hasAnswered = false;

	/** `ask` never rejects. */
	constructor(ask: AskLockHolders, table: string) {
		this.#ask = ask;
		this.#table = table;
	}

	/** The search for the next attempt; null if it is an ordinary one. */
	next(): StuckSearch | null {
		return this.#isDue ? { failures: MOST_FAILURES, alone: 0, answered: 0 } : null;
	}

	/** True if these rows alone can't show who is to blame. */
	wantsMore(rows: readonly PendingRow[]): boolean {
		return rows.length <= FEW;
	}

	/** Asks who holds the lock while the statement waits for it. */
	async watch<T>(search: StuckSearch | null, trying: Promise<T>): Promise<T> {
		if (!search || !this.#isLocked) return await trying;
		const [tried, holders] = await Promise.all([trying, this.#ask(this.#table)]);
		this.#holders = holders;
		return tried;
	}

	/** An attempt failed, for the `failures`th time in a row. */
	failed(problem: SqlProblem, failures: number): void {
		this.#isLocked = problem.code === LOCKED;
		const isDue = this.#threshold === null ? isToBeSearched(problem, failures) : failures >= this.#threshold;
		this.#isDue = problem.mayBeOneRows && isDue;
	}

	/** Evaluates an attempt with `sent`: if it was a search and shows that the table is to blame, no row is stuck. */
	judge(sent: readonly PendingRow[], result: WriteResult, search: StuckSearch | null, failures: number): WriteResult {
		const [first] = result.stuck;
		if (result.written.length + result.refused.length + result.held.length > 0) this.#hasAnswered = true;
		const [only] = sent;
		if (only && sent.length === 1 && result.problem?.remedy === "smaller") this.#slow.add(only);
		if (!search || !first) return result;
		const isTables =
			search.answered === 0 &&
			(sent.length > FEW || first.problem.fault === "systemic" || this.#holders.some(({ isOfTable }) => isOfTable));
		const stuck = result.stuck.map(({ row, problem }) => ({ row, problem: this.#withHolders(problem) }));
		// More of them may be among the rows left.
		this.#threshold = isTables ? 2 * (failures + 1) : 0;
		if (!isTables) return { ...result, stuck };
		const rows = stuck.map(({ row }) => row);
		return { ...result, stuck: [], left: [...rows, ...result.left], problem: this.#withHolders(result.problem ?? first.problem) };
	}

	/** True if only rows that are slow by themselves are left. */
	areSlow(rows: readonly PendingRow[]): boolean {
		return rows.length > 0 && rows.every((row) => this.#slow.has(row));
	}

	/** True if other rows of the task had an answer, so the table works. */
	get hasAnswered(): boolean {
		return this.#hasAnswered;
	}

	#withHolders(problem: SqlProblem): SqlProblem {
		return withHolders(problem, this.#holders, this.#table);
	}
}

/** True if rows that failed for this problem, `failures` times in a row, should be split. */
export function isToBeSearched({ mayBeOneRows, code }: SqlProblem, failures: number): boolean {
	return mayBeOneRows && failures >= (code === LOCKED ? LOCKED_UNTIL_SEARCH : FAILURES_UNTIL_SEARCH);
}

/** Adds who holds the lock to the problem, if it is about a lock and that is known. */
export function withHolders(problem: SqlProblem, holders: readonly LockHolder[], table: string): SqlProblem {
	const described = problem.code === LOCKED ? describeHolders(holders, table) : null;
	return described ? { ...problem, message: `${problem.message}; ${described.message}`, hint: described.hint } : problem;
}
