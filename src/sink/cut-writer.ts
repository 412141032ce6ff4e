/**
 * Writes a cut however long it takes: as a whole, as the threads packed it; row by row where a row of it stops the statement, where the
 * server needs smaller ones, or where its texts can't be joined as usual. Tells every row's fate exactly once.
 *
 * Step 8 of a message's way (README).
 */
import { fullJitter } from "../core/back-off.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { TableLayout } from "../core/rows.ts";
import { readFirstUpsert, type UpsertCounts, writeFirstUpsert } from "./cas-upsert.ts";
import type { Database } from "./database.ts";
import type { Lane, Trigger } from "./lane.ts";
import type { RowCut } from "./pending-blocks.ts";
import { chainOf, isAnyOf, type PendingRow, type PendingRows } from "./pending-rows.ts";
import { type WriteResult, writeRows, writtenColumns } from "./row-isolation.ts";
import { blockParameters } from "./row-parameters.ts";
import { runUpsert } from "./run-upsert.ts";
import { problemOf, type SqlProblem } from "./sql-faults.ts";
import type { StatementSlots } from "./statement-slots.ts";
import { UpsertForm } from "./upsert-form.ts";

/** Rows that are settled or refused; counts are rows, and sum to those handed in. */
export interface WrittenFact extends UpsertCounts {
	readonly table: string;
	/** Rows of the statement, without the coalesced ones. */
	readonly rows: number;
	readonly bytes: number;
	readonly trigger: Trigger;
	readonly coalesced: number;
	readonly refused: number;
	readonly durationMs: number;
	readonly samples: readonly { readonly topic: string; readonly timestamps: readonly number[] }[];
}

/** What it needs, and whom it tells. */
export interface CutWriterParts {
	readonly database: Database;
	/** The connections, shared by all lanes of all tables. */
	readonly slots: StatementSlots;
	readonly clock: Clock;
	readonly random: Random;
	readonly ended: AbortSignal;
	readonly limits: { readonly maxRows: number; readonly maxBytes: number };
	readonly listener: {
		/** A statement went in. */
		written(lane: Lane, fact: WrittenFact): void;
		/** Some row of the lane went in, or was refused. */
		progressed(lane: Lane): void;
		/** All that was sent went in. */
		mended(lane: Lane): void;
		/** A statement failed as a whole, so many times in a row; it is tried again in `delayMs`. */
		failed(lane: Lane, problem: SqlProblem, failures: number, delayMs: number): void;
	};
}

/** A database that is back must not wait long for its rows. */
const RETRY = { minMs: 100, maxMs: 5_000 };
/** Message timestamps per topic and batch that go to the latency histogram: enough for quantiles, cheap at any rate. */
const SAMPLES = 20;

/** See the file's header. For one table. */
export class CutWriter {
	readonly #parts: CutWriterParts;
	readonly #layout: TableLayout;
	readonly #readFirst: string;
	readonly #writeFirst: string;
	readonly #form = new UpsertForm();

	constructor(layout: TableLayout, parts: CutWriterParts) {
		this.#parts = parts;
		this.#layout = layout;
		this.#readFirst = readFirstUpsert(layout);
		this.#writeFirst = writeFirstUpsert(layout);
	}

	/** Resolves when every row was told its fate, or early where the writer was ended; never rejects. */
	async write(lane: Lane, cut: RowCut, trigger: Trigger): Promise<void> {
		const failures = await this.#writeWhole(lane, cut, trigger);
		if (failures !== null) await this.#writeRows(lane, cut, trigger, failures);
	}

