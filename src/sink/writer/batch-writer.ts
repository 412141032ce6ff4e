/**
 * Takes rows and writes them. A table has up to one lane per connection; an id belongs to one lane, and a lane writes one batch at a time.
 * When the number of lanes changes, an id may be in two lanes for a moment. That is safe: the server decides by version, and rows are
 * locked in the order of ids.
 *
 * Step 7 of a message's way (docs/architecture.md).
 */
import { EventEmitter } from "eventemitter3";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { RowBlock, TableLayout } from "../../core/rows/rows.ts";
import type { AwaitedFact, StuckFact } from "../../core/rows/waiting-rows.ts";
import { lifetime } from "../../core/waiting/lifetime.ts";
import { Semaphore } from "../../core/waiting/semaphore.ts";
import { hintFor, type SqlProblem } from "../database/sql-faults.ts";
import { Lane, type Trigger, type WritingPlace } from "./lane.ts";
import { LaneTroubles } from "./lane-troubles.ts";
import { LaneWriter } from "./lane-writer.ts";
import type { RowBatch, Submission } from "./pending-blocks.ts";
import { BesideLanes } from "./refused/beside-lanes.ts";
import { RowWriter } from "./row-writer.ts";
import { LanesInUse } from "./tuning/lanes-in-use.ts";
import type { WriterEvents, WriterParts } from "./writer-events.ts";
import { Writing, type WritingListener } from "./writing.ts";

interface LastError {
	readonly time: number;
	readonly table: string | null;
	readonly sqlstate: string | null;
	readonly message: string;
}

/** Takes rows and writes them through lanes, in batches. One per daemon. */
export class BatchWriter extends EventEmitter<WriterEvents> {
	readonly #parts: WriterParts;
	readonly #lanes: ReadonlyMap<string, readonly Lane[]>;
	readonly #inUse: ReadonlyMap<string, LanesInUse>;
	readonly #beside: BesideLanes;
	readonly #troubles = new LaneTroubles();
	readonly #ended = lifetime();
	#inFlight = 0;
	#lastError: LastError | null = null;

