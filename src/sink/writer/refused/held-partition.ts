/**
 * The rows of one partition that wait for others of it, in the log's order: which may be tried, what goes into a statement together, and
 * what becomes of one that stands for superseded versions. Pure bookkeeping.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

import type { SqlProblem } from "../../database/sql-faults.ts";
import type { Trigger } from "../lane.ts";
import { chainOf, type PendingRow } from "../sql/pending-rows.ts";

/** A row that waits. */
export interface HeldRow {
	readonly table: string;
	readonly row: PendingRow;
	readonly trigger: Trigger;
	/** Monotonic time at which it came to the writer. */
	readonly since: number;
	/** Why it was not taken the last time. */
	readonly problem: SqlProblem;
}

/** Bookkeeping of one partition's held rows, in the order of the log. */
export class HeldPartition {
	#rows = new Set<HeldRow>();
	#sorted: readonly HeldRow[] | null = null;

	/**
	 * Those that somebody still waits for. In the place of one that nobody waits for comes what it stands for: a new owner's may be among
	 * it.
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
	 * Adds a row that was tried and refused, parted from the superseded versions that it stands for: the log may have led over one of them to
	 * what it asks for. False where it stands for none.
	 */
	addAgain(held: HeldRow): boolean {
		const older = held.row.superseded?.takeNewest() ?? null;
		held.row.superseded = null;
		this.add(held);
		if (older) this.add({ ...held, row: older });
		return older !== null;
	}
}

/** Rows that wait, with those that they stand for: how many, their bytes, and when the oldest came. */
export function figuresOf(rows: Iterable<HeldRow>): { readonly rows: number; readonly bytes: number; readonly since: number | null } {
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

/** Rows in the log's order, cut into what goes into one statement: rows of one table and of as many ids, within the limits. */
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
