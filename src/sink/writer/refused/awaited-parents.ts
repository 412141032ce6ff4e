/**
 * Rows whose parent (the row that a foreign key refers to) comes from another partition or topic, in tables that say how long to wait for
 * it (`references`). Trying them after everything earlier of their own partition did not help. They are tried again with growing pauses,
 * until they are written, or their time is over and they are refused. Rows of their partition that can't be written meanwhile wait with
 * them, because the first may be waiting for those. Nothing else waits: other rows are written, a newer row of the same id replaces the
 * older one, and a drain leaves them to the successor.
 *
 *    waiting (growing pause) -> tried -> written, refused, given back | waiting -> (time is over) refused
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

import type { Clock } from "../../../core/clock.ts";
import { DATABASE_RETRY, fullJitter } from "../../../core/exponential-back-off.ts";
import { partitionName, type TopicPartition } from "../../../core/messages/message.ts";
import type { Random } from "../../../core/random.ts";
import type { AwaitedFact } from "../../../core/rows/waiting-rows.ts";
import type { SqlProblem } from "../../database/sql-faults.ts";
import { MISSING_PARENT } from "../../database/sqlstate-names.ts";
import type { WritingPlace } from "../lane.ts";
import type { RowWriter } from "../row-writer.ts";
import type { PendingRow, RowFigures } from "../sql/pending-rows.ts";
import { type SizeLimits, StatementSize } from "../tuning/statement-size.ts";
import { figuresOf, HeldPartition, type HeldRow, runsOf } from "./held-partition.ts";
import { withoutParent } from "./refusal-words.ts";
import { pendingRowsIn } from "./row-isolation.ts";

/** What it needs from the writer. */
export interface AwaitedParentsParts {
	/** By table, how long rows wait, ms; tables whose rows don't wait are absent. */
	readonly waits: ReadonlyMap<string, number>;
	/** By table. */
	readonly writers: ReadonlyMap<string, RowWriter>;
	/** Takes back rows that failed for another reason, or that wait for no parent any more: the held rows try them again. */
	readonly giveBack: (rows: readonly HeldRow[]) => void;
	/** Called after each attempt. */
	readonly tried: () => void;
	readonly limits: SizeLimits & { readonly maxBytes: number };
	readonly clock: Clock;
	readonly random: Random;
	readonly ended: AbortSignal;
}

interface Room {
	readonly partition: TopicPartition;
	readonly rows: HeldPartition;
	/** The row at which the next attempt begins: rows whose parents never come must not keep others from their turn. */
	next: HeldRow | null;
}

/** Maximum rows per attempt that are found one by one to lack a parent: each costs two statements. */
const MOST_MISSING = 8;
/** Maximum rows whose time is over, and maximum statements, per attempt: the partition's other work shares the connections. */
const MOST_OVER = 200;
const MOST_STATEMENTS = 32;
/** Maximum share of the time for attempts that change nothing. */
const MOST_OF_TIME = 0.25;

/** Rows that wait for a parent from another partition or topic. One per writer. */
export class AwaitedParents {
	readonly #parts: AwaitedParentsParts;
	readonly #rooms = new Map<string, Room>();
	readonly #places = new Map<string, WritingPlace>();
	/** When each row's wait began: monotonic and wall clock. */
	readonly #began = new WeakMap<PendingRow, { readonly at: number; readonly sinceMs: number }>();

	constructor(parts: AwaitedParentsParts) {
		this.#parts = parts;
	}

	/** True if the table's rows wait for their parents. */
	hasWait(table: string): boolean {
		return this.#parts.waits.has(table);
	}