	constructor(parts: WriterParts) {
		super();
		this.#parts = parts;
		const { clock, random, database, batch: limits, connections } = parts;
		const ended = this.#ended.signal;
		const { lockHolders = null, waits = new Map(), atomic = new Set() } = parts;
		const slots = new Semaphore(connections);
		const common = { database, slots, clock, random, ended, limits, lockHolders, listener: this.#listener() };
		const writings = new Map(parts.layouts.map((layout) => [layout.name, new Writing(layout, common)]));
		const writers = new Map([...writings].map(([table, writing]) => [table, new RowWriter(writing)]));
		this.#beside = new BesideLanes({
			writings,
			writers,
			waits,
			atomic,
			lanes: {
				hold: (partition, cameBy) => this.#allLanes().some((lane) => lane.holds(partition, cameBy)),
				isMoving: (partition) => this.#allLanes().some((lane) => !this.#troubles.isLaneStuck(lane) && lane.holds(partition)),
				goOn: (submission) => this.#intoLanes(submission, (lane) => lane.flush()),
			},
			isPlaceStuck: (place) => this.#troubles.isLaneStuck(place),
			tell: {
				stuck: (fact) => this.emit("rows:stuck", fact),
				unstuck: (fact) => this.emit("rows:unstuck", fact),
				awaited: (fact) => this.emit("parents:awaited", fact),
				settled: (fact) => this.emit("parents:settled", fact),
				rested: () => this.emit("rows:rested"),
			},
			limits,
			clock,
			random,
			ended,
		});
		const { hold, stick, stuckIds } = this.#beside;
		const answered = (lane: Lane) => this.#inUse.get(lane.layout.name)?.answered(lane.isBehind, clock.monotonic());
		const lanesOf = (layout: TableLayout): Lane[] => {
			const rows = writers.get(layout.name) as RowWriter;
			const laneWriter = new LaneWriter(writings.get(layout.name) as Writing, { rows, hold, stick, stuckIds, answered });
			const write = (lane: Lane, batch: RowBatch, trigger: Trigger) => this.#write(laneWriter, lane, batch, trigger);
			return Array.from({ length: connections }, () => new Lane({ layout, limits, clock, ended, write }));
		};
		this.#lanes = new Map(parts.layouts.map((layout) => [layout.name, lanesOf(layout)]));
		this.#inUse = new Map(parts.layouts.map(({ name }) => [name, new LanesInUse(connections)]));
	}

	/** Rows not settled yet, including superseded ones and those in flight. */
	get queueRows(): number {
		return this.#sum(({ rows }) => rows) + this.#beside.figures.reduce((sum, { rows }) => sum + rows, 0);
	}

	get queueBytes(): number {
		return this.#sum(({ bytes }) => bytes) + this.#beside.figures.reduce((sum, { bytes }) => sum + bytes, 0);
	}

	/** Age of the oldest row that is not settled yet, ms; null if there is none. */
	get oldestAgeMs(): number | null {
		const sinces = [...this.#allLanes(), ...this.#beside.figures].flatMap(({ since }) => since ?? []);
		return sinces.length === 0 ? null : this.#parts.clock.monotonic() - Math.min(...sinces);
	}

	/** Statements sent and not yet answered. */
	get inFlight(): number {
		return this.#inFlight;
	}

	get lastError(): LastError | null {
		return this.#lastError;
	}

	/** Current tuning per table: rows per statement, lanes in use, and how long a row waits for others (ms). */
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

	/** True while rows can't be written, for whatever reason: a drain should not wait for them. */
	get stuck(): boolean {
		return this.#troubles.stuck;
	}

	/** True while rows of this table wait for somebody to mend something. */
	isBlocked(table: string): boolean {
		return this.#troubles.isBlocked(table);
	}

	/** True while rows of this table can't be written, for whatever reason. */
	isStuck(table: string): boolean {
		return this.#troubles.isStuck(table);
	}

	/** Rows that can't be written although others of their tables can. */
	get stuckRows(): readonly StuckFact[] {
		return this.#beside.stuckRows;
	}

	/** Rows that wait for a parent from another partition or topic. */
	get awaitedParents(): readonly AwaitedFact[] {
		return this.#beside.awaitedParents;
	}

	/** Number of waiting rows per table, for tables with `references`. */
	get awaitingParents(): ReadonlyMap<string, number> {
		const counts = new Map([...(this.#parts.waits?.keys() ?? [])].map((table) => [table, 0]));
		for (const { table, rows } of this.awaitedParents) counts.set(table, (counts.get(table) ?? 0) + rows);
		return counts;
	}

	/** True while rows of this partition are in lanes that are not stuck: a drain waits for these. */
	isMoving(partition: TopicPartition): boolean {
		return this.#beside.isMoving(partition);
	}

	/** Takes rows, and reports to the submission what becomes of them. */
	write(submission: Submission): void {
		if (!this.#beside.takes(submission)) this.#intoLanes(submission, (lane) => lane.cut());
	}

	/** Sends waiting rows at once, without lingering. */
	flush(): void {
		for (const lane of this.#allLanes()) lane.flush();
	}

	/** Gives up everything that is not written, and reports nothing more. Idempotent. */
	async dispose(): Promise<void> {
		this.#ended.abort(new Error("the writer was ended"));
		for (const lane of this.#allLanes()) lane.dispose();
	}

	#intoLanes(submission: Submission, cut: (lane: Lane) => void): void {
		const touched = new Set<Lane>();
		const together: RowBlock[] = [];
		for (const block of submission.blocks) {
			if (this.#beside.landTogether(block.table)) together.push(block);
			else this.#addBlock(submission, block, touched);
		}
		for (const lane of touched) cut(lane);
		if (together.length > 0) this.#beside.write(submission, together);
	}

	#addBlock(submission: Submission, block: RowBlock, touched: Set<Lane>): void {
		const lanes = this.#lanes.get(block.table);
		if (!lanes) throw new Error(`rows for ${block.table}, which is no configured table`);
		const lane = lanes[block.lane % (this.#inUse.get(block.table) as LanesInUse).count] as Lane;
		lane.add(block, submission);
		touched.add(lane);
	}

	async #write(laneWriter: LaneWriter, lane: Lane, batch: RowBatch, trigger: Trigger): Promise<void> {
		this.#inFlight++;
		await laneWriter.write(lane, batch, trigger);
		this.#inFlight--;
		lane.unsettled = null;
		this.#beside.moved();
	}

	#listener(): WritingListener {
		return {
			written: (fact) => this.emit("batch:written", fact),
			progressed: (place) => {
				if (this.#troubles.progressed(place)) this.emit("table:unblocked", { table: place.layout.name });
			},
			mended: (place) => {
				if (this.#troubles.mended(place)) this.emit("table:unblocked", { table: place.layout.name });
			},
			failed: (place, problem, failures, delayMs) => this.#failed(place, problem, failures, delayMs),
		};
	}

	#failed(lane: WritingPlace, problem: SqlProblem, failures: number, delayMs: number): void {
		const table = lane.layout.name;
		const { code, message } = problem;
		this.#lastError = { time: this.#parts.clock.now(), table, sqlstate: code, message };
		const hint = hintFor(problem, table);
		const stuck = this.#troubles.failed(lane, problem, failures);
		if (stuck) this.emit(`table:${stuck}`, { table, sqlstate: code, message, hint });
		this.emit("write:retried", { table, sqlstate: code, failures, delayMs, message, hint });
		this.#beside.moved();
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
