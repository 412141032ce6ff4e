/**
 * One batch to the server; where a row fault stops it, it is halved until the offenders stand alone, and everything else is written
 * (a failed statement rolls back whole, and early). Decides nothing about waiting.
 *
 * Step 8 of a message's way (README).
 */
import type { TableLayout } from "../core/rows.ts";
import type { UpsertCounts } from "./cas-upsert.ts";
import type { Database } from "./database.ts";
import type { PendingRow } from "./pending-rows.ts";
import { rowParameters } from "./row-parameters.ts";
import { runUpsert } from "./run-upsert.ts";
import { problemOf, type SqlProblem } from "./sql-faults.ts";

/** What became of a batch. `left` was not written because of `problem`: the same rows again, later. */
export interface WriteResult {
	readonly written: PendingRow[];
	readonly refused: { readonly row: PendingRow; readonly problem: SqlProblem }[];
	readonly left: PendingRow[];
	readonly problem: SqlProblem | null;
	readonly counts: UpsertCounts;
}

const nothing: UpsertCounts = { inserted: 0, updated: 0, deleted: 0, suppressed: 0, stale: { replay: 0, older: 0, other_partition: 0 } };

/** Writes rows (one per id, sorted). Never rejects. */
export async function writeRows(database: Database, layout: TableLayout, statement: string, rows: PendingRow[]): Promise<WriteResult> {
	try {
		const counts = await runUpsert(database, layout, statement, rowParameters(layout, rows));
		return { written: rows, refused: [], left: [], problem: null, counts };
	} catch (error) {
		const problem = problemOf(error, writtenColumns(layout));
		const isolates = problem.fault === "row" || problem.fault === "split";
		const [only] = rows;
		if (isolates && rows.length > 1) return writeHalves(database, layout, statement, rows);
		if (problem.fault === "row" && only)
			return { written: [], refused: [{ row: only, problem }], left: [], problem: null, counts: nothing };
		// One row can't be there twice: it is a trigger or a default that found several of something.
		const fault = problem.fault === "split" ? "systemic" : problem.fault;
		return { written: [], refused: [], left: rows, problem: { ...problem, fault }, counts: nothing };
	}
}

async function writeHalves(database: Database, layout: TableLayout, statement: string, rows: PendingRow[]): Promise<WriteResult> {
	const middle = Math.ceil(rows.length / 2);
	const first = await writeRows(database, layout, statement, rows.slice(0, middle));
	// A fault that is not a row's would meet the other half as well.
	if (first.problem) return { ...first, left: [...first.left, ...rows.slice(middle)] };
	const second = await writeRows(database, layout, statement, rows.slice(middle));
	return {
		written: [...first.written, ...second.written],
		refused: [...first.refused, ...second.refused],
		left: [...first.left, ...second.left],
		problem: second.problem,
		counts: sumOf(first.counts, second.counts),
	};
}

/** The columns that hold what a message said; the others are ours, or their owner's. */
export function writtenColumns({ id, columns }: TableLayout): string[] {
	return [id.column, ...columns.map(({ name }) => name)];
}

function sumOf(left: UpsertCounts, right: UpsertCounts): UpsertCounts {
	return {
		inserted: left.inserted + right.inserted,
		updated: left.updated + right.updated,
		deleted: left.deleted + right.deleted,
		suppressed: left.suppressed + right.suppressed,
		stale: {
			replay: left.stale.replay + right.stale.replay,
			older: left.stale.older + right.stale.older,
			other_partition: left.stale.other_partition + right.stale.other_partition,
		},
	};
}
