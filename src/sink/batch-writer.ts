/**
 * Where rows are taken and written: per table as many lanes as there are connections, an id always on the same lane. Sends a batch
 * again for as long as it takes, and reports every row's fate exactly once to its owner.
 *
 * Step 7 of a message's way (README).
 */

import { EventEmitter } from "eventemitter3";
import { fullJitter } from "../core/back-off.ts";
import type { Clock } from "../core/clock.ts";
import { lifetime } from "../core/lifetime.ts";
import type { TopicPartition } from "../core/message.ts";
import type { PackedBatch } from "../core/packed-batch.ts";
import type { Random } from "../core/random.ts";
import type { RowBlock, TableLayout } from "../core/rows.ts";
import { type UpsertCounts, upsertStatement } from "./cas-upsert.ts";
import type { Database } from "./database.ts";
import { type BatchLimits, Lane, type Trigger } from "./lane.ts";
import { LaneTroubles } from "./lane-troubles.ts";
import { chainOf, type PendingRow, type RowOwner } from "./pending-rows.ts";
import { writeRows } from "./row-isolation.ts";
import { hintFor, type SqlProblem } from "./sql-faults.ts";

/** Rows of a handled batch, and the way back. A partition worker's RowSubmission. */
export interface Submission extends TopicPartition, RowOwner {
	readonly batch: Pick<PackedBatch, "offsets" | "timestamps">;
	readonly blocks: readonly RowBlock[];
}

/** A batch whose rows are all settled or refused; counts are rows, and sum to those handed in. */
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

/** Past facts of the writer. */
export interface WriterEvents {
	"batch:written": (fact: WrittenFact) => void;
	"write:retried": (fact: { table: string; sqlstate: string; failures: number; delayMs: number; message: string }) => void;
	"table:blocked": (fact: { table: string; sqlstate: string; message: string; hint: string | null }) => void;
	"table:unblocked": (fact: { table: string }) => void;
}

/** What the writer is made of; `batch` is the configuration's. */
export interface WriterParts {
	readonly layouts: readonly TableLayout[];
	readonly database: Database;
	readonly connections: number;
	readonly batch: BatchLimits;
	readonly clock: Clock;
	readonly random: Random;
}

/** A database that is back must not wait long for its rows. */
const RETRY = { minMs: 100, maxMs: 5_000 };
/** Message timestamps per topic and batch that go to the latency histogram: enough for quantiles, cheap at any rate. */
const SAMPLES = 20;

interface LastError {
	readonly time: number;
	readonly table: string | null;
	readonly sqlstate: string | null;
	readonly message: string;
}

/** See the file's header. */
export class BatchWriter extends EventEmitter<WriterEvents> {
	readonly #parts: WriterParts;
	readonly #lanes: ReadonlyMap<string, readonly Lane[]>;
	readonly #troubles = new LaneTroubles();
	readonly #ended = lifetime();
	#inFlight = 0;
	#lastError: LastError | null = null;

