/**
 * The rows of one partition that wait for other rows of it, in the log's order: which may be tried, which go into one statement, and what
 * happens to the superseded versions behind a row. Pure bookkeeping.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

import type { SqlProblem } from "../../database/sql-faults.ts";
import type { Trigger } from "../lane.ts";
import { chainOf, type PendingRow, type RowFigures } from "../sql/pending-rows.ts";

/** A held row. */
export interface HeldRow {
	readonly table: string;
	readonly row: PendingRow;
	readonly trigger: Trigger;
	/** Monotonic time at which it reached the writer. */
	readonly since: number;
	/** Why the last attempt failed. */
	readonly problem: SqlProblem;
}

/** Bookkeeping of one partition's held rows, in the order of the log. */
export class HeldPartition {
	#rows = new Set<HeldRow>();
	#sorted: readonly HeldRow[] | null = null;

	/**
	 * The rows that somebody still waits for. A row that nobody waits for is replaced by its superseded versions: a new owner's row may be
	 * among them.
	 */
	get rows(): readonly HeldRow[] {
		for (const held of this.#rows) {
			if (!held.row.owner.released) continue;
			this.remove(held);
			const older = held.row.superseded?.takeNewest() ?? null;
			if (older) this.add({ ...held, row: older });
		}
		this.#sorted ??= [...this.#rows].sort(({ row: left }, { row: right }) => left.offset - right.offset || left.order - right.order);
		return this.#sorted;
	}

	add(held: HeldRow): void {
		this.#rows.add(held);
		this.#sorted = null;
	}

	remove(held: HeldRow): void {
		this.#rows.delete(held);
		this.#sorted = null;
	}

	clear(): void {
		this.#rows.clear();
		this.#sorted = null;
	}

	/**
	 * Adds a row that was tried and refused, together with its superseded versions as rows of their own: one of them may be what the log
	 * needs in between. False if it has none.
	 */
	addAgain(held: HeldRow): boolean {
		const older = held.row.superseded?.takeNewest() ?? null;
		held.row.superseded = null;
		this.add(held);
		if (older) this.add({ ...held, row: older });
		return older !== null;
	}
}

/** How many rows wait including superseded ones, their bytes, and when the oldest arrived. */
export function figuresOf(rows: Iterable<HeldRow>): RowFigures {
	const figures = { rows: 0, bytes: 0, since: null as number | null };
	for (const { row, since } of rows) {
		figures.since = Math.min(figures.since ?? since, since);
		for (const { bytes } of chainOf(row)) {
			figures.rows++;
			figures.bytes += bytes;
		}
	}
	return figures;
}

/** Splits rows in the log's order into statements: rows of one table, at most one per id, within the limits. */
export function runsOf(rows: readonly HeldRow[], limits: { readonly maxRows: number; readonly maxBytes: number }): HeldRow[][] {
	const runs: HeldRow[][] = [];
	let ids = new Set<string>();
	let bytes = 0;
	for (const held of rows) {
		const { table, row } = held;
		const run = runs.at(-1);
		bytes += row.bytes;
		if (run && run[0]?.table === table && !ids.has(row.id) && run.length < limits.maxRows && bytes <= limits.maxBytes) run.push(held);
		else {
			runs.push([held]);
			ids = new Set();
			bytes = row.bytes;
		}
		ids.add(row.id);
	}
	return runs;
}