	/** Rows and bytes that wait, and since when; `since` is monotonic. */
	get figures(): RowFigures {
		return figuresOf([...this.#rooms.values()].flatMap(({ rows }) => rows.rows));
	}

	/** Facts to report now. */
	get facts(): AwaitedFact[] {
		return [...this.#rooms.values()].flatMap((room) => this.#factsOf(room));
	}

	/** True while rows of this partition wait. */
	holds(partition: TopicPartition): boolean {
		return (this.#rooms.get(partitionName(partition))?.rows.rows.length ?? 0) > 0;
	}

	/**
	 * Takes rows of a partition that no pass could write, if one of them waits for a parent or others of the partition do. True if it took
	 * them.
	 */
	takes(partition: TopicPartition, rows: readonly HeldRow[]): boolean {
		const name = partitionName(partition);
		const known = this.#rooms.get(name);
		if (!rows.some((row) => this.#isWaiting(row)) && !known?.rows.rows.some((row) => this.#isWaiting(row))) return false;
		const room = known ?? { partition, rows: new HeldPartition(), next: null };
		for (const row of rows) this.#take(room, row);
		if (known) return true;
		this.#rooms.set(name, room);
		void this.#keepTrying(room);
		return true;
	}

	#take(room: Room, held: HeldRow): void {
		const { clock } = this.#parts;
		if (this.#isWaiting(held) && !this.#began.has(held.row)) this.#began.set(held.row, { at: clock.monotonic(), sinceMs: clock.now() });
		room.rows.add(held);
	}

	#isWaiting({ table, problem }: HeldRow): boolean {
		return problem.code === MISSING_PARENT && this.#parts.waits.has(table);
	}

	/** How much longer a row may wait, ms; infinite if it does not wait for its own parent. */
	#leftOf(held: HeldRow): number {
		const began = this.#began.get(held.row);
		if (!this.#isWaiting(held) || !began) return Number.POSITIVE_INFINITY;
		return began.at + (this.#parts.waits.get(held.table) as number) - this.#parts.clock.monotonic();
	}

	async #keepTrying(room: Room): Promise<void> {
		const { clock, random, ended, tried, giveBack } = this.#parts;
		let tookMs = 0;
		for (let failures = 1; room.rows.rows.some((row) => this.#isWaiting(row)); failures++) {
			const pauseMs = Math.max(fullJitter(failures, DATABASE_RETRY, random), tookMs / MOST_OF_TIME - tookMs);
			await clock.sleep(Math.min(pauseMs, this.#untilOverMs(room)), ended).catch(() => {});
			if (ended.aborted) return;
			const startedAt = clock.monotonic();
			const hasMoved = await this.#try(room);
			if (ended.aborted) return;
			tookMs = hasMoved ? 0 : clock.monotonic() - startedAt;
			if (hasMoved) failures = 0;
			tried();
		}
		this.#rooms.delete(partitionName(room.partition));
		giveBack(room.rows.rows);
		tried();
	}

	#untilOverMs(room: Room): number {
		let untilMs = Number.POSITIVE_INFINITY;
		for (const row of room.rows.rows) untilMs = Math.min(untilMs, this.#leftOf(row));
		return Math.max(0, untilMs);
	}

	/**
	 * One attempt: with the rows whose time is over, of which those that still fail are refused; or else with some of the others. True if
	 * some rows no longer wait.
	 */
	async #try(room: Room): Promise<boolean> {
		const over = room.rows.rows.filter((row) => this.#leftOf(row) <= 0).slice(0, MOST_OVER);
		if (over.length === 0) return await this.#tryNext(room);
		for (const run of runsOf(over, this.#parts.limits)) {
			const held = await this.#write(room, run, Number.POSITIVE_INFINITY);
			if (this.#parts.ended.aborted) return false;
			for (const each of held) if (this.#isWaiting(each)) this.#refuse(room, each);
		}
		return true;
	}

	/** Tries rows in the log's order, from where the last attempt stopped, until enough of them are found to lack a parent. */
	async #tryNext(room: Room): Promise<boolean> {
		const { rows } = room.rows;
		const runs = runsOf(rows.slice(room.next ? Math.max(0, rows.indexOf(room.next)) : 0), this.#parts.limits);
		let left = MOST_MISSING;
		let hasMoved = false;
		room.next = null;
		for (const [index, run] of runs.entries()) {
			if (left <= 0 || index >= MOST_STATEMENTS) {
				room.next = run[0] as HeldRow;
				break;
			}
			const held = await this.#write(room, run, left);
			if (this.#parts.ended.aborted) return false;
			hasMoved ||= held.length < run.length;
			room.next = held[left] ?? null;
			left -= held.length;
			if (room.next) break;
		}
		return hasMoved;
	}

	/**
	 * Tries a run. Returns its rows that others still keep from being written: first those tried, at most `mostHeld`, then those not tried.
	 */
	async #write(room: Room, run: readonly HeldRow[], mostHeld: number): Promise<readonly HeldRow[]> {
		const { writers, giveBack, ended } = this.#parts;
		const [{ table, trigger }] = run as [HeldRow];
		const writer = writers.get(table) as RowWriter;
		const given = new Map(run.map((each) => [each.row, each]));
		const again: HeldRow[] = [];
		const take = (row: PendingRow): HeldRow => {
			const each = given.get(row) as HeldRow;
			room.rows.remove(each);
			return each;
		};
		const rows = run.map(({ row }) => row);
		const { result } = await writer.try(this.#placeOf(table, writer), rows, {
			trigger,
			inOrder: true,
			pending: null,
			budget: { held: mostHeld },
			search: null,
			held: (row, problem) => again.push({ ...take(row), problem }),
			settling: ({ written, refused }) => [...written, ...pendingRowsIn(refused)].map(take),
		});
		if (ended.aborted) return [];
		for (const each of again) room.rows.add(each);
		const left = result.left.map(take);
		if (left.length > 0) giveBack(left);
		return again;
	}

	#refuse(room: Room, each: HeldRow): void {
		room.rows.remove(each);
		const { table, row, problem, trigger } = each;
		const waitMs = this.#parts.waits.get(table) as number;
		const told: SqlProblem = { ...problem, message: withoutParent(problem.message, waitMs) };
		this.#parts.writers.get(table)?.refuse([{ row, problem: told }], trigger);
	}

	#placeOf(table: string, { layout }: RowWriter): WritingPlace {
		const place = this.#places.get(table) ?? { layout, statementSize: new StatementSize(this.#parts.limits), unsettled: null };
		this.#places.set(table, place);
		return place;
	}

	#factsOf({ partition, rows }: Room): AwaitedFact[] {
		const facts = new Map<string, AwaitedFact>();
		for (const held of rows.rows) {
			const began = this.#began.get(held.row);
			if (!began || !this.#isWaiting(held)) continue;
			const { table, row, problem } = held;
			const present = facts.get(table);
			const waitMs = this.#parts.waits.get(table) as number;
			const { id, offset } = row;
			const first = present ?? { ...partition, table, id, offset, constraint: problem.constraint, waitMs };
			const sinceMs = Math.min(present?.sinceMs ?? began.sinceMs, began.sinceMs);
			facts.set(table, { ...first, rows: (present?.rows ?? 0) + 1, sinceMs });
		}
		return [...facts.values()];
	}
}
