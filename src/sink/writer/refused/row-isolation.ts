/**
 * Sends one batch to the server. If a row fault stops it, it is halved until the offenders are alone, and all other rows are written (a
 * failed statement is rolled back as a whole, and fails early). Decides nothing about waiting.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { TableLayout } from "../../../core/rows/rows.ts";
import type { Database } from "../../database/database.ts";
import type { SqlFault } from "../../database/sql-fault-catalogue.ts";
import { problemOf, type SqlProblem } from "../../database/sql-faults.ts";
import type { UpsertCounts } from "../sql/cas-upsert.ts";
import type { PendingRow } from "../sql/pending-rows.ts";
import { rowParameters } from "../sql/row-parameters.ts";
import { runUpsert } from "../sql/run-upsert.ts";

/**
 * The result of a batch. `held`: only other rows are in the way. `stuck`: rows that failed alone while others did not. `left`: not written
 * because of `problem`; the same rows again, later.
 */
export interface WriteResult {
	readonly written: PendingRow[];
	readonly refused: RefusedRow[];
	readonly held: RefusedRow[];
	readonly stuck: RefusedRow[];
	readonly left: PendingRow[];
	readonly problem: SqlProblem | null;
	readonly counts: UpsertCounts;
}

/** A row that was not written, and why. */
export interface RefusedRow {
	readonly row: PendingRow;
	readonly problem: SqlProblem;
}

/** The rows alone. */
export function pendingRowsIn(refused: readonly RefusedRow[]): PendingRow[] {
	return refused.map(({ row }) => row);
}

/** The target of rows: a table, and its statement, which writes by id or in the given order. */
export interface RowTarget {
	readonly database: Pick<Database, "query">;
	readonly layout: TableLayout;
	readonly statements: { readonly byId: string; readonly inOrder: string };
	/**
	 * How many more rows may be held before the rest is held untried: if most of a batch waits for another batch, looking for each is
	 * useless.
	 */
	readonly budget: { held: number };
	/** Set if the batch is split because waiting did not help. */
	readonly search: StuckSearch | null;
}

/** The progress of a search for single rows that cause their batch's failure. */
export interface StuckSearch {
	/** How many more statements may fail: each may wait for a lock. */
	failures: number;
	/** Rows that failed alone, and rows with an answer. */
	alone: number;
	answered: number;
}

/** If this many rows fail alone and none succeeds, the table is to blame, not the rows. */
const ALONE_UNTIL_TABLE = 3;

/** Counts of zero rows. */
export const noCounts: UpsertCounts = {
	inserted: 0,
	updated: 0,
	deleted: 0,
	suppressed: 0,
	stale: { replay: 0, older: 0, other_partition: 0 },
};

/** Writes rows (one per id, in the log's order). `inOrder`: they are known to depend on each other. Never rejects. */
export async function writeRows(target: RowTarget, rows: PendingRow[], inOrder: boolean): Promise<WriteResult> {
	const { database, layout, statements, budget, search } = target;
	const nothing = { written: [], refused: [], held: [], stuck: [], left: [], problem: null, counts: noCounts };
	try {
		const counts = await runUpsert(database, layout, inOrder ? statements.inOrder : statements.byId, rowParameters(layout, rows));
		if (search) search.answered += rows.length;
		return { ...nothing, written: rows, counts };
	} catch (error) {
		const problem = problemOf(error, writtenColumns(layout));
		const [only] = rows;
		if (rows.length > 1) {
			// By id, `a` would come before the `z` that made room for it.
			if (problem.fault === "order" && !inOrder) return writeRows(target, rows, true);
			if (isolated.has(problem.fault)) return writeHalves(target, rows, inOrder);
			if (search && problem.mayBeOneRows && --search.failures > 0) return writeHalves(target, rows, inOrder);
		} else if (only) {
			if (search && problem.mayBeOneRows) {
				search.alone++;
				return { ...nothing, stuck: [{ row: only, problem }] };
			}
			if (search && isolated.has(problem.fault)) search.answered++;
			if (problem.fault === "row") return { ...nothing, refused: [{ row: only, problem }] };
			if (problem.fault === "order") {
				budget.held--;
				return { ...nothing, held: [{ row: only, problem }] };
			}
		}
		// One row can't conflict with itself: a trigger or a default found several rows of something.
		const fault = problem.fault === "split" ? "systemic" : problem.fault;
		return { ...nothing, left: rows, problem: { ...problem, fault } };
	}
}

/** Faults that concern only some of a batch's rows. */
const isolated: ReadonlySet<SqlFault> = new Set(["row", "order", "split"]);

async function writeHalves(target: RowTarget, rows: PendingRow[], inOrder: boolean): Promise<WriteResult> {
	const middle = Math.ceil(rows.length / 2);
	const first = await writeRows(target, rows.slice(0, middle), inOrder);
	const others = rows.slice(middle);
	// A fault that is not a row's would also stop the other half.
	if (first.problem) return { ...first, left: [...first.left, ...others] };
	const { search } = target;
	const [stuck] = first.stuck;
	if (search && stuck && (search.failures <= 0 || (search.answered === 0 && search.alone >= ALONE_UNTIL_TABLE))) {
		return { ...first, left: others, problem: stuck.problem };
	}
	const [why] = first.held;
	if (why && target.budget.held <= 0) return { ...first, held: [...first.held, ...others.map((row) => ({ ...why, row }))] };
	const second = await writeRows(target, others, inOrder);
	return {
		written: [...first.written, ...second.written],
		refused: [...first.refused, ...second.refused],
		held: [...first.held, ...second.held],
		stuck: [...first.stuck, ...second.stuck],
		left: [...first.left, ...second.left],
		problem: second.problem,
		counts: sumOf(first.counts, second.counts),
	};
}

/** The columns that hold a message's values; the others are PocKaffe's, or the owner's. */
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
