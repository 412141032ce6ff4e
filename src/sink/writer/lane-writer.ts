/**
 * Writes a batch, however long it takes: as a whole, as the threads packed it; or row by row if one row stops the statement, if the server
 * needs smaller statements, or if its texts can't be joined as usual. Reports every row's result exactly once, except for rows that it
 * hands over to the held or stuck rows.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

import { problemOf, type SqlProblem } from "../database/sql-faults.ts";
import type { Lane, Trigger } from "./lane.ts";
import type { RowBatch } from "./pending-blocks.ts";
import { writtenColumns } from "./refused/row-isolation.ts";
import { isToBeSearched } from "./refused/row-search.ts";
import type { RowWriter } from "./row-writer.ts";
import { readFirstUpsert, type UpsertCounts, writeFirstUpsert } from "./sql/cas-upsert.ts";
import type { PendingRow } from "./sql/pending-rows.ts";
import { blockParameters, type StatementLayout } from "./sql/row-parameters.ts";
import { runUpsert } from "./sql/run-upsert.ts";
import { UpsertForm } from "./tuning/upsert-form.ts";
import { Samples, type Writing } from "./writing.ts";

/** Where a held row comes from. */
export interface HeldFrom {
	readonly table: string;
	readonly trigger: Trigger;
	/** Monotonic time at which the oldest of them came. */
	readonly since: number;
}

/** What it needs beside `Writing`. */
export interface LaneWriterParts {
	readonly rows: RowWriter;
	/** Takes a row that only other rows keep from being written. It is tried again after everything earlier of its partition. */
	readonly hold: (row: PendingRow, problem: SqlProblem, from: HeldFrom) => void;
	/**
	 * `stick` takes a single row that can't be written, or a later row of its id (`problem` null). `stuckIds` returns the stuck ids of the
	 * table; null if there are none.
	 */
	readonly stick: (row: PendingRow, problem: SqlProblem | null, from: HeldFrom) => void;
	readonly stuckIds: (table: string) => Iterable<string> | null;
	/** A statement with a whole batch was answered. */
	readonly answered: (lane: Lane) => void;
}

/**
 * Maximum rows of a batch that are found one by one to wait for others; the rest is then held untried. Each costs two statements, and if
 * there are more than this, the parents of most rows are probably on the way in another lane.
 */
const MOST_HELD = 8;

/** Why a batch has to be split; `problem` is null if no statement failed. */
interface Apart {
	readonly failures: number;
	readonly problem: SqlProblem | null;
}

/** The statements for rows of any kind, and for rows without deletes. */
interface Statements {
	readonly layout: StatementLayout;
	readonly readFirst: string;
	readonly writeFirst: string;
}

/** Writes batches of one table, as a whole or row by row. */
export class LaneWriter {
	readonly #writing: Writing;
	readonly #parts: LaneWriterParts;
	readonly #statements: readonly Statements[];
	readonly #form = new UpsertForm();

