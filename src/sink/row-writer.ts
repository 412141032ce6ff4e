/**
 * Writes rows one by one as far as need be, however long it takes: those that can't be written as a whole, and those that wait for others.
 * Tells every row's fate exactly once, or gives it back where only other rows stand in its way.
 *
 * Step 8 of a message's way (README).
 */
import type { TopicPartition } from "../core/message.ts";
import type { TableLayout } from "../core/rows.ts";
import { readFirstUpsert } from "./cas-upsert.ts";
import type { Trigger, Unsettled, WritingPlace } from "./lane.ts";
import { chainOf, type PendingRow, type PendingRows } from "./pending-rows.ts";
import { noCounts, type RefusedRow, type WriteResult, writeRows } from "./row-isolation.ts";
import type { SqlProblem } from "./sql-faults.ts";
import { Samples, type Writing, type WritingParts } from "./writing.ts";

/** Rows to be written. */
export interface RowTask {
	/** One per id, in the log's order. */
	readonly rows: PendingRow[];
	/** More of them, which come behind. */
	readonly pending: PendingRows;
	readonly trigger: Trigger;
	/** Monotonic time at which the oldest of them came. */
	readonly since: number;
	/** Failures of the same rows in a row before. */
	readonly failures: number;
	/** They are known to depend on each other: written one after the other in the order in which they are given. */
	readonly inOrder: boolean;
	/** Behind so many that were given back the rest is given back untried. */
	readonly mostHeld: number;
	/** This row is given back: other rows stand in its way. */
	readonly held: (row: PendingRow, problem: SqlProblem) => void;
}

/** See the file's header. For one table. */
export class RowWriter {
	readonly #writing: Writing;
	readonly #statements: { readonly byId: string; readonly inOrder: string };

	constructor(writing: Writing) {
		this.#writing = writing;
		const { layout } = writing;
		this.#statements = { byId: readFirstUpsert(layout), inOrder: readFirstUpsert(layout, { inGivenOrder: true }) };
	}

	/** Resolves when every row was told its fate or given back, or early where the writer was ended; never rejects. */
	async write(place: WritingPlace, task: RowTask): Promise<void> {
		const { database, ended, listener, limits } = this.#parts;
		const size = place.statementSize;
		const { pending } = task;
		const budget = { held: task.mostHeld };
		const target = { database, layout: this.#writing.layout, statements: this.#statements, budget };
		let left = task.rows;
		place.unsettled = unsettledOf(() => [...pending, ...left.flatMap((row) => [...chainOf(row)])], task.since);
		for (let { failures } = task; ; ) {
			if (left.length === 0) left = pending.take(limits.maxRows, limits.maxBytes);
			if (left.length === 0) return;
			const sent = left.slice(0, size.rows);
			const rest = left.slice(size.rows);
			const write = () => writeRows(target, sent, task.inOrder);
			const { answer: result, durationMs } = await this.#writing.timed(write);
			if (ended.aborted) return;
			left = [...result.left, ...rest];
			if (result.left.length < sent.length) {
				failures = 0;
				listener.progressed(place);
				const bytes = bytesOf(result.written) + bytesOf(result.refused.map(({ row }) => row));
				// A drain that is woken by what is settled asks what is still under way.
				for (const { row, problem } of result.held) task.held(row, problem);
				this.#settle(pending, result, { trigger: task.trigger, durationMs, bytes });
			}
			if (!result.problem) {
				size.succeeded(sent.length, durationMs);
				listener.mended(place);
				continue;
			}
			const isSlow = result.problem.remedy === "smaller";
			if (isSlow) size.failed(sent.length);
			// A row that is slow by itself must not hold up those behind it.
			left = isSlow ? [...rest, ...result.left] : [...result.left, ...rest];
			failures++;
			if (!(await this.#writing.waitAfter(result.problem, place, failures))) return;
		}
	}

	/** These rows can't be written, now or ever. */
	refuse(refused: RefusedRow[], trigger: Trigger): void {
		this.#settle(
			null,
			{ written: [], refused, counts: noCounts },
			{ trigger, durationMs: 0, bytes: bytesOf(refused.map(({ row }) => row)) },
		);
	}

	get layout(): TableLayout {
		return this.#writing.layout;
	}

	get #parts(): WritingParts {
		return this.#writing.parts;
	}

	/** Tells every row's fate. A refused row's next older version goes back to what waits. */
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
			const { older } = row;
			row.older = null;
			const fault = { table: this.#writing.layout.name, rowId: row.id, sqlstate: problem.code, message: problem.message };
			row.owner.refused(row.message, fault);
			if (older) pending?.putBack(older);
		}
		this.#writing.tell({ ...counts, rows: written.length, coalesced, refused: refused.length, ...context }, samples);
	}
}

/** What is known of rows under way, looked up when somebody asks. */
function unsettledOf(rows: () => readonly PendingRow[], since: number): Unsettled {
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
		holds: (partition) => rows().some((row) => isOf(row, partition)),
	};
}

function bytesOf(rows: readonly PendingRow[]): number {
	let bytes = 0;
	for (const row of rows) bytes += row.bytes;
	return bytes;
}
