/**
 * Writes rows that can't be written as a batch, and held rows: in smaller statements, down to single rows, however long it takes. Reports
 * every row's result exactly once, or gives the row back: if only other rows are in its way, or if it is the only one that can't be
 * written.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Statement } from "../database/database.ts";
import type { SqlProblem } from "../database/sql-faults.ts";
import type { Trigger, Unsettled, WritingPlace } from "./lane.ts";
import { RefusedColumn } from "./refused/refused-column.ts";
import {
	noCounts,
	pendingRowsIn,
	type RefusedRow,
	type RowTarget,
	type StuckSearch,
	type WriteResult,
	writeRows,
} from "./refused/row-isolation.ts";
import { RowSearch, SEARCH_LIMITS } from "./refused/row-search.ts";
import { readFirstUpsert, type UpsertCounts } from "./sql/cas-upsert.ts";
import { chainOf, type PendingRow, type PendingRows } from "./sql/pending-rows.ts";
import { rowParameters } from "./sql/row-parameters.ts";
import { Samples, type Writing, type WritingParts } from "./writing.ts";

/** Rows to be written. */
export interface RowTask {
	/** The rows, one per id, in the log's order. */
	readonly rows: PendingRow[];
	/** Further rows, which come after these. */
	readonly pending: PendingRows;
	readonly trigger: Trigger;
	/** Monotonic time at which the oldest of them arrived. */
	readonly since: number;
	/** Earlier failures of the same rows in a row, and the last one's problem. */
	readonly failures: number;
	readonly firstProblem: SqlProblem | null;
	/** True if they are known to depend on each other: they are written one after the other, in the given order. */
	readonly inOrder: boolean;
	/** After this many rows were given back, the rest is given back untried. */
	readonly mostHeld: number;
	/** Gives this row back: other rows are in its way. */
	readonly held: (row: PendingRow, problem: SqlProblem) => void;
	/** Gives this row back: only this row failed, others did not. */
	readonly stuck: (row: PendingRow, problem: SqlProblem) => void;
	/** Rows that wait after all of these. They are tried together with the last few, to find out whether only those few can't be written. */
	readonly more?: () => PendingRows | null;
}

/** One attempt to write some rows. */
export interface RowTry extends Pick<RowTask, "trigger" | "inOrder" | "held"> {
	/** Takes back the superseded versions of refused rows. */
	readonly pending: PendingRows | null;
	readonly budget: RowTarget["budget"];
	/** Set if the rows are split because waiting did not help. */
	readonly search: StuckSearch | null;
	/** Called with the result before the rows' owners are told. */
	readonly settling: (result: WriteResult) => void;
}

/** Writes rows one by one if they can't be written as a batch. For one table. */
export class RowWriter {
	readonly #writing: Writing;
	readonly #statements: RowTarget["statements"];
	readonly #refusedColumn: RefusedColumn;

	constructor(writing: Writing) {
		this.#writing = writing;
		const { layout, parts } = writing;
		this.#statements = { byId: readFirstUpsert(layout), inOrder: readFirstUpsert(layout, { inGivenOrder: true }) };
		this.#refusedColumn = new RefusedColumn(parts.database, layout, this.#statements.byId);
	}

	get layout(): TableLayout {
		return this.#writing.layout;
	}