	constructor(writing: Writing, parts: LaneWriterParts) {
		this.#writing = writing;
		this.#parts = parts;
		this.#statements = [false, true].map((withoutDeletes) => {
			const layout = { ...writing.layout, withoutDeletes };
			return { layout, readFirst: readFirstUpsert(layout), writeFirst: writeFirstUpsert(layout) };
		});
	}

	/** Resolves when every row's result was reported or the row waits for others, or early if the writer ended. Never rejects. */
	async write(lane: Lane, batch: RowBatch, trigger: Trigger): Promise<void> {
		const stuck = this.#parts.stuckIds(this.#writing.layout.name);
		const isStuck = stuck !== null && batch.hasAny(stuck);
		const apart = isStuck ? { failures: 0, problem: null } : await this.#writeWhole(lane, batch, trigger);
		if (apart) await this.#writeRows(lane, batch, trigger, apart);
	}

	/** Tries the batch as a whole. Null if it was written (or the writer ended). */
	async #writeWhole(lane: Lane, batch: RowBatch, trigger: Trigger): Promise<Apart | null> {
		const { ended, listener, limits } = this.#writing.parts;
		const size = lane.statementSize;
		lane.unsettled = batch;
		for (let failures = 0; ; ) {
			const isTooLarge = batch.rows > size.rows || (batch.rows > 1 && batch.bytes > limits.maxBytes);
			if (!batch.isUsual || isTooLarge) return { failures, problem: null };
			const answer = await this.#try(batch);
			if (ended.aborted) return null;
			if ("counts" in answer) {
				const { durationMs } = answer;
				size.succeeded(batch.rows, durationMs);
				listener.progressed(lane);
				this.#settleWhole(lane, batch, trigger, answer.counts, durationMs);
				listener.mended(lane);
				return null;
			}
			const { problem } = answer;
			if (problem.fault === "row" || problem.fault === "order" || problem.fault === "split") return { failures, problem };
			failures++;
			if (problem.remedy === "smaller") size.failed(batch.rows);
			if (!(await this.#writing.waitAfter(problem, lane, failures))) return null;
			const isSlowAlone = problem.remedy === "smaller" && batch.rows === 1;
			if (isSlowAlone || isToBeSearched(problem, failures)) return { failures, problem };
		}
	}

	async #try(batch: RowBatch): Promise<{ readonly counts: UpsertCounts; readonly durationMs: number } | { readonly problem: SqlProblem }> {
		const { layout, ...texts } = this.#statements[batch.hasDeletes ? 0 : 1] as Statements;
		const parameters = blockParameters(layout, batch.blocks);
		const { database } = this.#writing.parts;
		const readFirst = () => runUpsert(database, layout, texts.readFirst, parameters);
		const writeFirst = () => runUpsert(database, layout, texts.writeFirst, parameters, String(batch.rows));
		let { writesFirst } = this.#form;
		for (let isDoubtful = false; ; isDoubtful = true) {
			try {
				const { answer: counts, durationMs } = await this.#writing.timed(writesFirst ? writeFirst : readFirst);
				if (isDoubtful) this.#form.foundUnfit();
				this.#form.answered(counts);
				return { counts, durationMs };
			} catch (error) {
				const problem = problemOf(error, writtenColumns(layout));
				if (!writesFirst) return { problem };
				this.#form.failed();
				if (problem.fault !== "systemic") return { problem };
				writesFirst = false;
			}
		}
	}

	#settleWhole(lane: Lane, batch: RowBatch, trigger: Trigger, counts: UpsertCounts, durationMs: number): void {
		// Comes first: settling the last of these rows may wake a drain, which asks for what is still under way.
		lane.unsettled = null;
		const samples = new Samples();
		for (const { block, owner } of batch.blocks) {
			samples.add(owner.topic, block.length, (row) => owner.batch.timestamps[block.messages[row] as number] as number);
			owner.settledAll(block.messages);
		}
		const { rows, bytes, coalesced } = batch;
		this.#parts.answered(lane);
		this.#writing.tell({ ...counts, rows, bytes, coalesced, refused: 0, trigger, durationMs }, samples);
	}

	async #writeRows(lane: Lane, batch: RowBatch, trigger: Trigger, { failures, problem }: Apart): Promise<void> {
		const { hold, stick, rows: writer } = this.#parts;
		const from = { table: this.#writing.layout.name, trigger, since: batch.since };
		const pending = batch.toPendingRows();
		const stuck = this.#parts.stuckIds(from.table);
		if (stuck) for (const row of pending.takeThose(stuck)) stick(row, null, from);
		await writer.write(lane, {
			rows: [],
			pending,
			trigger,
			since: batch.since,
			failures,
			inOrder: problem?.fault === "order",
			firstProblem: problem,
			mostHeld: MOST_HELD,
			held: (row, why) => hold(row, why, from),
			stuck: (row, why) => stick(row, why, from),
			more: () => lane.takeMore()?.toPendingRows() ?? null,
		});
	}
}
