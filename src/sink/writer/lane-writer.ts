/**
 * Writes a batch, however long it takes. As a whole, as the threads packed it; or row by row if one row stops the statement, if the
 * server needs smaller statements, or if its texts can't be joined as usual. Reports every row's result exactly once, except for rows that
 * it hands over to the held rows.
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

/** What a row was part of that only other rows stand in the way of. */
export interface HeldFrom {
	readonly table: string;
	readonly trigger: Trigger;
	/** Monotonic time at which the oldest of them came. */
	readonly since: number;
}

/** What it needs beside a table's writing. */
export interface LaneWriterParts {
	readonly rows: RowWriter;
	/** Takes a row that only other rows stand in the way of: it is tried again behind everything earlier of its partition. */
	readonly hold: (row: PendingRow, problem: SqlProblem, from: HeldFrom) => void;
	/**
	 * Takes a row that alone does not go in, or a later one of its id (`problem` null); and the ids that are stuck, null where there are
	 * none.
	 */
	readonly stick: (row: PendingRow, problem: SqlProblem | null, from: HeldFrom) => void;
	readonly stuckIds: (table: string) => Iterable<string> | null;
	/** A statement that wrote a whole batch was answered. */
	readonly answered: (lane: Lane) => void;
}

/**
 * Of so many rows of a batch it is found out one by one that they wait for others; more are no accident (their parents are on the way in
 * another lane), and cost two statements each.
 */
const MOST_HELD = 8;

/** Why a batch has to be taken apart; `problem` is null where no statement said so. */
interface Apart {
	readonly failures: number;
	readonly problem: SqlProblem | null;
}

/** What writes rows of any kind, or rows none of which is a delete. */
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

	/** Resolves when every row was told its fate or waits for others, or early where the writer was ended; never rejects. */
	async write(lane: Lane, batch: RowBatch, trigger: Trigger): Promise<void> {
		const stuck = this.#parts.stuckIds(this.#writing.layout.name);
		const isStuck = stuck !== null && batch.hasAny(stuck);
		const apart = isStuck ? { failures: 0, problem: null } : await this.#writeWhole(lane, batch, trigger);
		if (apart) await this.#writeRows(lane, batch, trigger, apart);
	}

	/** Null where it was written (or the writer ended). */
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
		// A drain that is woken by the last of them asks what is still under way.
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