	/** Null where it was written (or the writer ended); otherwise it has to be done row by row, after so many failures. */
	async #writeWhole(lane: Lane, cut: RowCut, trigger: Trigger): Promise<number | null> {
		const { ended, listener, limits } = this.#parts;
		const size = lane.statementSize;
		lane.unsettled = cut;
		for (let failures = 0; ; ) {
			const isTooLarge = cut.rows > size.rows || (cut.rows > 1 && cut.bytes > limits.maxBytes);
			if (!cut.isUsual || isTooLarge) return failures;
			const answer = await this.#try(cut);
			if (ended.aborted) return null;
			if ("counts" in answer) {
				const { durationMs } = answer;
				size.succeeded(cut.rows, durationMs);
				listener.progressed(lane);
				this.#settleWhole(lane, cut, trigger, answer.counts, durationMs);
				listener.mended(lane);
				return null;
			}
			const { problem } = answer;
			if (problem.fault === "row" || problem.fault === "split") return failures;
			failures++;
			if (problem.remedy === "smaller") size.failed(cut.rows);
			if (!(await this.#waitAfter(problem, lane, failures))) return null;
		}
	}

	async #try(cut: RowCut): Promise<{ readonly counts: UpsertCounts; readonly durationMs: number } | { readonly problem: SqlProblem }> {
		const parameters = blockParameters(this.#layout, cut.blocks);
		const { database } = this.#parts;
		const readFirst = () => runUpsert(database, this.#layout, this.#readFirst, parameters);
		const writeFirst = () => runUpsert(database, this.#layout, this.#writeFirst, parameters, String(cut.rows));
		let { writesFirst } = this.#form;
		for (let isDoubtful = false; ; isDoubtful = true) {
			try {
				const { answer: counts, durationMs } = await this.#timed(writesFirst ? writeFirst : readFirst);
				if (isDoubtful) this.#form.foundUnfit();
				this.#form.answered(counts);
				return { counts, durationMs };
			} catch (error) {
				const problem = problemOf(error, writtenColumns(this.#layout));
				if (!writesFirst) return { problem };
				this.#form.failed();
				if (problem.fault !== "systemic") return { problem };
				writesFirst = false;
			}
		}
	}

	/** What the database made of it, and in which time, without the wait for a connection. */
	#timed<T>(statement: () => Promise<T>): Promise<{ answer: T; durationMs: number }> {
		const { clock, slots } = this.#parts;
		return slots.run(async () => {
			const startedAt = clock.monotonic();
			return { answer: await statement(), durationMs: clock.monotonic() - startedAt };
		});
	}

	#settleWhole(lane: Lane, cut: RowCut, trigger: Trigger, counts: UpsertCounts, durationMs: number): void {
		// A drain that is woken by the last of them asks what is still under way.
		lane.unsettled = null;
		const samples = new Map<string, number[]>();
		for (const { block, owner } of cut.blocks) {
			const sampled = samples.get(owner.topic) ?? [];
			for (let row = 0; row < block.length && sampled.length < SAMPLES; row++) {
				sampled.push(sampleOf(owner.batch.timestamps[block.messages[row] as number] as number));
			}
			samples.set(owner.topic, sampled);
			owner.settledAll(block.messages);
		}
		const { rows, bytes, coalesced } = cut;
		this.#tell(lane, { ...counts, rows, bytes, coalesced, refused: 0, trigger, durationMs }, samples);
	}

	async #writeRows(lane: Lane, cut: RowCut, trigger: Trigger, failuresBefore: number): Promise<void> {
		const { database, ended, listener, limits } = this.#parts;
		const size = lane.statementSize;
		const pending = cut.toPendingRows();
		let left: PendingRow[] = [];
		const rows = () => [...pending, ...left.flatMap((row) => [...chainOf(row)])];
		lane.unsettled = {
			get allRows() {
				return rows().length;
			},
			get allBytes() {
				return bytesOf(rows());
			},
			since: cut.since,
			holds: ({ topic, partition }) => {
				const isIts = (row: PendingRow) => row.partition === partition && row.topic === topic && !row.owner.released;
				return pending.some(isIts) || left.some((row) => isAnyOf(row, isIts));
			},
		};
		for (let failures = failuresBefore; ; ) {
			if (left.length === 0) left = pending.take(limits.maxRows, limits.maxBytes);
			if (left.length === 0) return;
			const sent = left.slice(0, size.rows);
			const rest = left.slice(size.rows);
			const { answer: result, durationMs } = await this.#timed(() => writeRows(database, this.#layout, this.#readFirst, sent));
			if (ended.aborted) return;
			left = [...result.left, ...rest];
			if (result.written.length + result.refused.length > 0) {
				failures = 0;
				listener.progressed(lane);
				this.#settle(lane, pending, result, { trigger, durationMs, bytes: bytesOf(sent) - bytesOf(result.left) });
			}
			if (!result.problem) {
				size.succeeded(sent.length, durationMs);
				listener.mended(lane);
				continue;
			}
			const isSlow = result.problem.remedy === "smaller";
			if (isSlow) size.failed(sent.length);
			// A row that is slow by itself must not hold up those behind it.
			left = isSlow ? [...rest, ...result.left] : [...result.left, ...rest];
			failures++;
			if (!(await this.#waitAfter(result.problem, lane, failures))) return;
		}
	}

	/** Tells every row's fate. A refused row's next older version goes back to what waits. */
	#settle(lane: Lane, pending: PendingRows, result: WriteResult, context: { trigger: Trigger; durationMs: number; bytes: number }): void {
		let coalesced = 0;
		const samples = new Map<string, number[]>();
		for (const row of result.written) {
			const sampled = samples.get(row.topic) ?? [];
			if (sampled.length < SAMPLES) sampled.push(sampleOf(row.timestamp));
			samples.set(row.topic, sampled);
			for (const settled of chainOf(row)) {
				if (settled !== row) coalesced++;
				settled.owner.settled(settled.message);
			}
		}
		for (const { row, problem } of result.refused) {
			const { older } = row;
			row.older = null;
			const fault = { table: this.#layout.name, rowId: row.id, sqlstate: problem.code, message: problem.message };
			row.owner.refused(row.message, fault);
			if (older) pending.putBack(older);
		}
		const counts = { rows: result.written.length, coalesced, refused: result.refused.length };
		this.#tell(lane, { ...result.counts, ...counts, ...context }, samples);
	}

	#tell(lane: Lane, fact: Omit<WrittenFact, "table" | "samples">, samples: ReadonlyMap<string, readonly number[]>): void {
		const told = [...samples].map(([topic, timestamps]) => ({ topic, timestamps }));
		this.#parts.listener.written(lane, { table: this.#layout.name, ...fact, samples: told });
	}

	/** Waits before the next try of the same rows; false where the writer was ended meanwhile. */
	async #waitAfter(problem: SqlProblem, lane: Lane, failures: number): Promise<boolean> {
		const { clock, random, ended, listener } = this.#parts;
		const delayMs = fullJitter(failures, RETRY, random);
		listener.failed(lane, problem, failures, delayMs);
		await clock.sleep(delayMs, ended).catch(() => {});
		return !ended.aborted;
	}
}

/** -1 where the message has no timestamp. */
function sampleOf(timestamp: number): number {
	return timestamp > 0 ? timestamp : -1;
}

function bytesOf(rows: readonly PendingRow[]): number {
	let bytes = 0;
	for (const row of rows) bytes += row.bytes;
	return bytes;
}
