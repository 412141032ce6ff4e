/**
 * The messages whose rows are written together, and the statements that write a run of them in one transaction. Only the newest row of each
 * id is sent and supersedes the others, as in any batch. Pure.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { RowBlock, TableLayout } from "../../../core/rows/rows.ts";
import type { SqlProblem } from "../../database/sql-faults.ts";
import { type BlockOwner, pendingRowsOf, type Submission } from "../pending-blocks.ts";
import { chainOf, type PendingRow, PendingRows, type RowFigures } from "../sql/pending-rows.ts";
import type { TogetherStatement } from "../together-writer.ts";

/** A row and its table. */
export interface AtomicRow {
	readonly table: string;
	readonly row: PendingRow;
}

/** The rows of one message, in tables with `atomic: message`. */
export interface AtomicMessage {
	readonly owner: BlockOwner;
	readonly offset: number;
	/** Monotonic time at which it arrived. */
	readonly since: number;
	readonly rows: AtomicRow[];
	bytes: number;
}

/** by-id: a statement per table, in the order of ids · in-order: in the log's order · one-by-one: a statement per row. */
export type RunForm = "by-id" | "in-order" | "one-by-one";

/** What building statements needs: the tables in the order in which they are written, and the limits of a statement. */
export interface AtomicRunParts {
	readonly layouts: ReadonlyMap<string, TableLayout>;
	readonly order: readonly string[];
	readonly limits: { readonly maxRows: number; readonly maxBytes: number };
}

/** The messages of these blocks, in the log's order. */
export function messagesIn(
	submission: Submission,
	blocks: readonly RowBlock[],
	layouts: ReadonlyMap<string, TableLayout>,
	since: number,
): AtomicMessage[] {
	const messages = new Map<number, AtomicMessage>();
	let order = 0;
	for (const block of blocks) {
		const { table } = block;
		for (const row of pendingRowsOf(block, submission, layouts.get(table) as TableLayout, order)) {
			const known = messages.get(row.message);
			const message = known ?? { owner: submission, offset: row.offset, since, rows: [], bytes: 0 };
			if (!known) messages.set(row.message, message);
			message.rows.push({ table, row });
			message.bytes += row.bytes;
		}
		order += block.messages.length;
	}
	return [...messages.values()].sort((left, right) => left.offset - right.offset);
}

/** The statements that write these messages in one transaction. */
export function statementsOf(
	run: readonly AtomicMessage[],
	form: RunForm,
	{ layouts, order, limits }: AtomicRunParts,
): TogetherStatement[] {
	const byTable = new Map<string, PendingRows>();
	for (const { rows } of run) {
		for (const { table, row } of rows) {
			// It may still supersede others, from an earlier attempt.
			row.superseded = null;
			const pending = byTable.get(table) ?? new PendingRows(layouts.get(table) as TableLayout);
			byTable.set(table, pending);
			pending.add(row);
		}
	}
	const maxRows = form === "one-by-one" ? 1 : limits.maxRows;
	return order.flatMap((table) => {
		const statements: TogetherStatement[] = [];
		const rows = byTable.get(table)?.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY) ?? [];
		const sorted = rows.sort((left, right) => left.offset - right.offset || left.order - right.order);
		for (const chunk of chunksOf(sorted, maxRows, limits.maxBytes)) {
			statements.push({ table, rows: chunk, isAside: false, isById: form === "by-id" });
		}
		return statements;
	});
}

/** True if some of the rows are to blame, whenever they are tried. */
export function isDefinite({ fault }: SqlProblem): boolean {
	return fault === "row" || fault === "order" || fault === "split";
}

/** Rows and bytes of messages, including superseded ones. */
export function sizeOf(messages: Iterable<AtomicMessage>): RowFigures {
	const size = { rows: 0, bytes: 0, since: null as number | null };
	for (const { rows, bytes, since } of messages) {
		size.rows += rows.length;
		size.bytes += bytes;
		size.since = Math.min(size.since ?? since, since);
	}
	return size;
}

/** The row of this message at which the statement failed: the failed row, or one that it supersedes. */
export function rowAt(message: AtomicMessage, statement: TogetherStatement | undefined): AtomicRow {
	const failed = new Set((statement?.rows ?? []).flatMap((row) => [...chainOf(row)]));
	return message.rows.find(({ row }) => failed.has(row)) ?? (message.rows[0] as AtomicRow);
}

function* chunksOf(rows: readonly PendingRow[], maxRows: number, maxBytes: number): Generator<PendingRow[]> {
	let chunk: PendingRow[] = [];
	let bytes = 0;
	for (const row of rows) {
		if (chunk.length > 0 && (chunk.length >= maxRows || bytes + row.bytes > maxBytes)) {
			yield chunk;
			chunk = [];
			bytes = 0;
		}
		chunk.push(row);
		bytes += row.bytes;
	}
	if (chunk.length > 0) yield chunk;
}