	/**
	 * Writes the task's rows. Resolves when every row's result was reported or the row was given back, or early if the writer ended. Never
	 * rejects.
	 */
	async write(place: WritingPlace, task: RowTask): Promise<void> {
		const { ended, listener, limits } = this.#parts;
		const { trigger, inOrder, held } = task;
		const size = place.statementSize;
		const budget = { held: task.mostHeld };
		const apart = new RowSearch(() => this.#writing.holders(), this.layout.name);
		let { failures, pending, rows: left } = task;
		if (task.firstProblem) apart.failed(task.firstProblem, failures);
		place.unsettled = unsettledOf(() => [...pending, ...left.flatMap((row) => [...chainOf(row)])], task.since);
		for (;;) {
			if (left.length === 0) left = pending.take(limits.maxRows, limits.maxBytes);
			if (left.length === 0) return;
			const search = apart.next();
			if (search && apart.wantsMore(left) && pending.size === 0) {
				pending = task.more?.() ?? pending;
				left = [...left, ...pending.take(limits.maxRows - left.length, limits.maxBytes)];
			}
			const sent = left.slice(0, size.rows);
			const rest = left.slice(size.rows);
			const settling = (result: WriteResult) => {
				left = [...pendingRowsIn(result.stuck), ...result.left, ...rest];
			};
			const tried = this.try(place, sent, { trigger, inOrder, held, pending, budget, search, settling });
			const { result: all, durationMs } = await apart.watch(search, tried);
			if (ended.aborted) return;
			const result = apart.judge(sent, all, search, failures);
			left = [...result.left, ...rest];
			for (const { row, problem } of result.stuck) task.stuck(row, problem);
			if (result.left.length < sent.length) failures = 0;
			if (!result.problem) {
				size.succeeded(sent.length, durationMs);
				listener.mended(place);
				continue;
			}
			const isSlow = result.problem.remedy === "smaller";
			if (isSlow) size.failed(sent.length);
			// A row that is slow by itself must not hold up the rows after it.
			left = isSlow ? [...rest, ...result.left] : [...result.left, ...rest];
			if (apart.areSlow(left) && pending.size === 0) {
				pending = task.more?.() ?? pending;
				left = [...pending.take(limits.maxRows, limits.maxBytes), ...left];
				if (apart.areSlow(left) && apart.hasAnswered) {
					for (const row of left) task.stuck(row, result.problem);
					left = [];
					listener.mended(place);
					continue;
				}
			}
			failures++;
			apart.failed(result.problem, failures);
			if (!(await this.#writing.waitAfter(result.problem, place, failures))) return;
		}
	}

	/** Tries rows once, and reports the results known by then. Never rejects. */
	async try(
		place: WritingPlace,
		rows: PendingRow[],
		{ trigger, inOrder, held, pending, budget, search, settling }: RowTry,
	): Promise<{ readonly result: WriteResult; readonly durationMs: number }> {
		const { ended, listener, database } = this.#parts;
		const limits = search ? SEARCH_LIMITS : undefined;
		const query: RowTarget["database"]["query"] = (text, parameters) => database.query(text, parameters, limits);
		const target = { database: { query }, layout: this.layout, statements: this.#statements, budget, search };
		const { answer, durationMs } = await this.#writing.timed(() => writeRows(target, rows, inOrder));
		if (ended.aborted) return { result: answer, durationMs };
		const result = { ...answer, refused: await this.#named(answer.refused) };
		if (ended.aborted) return { result, durationMs };
		settling(result);
		const { written, refused } = result;
		if (written.length + refused.length + result.held.length > 0) listener.progressed(place);
		const bytes = bytesOf(written) + bytesOf(pendingRowsIn(refused));
		// Comes first: settling the rows may wake a drain, which asks for what is still under way.
		for (const { row, problem } of result.held) held(row, problem);
		this.#settle(pending, result, { trigger, durationMs, bytes });
		// Listeners that these last results wake must see the final state.
		if (!result.problem && result.stuck.length === 0) listener.mended(place);
		return { result, durationMs };
	}

	/** The problem of a refused row, with the column that it is about. Never rejects. */
	async named({ row, problem }: RefusedRow): Promise<SqlProblem> {
		return (await this.#writing.timed(() => this.#refusedColumn.named(row, problem))).answer;
	}

	/** The statement that writes rows, in the given order or by id. */
	statement(rows: readonly PendingRow[], isById: boolean): Statement {
		const { byId, inOrder } = this.#statements;
		return { text: isById ? byId : inOrder, parameters: rowParameters(this.layout, rows) };
	}

	/** These rows were written. */
	written(rows: PendingRow[], counts: UpsertCounts, context: { readonly trigger: Trigger; readonly durationMs: number }): void {
		this.#settle(null, { written: rows, refused: [], counts }, { ...context, bytes: bytesOf(rows) });
	}

	/** These rows can never be written. */
	refuse(refused: RefusedRow[], trigger: Trigger): void {
		const bytes = bytesOf(pendingRowsIn(refused));
		this.#settle(null, { written: [], refused, counts: noCounts }, { trigger, durationMs: 0, bytes });
	}

	async #named(refused: readonly RefusedRow[]): Promise<RefusedRow[]> {
		const named: RefusedRow[] = [];
		for (const each of refused) named.push({ ...each, problem: await this.named(each) });
		return named;
	}

	get #parts(): WritingParts {
		return this.#writing.parts;
	}

	/** Reports every row's result. The newest superseded version of a refused row waits again in its place. */
	#settle(
		pending: PendingRows | null,
		{ written, refused, counts }: Pick<WriteResult, "written" | "refused" | "counts">,
		context: { trigger: Trigger; durationMs: number; bytes: number },
	): void {
		if (written.length + refused.length === 0) return;
		let coalesced = 0;
		const samples = new Samples();
		for (const row of written) {
			samples.add(row.topic, 1, () => row.timestamp);
			for (const settled of chainOf(row)) {
				if (settled !== row) coalesced++;
				settled.owner.settled(settled.message);
			}
		}
		for (const { row, problem } of refused) {
			const { superseded } = row;
			row.superseded = null;
			const fault = { table: this.layout.name, rowId: row.id, sqlstate: problem.code, message: problem.message };
			row.owner.refused(row.message, fault);
			if (superseded) pending?.putBack(superseded);
		}
		this.#writing.tell({ ...counts, rows: written.length, coalesced, refused: refused.length, ...context }, samples);
	}
}

/** Facts about rows under way, computed when somebody asks. */
export function unsettledOf(rows: () => readonly PendingRow[], since: number): Unsettled {
	const isOf = (row: PendingRow, { topic, partition }: TopicPartition) =>
		row.partition === partition && row.topic === topic && !row.owner.released;
	return {
		get allRows() {
			return rows().length;
		},
		get allBytes() {
			return bytesOf(rows());
		},
		get since() {
			return rows().length > 0 ? since : null;
		},
		holds: (partition, cameBy = Number.POSITIVE_INFINITY) => since <= cameBy && rows().some((row) => isOf(row, partition)),
	};
}

function bytesOf(rows: readonly PendingRow[]): number {
	let bytes = 0;
	for (const row of rows) bytes += row.bytes;
	return bytes;
}
