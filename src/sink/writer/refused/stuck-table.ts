/**
 * The stuck rows of one table: one per id, with its superseded versions, the time since when it is stuck, and its last error. Pure
 * bookkeeping.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { TableLayout } from "../../../core/rows/rows.ts";
import type { SqlProblem } from "../../database/sql-faults.ts";
import type { HeldFrom } from "../lane-writer.ts";
import { chainOf, type PendingRow, PendingRows } from "../sql/pending-rows.ts";

/** What is known about a stuck id. `sinceMs`: by the wall clock. */
export interface KnownStuck {
	readonly from: HeldFrom;
	readonly sinceMs: number;
	readonly problem: SqlProblem;
	/** True if it failed again since: worth reporting. */
	readonly isConfirmed: boolean;
}

/** Bookkeeping of one table's stuck rows, by id. */
export class StuckTable {
	readonly #layout: TableLayout;
	readonly #known = new Map<string, KnownStuck>();
	#waiting: PendingRows;
	#inHand: readonly PendingRow[] = [];

	constructor(layout: TableLayout) {
		this.#layout = layout;
		this.#waiting = new PendingRows(layout);
	}

	/** How many ids are stuck. */
	get size(): number {
		return this.#known.size;
	}

	get ids(): Iterable<string> {
		return this.#known.keys();
	}

	/** All stuck rows, including superseded versions. */
	get rows(): PendingRow[] {
		return [...this.#waiting, ...this.#inHand.flatMap((row) => [...chainOf(row)])];
	}

	known(id: string): KnownStuck | undefined {
		return this.#known.get(id);
	}

	add(row: PendingRow, known: KnownStuck): void {
		this.#known.set(row.id, known);
		this.#waiting.add(row);
	}

	/** Takes all rows that somebody waits for, to try them. */
	take(): PendingRow[] {
		const taken = this.#waiting.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
		const rows = taken.filter((row) => [...chainOf(row)].some(({ owner }) => !owner.released));
		this.#inHand = rows;
		this.#forgetGone();
		return rows;
	}

	/** These of the taken rows are still stuck. */
	left(rows: readonly PendingRow[]): void {
		this.#inHand = rows;
		this.#forgetGone();
	}

	/** Puts the taken rows back. */
	putBack(): void {
		for (const row of this.#inHand) this.#waiting.add(row);
		this.#inHand = [];
	}

	/** Notes the last problem of an id. */
	met(id: string, problem: SqlProblem): void {
		const known = this.#known.get(id);
		if (known) this.#known.set(id, { ...known, problem, isConfirmed: true });
	}

	get layout(): TableLayout {
		return this.#layout;
	}

	#forgetGone(): void {
		const there = new Set(this.rows.map(({ id }) => id));
		for (const id of this.#known.keys()) if (!there.has(id)) this.#known.delete(id);
	}
}
