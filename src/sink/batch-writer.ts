/**
 * Where rows are taken: per table as many lanes as keep the connections busy and as are worth it, an id on one of them; each lane has one
 * cut in hand at a time. Where the number changes an id may be in two for a moment: the server decides by version, and locks in the order
 * of ids.
 *
 * Step 7 of a message's way (README).
 */

import { EventEmitter } from "eventemitter3";
import type { Clock } from "../core/clock.ts";
import { lifetime } from "../core/lifetime.ts";
import type { TopicPartition } from "../core/message.ts";
import type { Random } from "../core/random.ts";
import type { RowBlock, TableLayout } from "../core/rows.ts";
import { CutWriter, type CutWriterParts, type WrittenFact } from "./cut-writer.ts";
import type { Database } from "./database.ts";
import { type BatchLimits, Lane, type Trigger } from "./lane.ts";
import { LaneTroubles } from "./lane-troubles.ts";
import { LanesInUse, lanesFor } from "./lanes-in-use.ts";
import type { BlockOwner, RowCut } from "./pending-blocks.ts";
import { hintFor, type SqlProblem } from "./sql-faults.ts";
import { StatementSlots } from "./statement-slots.ts";

/** Rows of a handled batch, and the way back. A partition worker's RowSubmission. */
export interface Submission extends BlockOwner {
	readonly blocks: readonly RowBlock[];
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
	readonly #inUse: ReadonlyMap<string, LanesInUse>;
	readonly #troubles = new LaneTroubles();
	readonly #ended = lifetime();
	#inFlight = 0;
	#lastError: LastError | null = null;

	constructor(parts: WriterParts) {
		super();
		this.#parts = parts;
		const { clock, random, database, batch: limits, connections } = parts;
		const ended = this.#ended.signal;
		const cuts = { database, slots: new StatementSlots(connections), clock, random, ended, limits, listener: this.#listener() };
		const lanesOf = (layout: TableLayout): Lane[] => {
			const cutWriter = new CutWriter(layout, cuts);
			const write = (lane: Lane, cut: RowCut, trigger: Trigger) => this.#write(cutWriter, lane, cut, trigger);
			return Array.from({ length: lanesFor(connections) }, () => new Lane({ layout, limits, clock, ended, write }));
		};
		this.#lanes = new Map(parts.layouts.map((layout) => [layout.name, lanesOf(layout)]));
		this.#inUse = new Map(parts.layouts.map(({ name }) => [name, new LanesInUse(lanesFor(connections), limits)]));
	}

	/** Rows that are not settled yet, superseded ones and those in flight included. */
	get queueRows(): number {
		return this.#sum(({ rows }) => rows);
	}

	get queueBytes(): number {
		return this.#sum(({ bytes }) => bytes);
	}

	/** How long ago the oldest row came that is not settled yet, in ms; null where there is none. */
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

	/** What was chosen by the database's answers and the rate of rows, per table: rows of a statement, lanes, and how long a row waits for others (ms). */
	get choices(): readonly { readonly table: string; readonly statementRows: number; readonly lanes: number; readonly lingerMs: number }[] {
		return [...this.#lanes].map(([table, lanes]) => {
			const inUse = lanes.slice(0, this.#inUse.get(table)?.count);
			return {
				table,
				statementRows: Math.min(...inUse.map(({ statementSize }) => statementSize.rows)),
				lanes: inUse.length,
				lingerMs: Math.max(...inUse.map(({ lingerMs }) => lingerMs)),
			};
		});
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
		const lane = lanes[block.lane % (this.#inUse.get(block.table) as LanesInUse).count] as Lane;
		lane.add(block, submission);
		touched.add(lane);
	}

	async #write(cuts: CutWriter, lane: Lane, cut: RowCut, trigger: Trigger): Promise<void> {
		this.#inFlight++;
		await cuts.write(lane, cut, trigger);
		this.#inFlight--;
	}

	#listener(): CutWriterParts["listener"] {
		return {
			written: (lane, fact) => {
				const { table, rows, durationMs } = fact;
				// Where rows were refused it took several statements.
				if (fact.refused === 0)
					this.#inUse.get(table)?.answered({ rows, durationMs, isBehind: lane.isBehind }, this.#parts.clock.monotonic());
				this.emit("batch:written", fact);
			},
			progressed: (lane) => this.#troubles.progressed(lane),
			mended: (lane) => {
				if (this.#troubles.mended(lane)) this.emit("table:unblocked", { table: lane.layout.name });
			},
			failed: (lane, problem, failures, delayMs) => this.#failed(lane, problem, failures, delayMs),
		};
	}

	#failed(lane: Lane, problem: SqlProblem, failures: number, delayMs: number): void {
		const table = lane.layout.name;
		const { code, message } = problem;
		this.#lastError = { time: this.#parts.clock.now(), table, sqlstate: code, message };
		if (this.#troubles.failed(lane, problem, failures)) {
			this.emit("table:blocked", { table, sqlstate: code, message, hint: hintFor(problem, table) });
		}
		this.emit("write:retried", { table, sqlstate: code, failures, delayMs, message });
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