	constructor(parts: WriterParts) {
		super();
		this.#parts = parts;
		const { clock, batch: limits, connections } = parts;
		const lanesOf = (layout: TableLayout): Lane[] => {
			const statement = upsertStatement(layout);
			const write = (lane: Lane, rows: PendingRow[], trigger: Trigger) => this.#write(lane, statement, rows, trigger);
			return Array.from({ length: connections }, () => new Lane({ layout, limits, clock, ended: this.#ended.signal, write }));
		};
		this.#lanes = new Map(parts.layouts.map((layout) => [layout.name, lanesOf(layout)]));
	}

	/** Rows that wait, coalesced ones included; those in flight not. */
	get queueRows(): number {
		return this.#sum(({ rows }) => rows);
	}

	get queueBytes(): number {
		return this.#sum(({ bytes }) => bytes);
	}

	/** How long the oldest waiting row has waited, in ms; null where none waits. */
	get oldestAgeMs(): number | null {
		const sinces = this.#allLanes().flatMap(({ since }) => since ?? []);
		return sinces.length === 0 ? null : this.#parts.clock.monotonic() - Math.min(...sinces);
	}

	/** Statements sent and not yet answered. */
	get inFlight(): number {
		return this.#inFlight;
	}

	get lastError(): LastError | null {
		return this.#lastError;
	}

	/** True while a systemic fault keeps rows of some table from being written. */
	get blocked(): boolean {
		return this.#troubles.blocked;
	}

	/** True while rows don't go in, for whatever reason: nothing that a drain should wait for. */
	get stuck(): boolean {
		return this.#troubles.stuck;
	}

	/** True while rows of this table don't go in. */
	isStuck(table: string): boolean {
		return this.#troubles.isStuck(table);
	}

	/** True while rows of this partition are on their way through lanes that are not stuck: what a drain waits for. */
	isMoving(partition: TopicPartition): boolean {
		return this.#allLanes().some((lane) => !this.#troubles.isLaneStuck(lane) && lane.holds(partition));
	}

	/** Takes rows; their fate is told to the submission. */
	write(submission: Submission): void {
		const touched = new Set<Lane>();
		for (const block of submission.blocks) this.#addBlock(submission, block, touched);
		for (const lane of touched) lane.cut();
	}

	/** Sends what waits, without lingering. */
	flush(): void {
		for (const lane of this.#allLanes()) lane.flush();
	}

	/** Gives up what is not written: nothing more is told to anybody. Idempotent. */
	async dispose(): Promise<void> {
		this.#ended.abort(new Error("the writer was ended"));
		for (const lane of this.#allLanes()) lane.dispose();
	}

	#addBlock(submission: Submission, block: RowBlock, touched: Set<Lane>): void {
		const lanes = this.#lanes.get(block.table);
		if (!lanes) throw new Error(`rows for ${block.table}, which is no configured table`);
		const { topic, partition, batch } = submission;
		const [{ layout }] = lanes as [Lane];
		const field =
			layout.version.kind === "field" ? layout.columns.findIndex(({ name }) => name === (layout.version as { column: string }).column) : -1;
		for (let row = 0; row < block.length; row++) {
			const message = block.messages[row] as number;
			const id = block.ids[row] as string;
			const values = block.columns.map((column) => column[row] as string | null);
			const lane = lanes[lanes.length === 1 ? 0 : hash(id) % lanes.length] as Lane;
			lane.add({
				id,
				isDelete: block.deletes[row] === 1,
				timestamp: Math.max(0, batch.timestamps[message] as number),
				offset: batch.offsets[message] as number,
				partition,
				topic,
				values,
				field: field < 0 ? null : (values[field] ?? null),
				owner: submission,
				message,
				bytes: block.bytes[row] as number,
				older: null,
			});
			touched.add(lane);
		}
	}

	async #write(lane: Lane, statement: string, rows: PendingRow[], trigger: Trigger): Promise<void> {
		this.#inFlight++;
		await this.#writeForSure(lane, statement, rows, trigger);
		this.#inFlight--;
	}

	/** Writes a batch however long it takes; returns early only where the writer was ended. */
	async #writeForSure(lane: Lane, statement: string, rows: PendingRow[], trigger: Trigger): Promise<void> {
		const { clock } = this.#parts;
		const size = lane.statementSize;
		let left = rows;
		for (let failures = 0; left.length > 0; ) {
			const sent = left.slice(0, size.rows);
			const rest = left.slice(size.rows);
			const startedAt = clock.monotonic();
			lane.unsettled = left;
			const result = await writeRows(this.#parts.database, lane.layout, statement, sent);
			if (this.#ended.signal.aborted) return;
			const durationMs = clock.monotonic() - startedAt;
			lane.unsettled = [...result.left, ...rest];
			if (result.written.length + result.refused.length > 0) {
				failures = 0;
				this.#troubles.progressed(lane);
				this.#settle(lane, result, { trigger, durationMs, bytes: bytesOf(sent) - bytesOf(result.left) });
			}
			if (!result.problem) {
				left = rest;
				size.succeeded();
				if (this.#troubles.mended(lane)) this.emit("table:unblocked", { table: lane.layout.name });
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

	/** Tells every row's fate. A refused row's next older version goes back to the lane. */
	#settle(
		lane: Lane,
		result: Awaited<ReturnType<typeof writeRows>>,
		context: { trigger: Trigger; durationMs: number; bytes: number },
	): void {
		let coalesced = 0;
		const timestamps = new Map<string, number[]>();
		for (const row of result.written) {
			const samples = timestamps.get(row.topic) ?? [];
			if (samples.length < SAMPLES) samples.push(row.timestamp > 0 ? row.timestamp : -1);
			timestamps.set(row.topic, samples);
			for (const settled of chainOf(row)) {
				if (settled !== row) coalesced++;
				settled.owner.settled(settled.message);
			}
		}
		for (const { row, problem } of result.refused) {
			const { older } = row;
			row.older = null;
			const fault = { table: lane.layout.name, rowId: row.id, sqlstate: problem.code, message: problem.message };
			row.owner.refused(row.message, fault);
			if (older) lane.putBack(older);
		}
		this.emit("batch:written", {
			table: lane.layout.name,
			rows: result.written.length,
			...result.counts,
			...context,
			coalesced,
			refused: result.refused.length,
			samples: [...timestamps].map(([topic, values]) => ({ topic, timestamps: values })),
		});
	}

	/** Waits before the next try of the same rows; false where the writer was ended meanwhile. */
	async #waitAfter(problem: SqlProblem, lane: Lane, failures: number): Promise<boolean> {
		const { clock, random } = this.#parts;
		const table = lane.layout.name;
		const { code, message } = problem;
		this.#lastError = { time: clock.now(), table, sqlstate: code, message };
		if (this.#troubles.failed(lane, problem, failures)) {
			this.emit("table:blocked", { table, sqlstate: code, message, hint: hintFor(problem, table) });
		}
		const delayMs = fullJitter(failures, RETRY, random);
		this.emit("write:retried", { table, sqlstate: code, failures, delayMs, message });
		await clock.sleep(delayMs, this.#ended.signal).catch(() => {});
		return !this.#ended.signal.aborted;
	}

	#allLanes(): Lane[] {
		return [...this.#lanes.values()].flat();
	}

	#sum(figure: (lane: Lane) => number): number {
		let sum = 0;
		for (const lanes of this.#lanes.values()) for (const lane of lanes) sum += figure(lane);
		return sum;
	}
}

function bytesOf(rows: readonly PendingRow[]): number {
	let bytes = 0;
	for (const row of rows) bytes += row.bytes;
	return bytes;
}

/** FNV-1a over the whole id: spreads ids that differ only at the end. */
function hash(id: string): number {
	let value = 0x811c9dc5;
	for (let i = 0; i < id.length; i++) value = Math.imul(value ^ id.charCodeAt(i), 0x01000193);
	return value >>> 0;
}
