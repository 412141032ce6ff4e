/**
 * The stuck rows of one table: one per id, with the older versions that it supersedes; since when it is stuck, and its last error.
 * Pure bookkeeping.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { TableLayout } from "../../../core/rows/rows.ts";
import type { SqlProblem } from "../../database/sql-faults.ts";
import type { HeldFrom } from "../lane-writer.ts";
import { chainOf, type PendingRow, PendingRows } from "../sql/pending-rows.ts";

/** What is known of an id that is stuck. `sinceMs`: by the wall clock. */
export interface KnownStuck {
	readonly from: HeldFrom;
	readonly sinceMs: number;
	readonly problem: SqlProblem;
	/** Tried since it was found to be stuck, and still so: worth telling. */
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

	/** All of them, older versions included. */
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

	/** Takes all that somebody waits for in hand. */
	take(): PendingRow[] {
		const taken = this.#waiting.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
		const rows = taken.filter((row) => [...chainOf(row)].some(({ owner }) => !owner.released));
		this.#inHand = rows;
		this.#forgetGone();
		return rows;
	}

	/** Of those in hand these are left. */
	left(rows: readonly PendingRow[]): void {
		this.#inHand = rows;
		this.#forgetGone();
	}

	/** What is in hand waits again. */
	putBack(): void {
		for (const row of this.#inHand) this.#waiting.add(row);
		this.#inHand = [];
	}

	/** What an id met last. */
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
