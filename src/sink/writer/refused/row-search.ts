/**
 * Rows that were tried again and still can't be written: when to split them, and what was found. The cause is either a single row (it is
 * locked, or a trigger or an extension fails on it) or the whole table. No row is refused here.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

import type { SqlProblem } from "../../database/sql-faults.ts";
import type { PendingRow } from "../sql/pending-rows.ts";
import { type AskLockHolders, describeHolders, type LockHolder } from "./lock-holders.ts";
import type { StuckSearch, WriteResult } from "./row-isolation.ts";

/** So few rows alone don't tell a row from its table: what waits behind them is tried with them. */
const FEW = 3;
/** A second try is a hiccup. */
const FAILURES_UNTIL_SEARCH = 2;
/** The try has waited for the lock as long as a batch may. */
const LOCKED = "55P03";
const LOCKED_UNTIL_SEARCH = 1;
/** Statements of one search that may fail: each may wait for a lock, and keeps a connection. */
const MOST_FAILURES = 24;

/** Decides when rows that still fail are taken apart to find the one at fault. For the rows of one task. */
export class RowSearch {
	readonly #ask: AskLockHolders;
	readonly #table: string;
	/** So many failures in a row begin a search; null: as is usual for what was met. */
	#threshold: number | null = null;
	#isDue = false;
	#isLocked = false;
	#holders: readonly LockHolder[] = [];
	/** Rows that are slow by themselves, and whether others had an answer. */
	readonly #slow = new Set<PendingRow>();
	#hasAnswered = false;

	/** `ask` never rejects. */
	constructor(ask: AskLockHolders, table: string) {
		this.#ask = ask;
		this.#table = table;
	}

	/** The search that the next try is; null where it is an ordinary one. */
	next(): StuckSearch | null {
		return this.#isDue ? { failures: MOST_FAILURES, alone: 0, answered: 0 } : null;
	}

	/** True where these rows alone would not tell. */
	wantsMore(rows: readonly PendingRow[]): boolean {
		return rows.length <= FEW;
	}

	/** Who holds the lock that is waited for is asked while it is. */
	async watch<T>(search: StuckSearch | null, trying: Promise<T>): Promise<T> {
		if (!search || !this.#isLocked) return await trying;
		const [tried, holders] = await Promise.all([trying, this.#ask(this.#table)]);
		this.#holders = holders;
		return tried;
	}

	/** A try failed, so many times in a row. */
	failed(problem: SqlProblem, failures: number): void {
		this.#isLocked = problem.code === LOCKED;
		const isDue = this.#threshold === null ? isToBeSearched(problem, failures) : failures >= this.#threshold;
		this.#isDue = problem.mayBeOneRows && isDue;
	}

	/** What a try of `sent` came to: where it was a search, and what was found is the table's matter, nobody is stuck. */
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
		// There may be more of them among what is left.
		this.#threshold = isTables ? 2 * (failures + 1) : 0;
		if (!isTables) return { ...result, stuck };
		const rows = stuck.map(({ row }) => row);
		return { ...result, stuck: [], left: [...rows, ...result.left], problem: this.#withHolders(result.problem ?? first.problem) };
	}

	/** True where nothing is left but rows that are slow by themselves. */
	areSlow(rows: readonly PendingRow[]): boolean {
		return rows.length > 0 && rows.every((row) => this.#slow.has(row));
	}

	/** True where other rows of the task had an answer: the table works. */
	get hasAnswered(): boolean {
		return this.#hasAnswered;
	}

	#withHolders(problem: SqlProblem): SqlProblem {
		return withHolders(problem, this.#holders, this.#table);
	}
}

/** True where rows that failed for this, so many times in a row, are to be taken apart. */
export function isToBeSearched({ mayBeOneRows, code }: SqlProblem, failures: number): boolean {
	return mayBeOneRows && failures >= (code === LOCKED ? LOCKED_UNTIL_SEARCH : FAILURES_UNTIL_SEARCH);
}

/** The problem with who holds the lock, where it is one and that is known. */
export function withHolders(problem: SqlProblem, holders: readonly LockHolder[], table: string): SqlProblem {
	const described = problem.code === LOCKED ? describeHolders(holders, table) : null;
	return described ? { ...problem, message: `${problem.message}; ${described.message}`, hint: described.hint } : problem;
}
