/**
 * Single rows that can't be written although others of their table can: another session has locked the row, or a trigger or an extension
 * fails on it. They leave their lane, so that only their own partitions' commits wait. Each is tried again until it is written, together
 * with later rows of its id. No row is refused for being stuck. What each waits for is reported while it lasts.
 *
 *   waiting (with back-off) -> in hand -> written, refused, held | waiting
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import { fullJitter } from "../../../core/exponential-back-off.ts";
import { partitionName, type TopicPartition } from "../../../core/messages/message.ts";
import type { Random } from "../../../core/random.ts";
import type { StuckFact } from "../../../core/rows/waiting-rows.ts";
import { hintFor, type SqlProblem } from "../../database/sql-faults.ts";
import { LOCKED } from "../../database/sqlstate-names.ts";
import type { WritingPlace } from "../lane.ts";
import type { HeldFrom } from "../lane-writer.ts";
import { type RowWriter, unsettledOf } from "../row-writer.ts";
import { type PendingRow, PendingRows, type RowFigures } from "../sql/pending-rows.ts";
import { type SizeLimits, StatementSize } from "../tuning/statement-size.ts";
import type { Writing } from "../writing.ts";
import { withHolders } from "./row-search.ts";
import { type KnownStuck, StuckTable } from "./stuck-table.ts";

/** What it needs from the writer. */
export interface StuckRowsParts {
	/** By table. */
	readonly writings: ReadonlyMap<string, Writing>;
	readonly writers: ReadonlyMap<string, RowWriter>;
	readonly limits: SizeLimits;
	/** Takes a row that now only other rows keep from being written. */
	readonly hold: (row: PendingRow, problem: SqlProblem, from: HeldFrom) => void;
	/** Called after each attempt. */
	readonly tried: () => void;
}

interface Room {
	readonly table: StuckTable;
	readonly place: WritingPlace;
	isOpen: boolean;
}

const RETRY = { minMs: 250, maxMs: 5_000 };
/** Maximum share of the time for attempts: they may keep a connection waiting for a lock. */
const MOST_OF_TIME = 0.25;
/** Maximum failing statements per attempt. */
const MOST_FAILURES = 8;

/** Tries stuck rows again until they are written, refused or held. One per writer. */
export class StuckRows {
	readonly #parts: StuckRowsParts;
	readonly #rooms = new Map<string, Room>();

	constructor(parts: StuckRowsParts) {
		this.#parts = parts;
	}

	/** The stuck ids of a table; null if there are none. */
	idsOf(table: string): Iterable<string> | null {
		const stuck = this.#rooms.get(table)?.table;
		return stuck && stuck.size > 0 ? stuck.ids : null;
	}

	/** Rows and bytes that wait, including superseded versions; `since` is monotonic. */
	get figures(): RowFigures {
		const figures = { rows: 0, bytes: 0, since: null as number | null };
		for (const { table } of this.#rooms.values()) {
			for (const { id, bytes } of table.rows) {
				const since = table.known(id)?.from.since ?? null;
				figures.rows++;
				figures.bytes += bytes;
				if (since !== null) figures.since = Math.min(figures.since ?? since, since);
			}
		}
		return figures;
	}

	/** True while rows of this partition are stuck that somebody waits for. */
	holds(partition: TopicPartition): boolean {
		return [...this.#rooms.values()].some(({ place }) => place.unsettled?.holds(partition));
	}

	/** Facts to report now. */
	get facts(): StuckFact[] {
		return [...this.#rooms.values()].flatMap(({ table }) => factsOf(table));
	}

	/** Takes a stuck row, or a later row of a stuck id (`problem` null). */
	add(row: PendingRow, problem: SqlProblem | null, from: HeldFrom): void {
		const room = this.#roomOf(from.table);
		const before = room.table.known(row.id);
		const { clock } = (this.#parts.writings.get(from.table) as Writing).parts;
		const met = problem ?? (before?.problem as SqlProblem);
		const known = before ?? { from, sinceMs: clock.now(), isConfirmed: false };
		room.table.add(row, { ...known, problem: met });
		if (!room.isOpen) void this.#keepTrying(room);
	}

	#roomOf(name: string): Room {
		const known = this.#rooms.get(name);
		if (known) return known;
		const { layout } = this.#parts.writers.get(name) as RowWriter;
		const table = new StuckTable(layout);
		const unsettled = unsettledOf(() => table.rows, 0);
		const room = { table, place: { layout, statementSize: new StatementSize(this.#parts.limits), unsettled }, isOpen: false };
		this.#rooms.set(name, room);
		return room;
	}

	async #keepTrying(room: Room): Promise<void> {
		const { clock, random, ended } = (this.#parts.writings.get(room.table.layout.name) as Writing).parts;
		room.isOpen = true;
		let tookMs = 0;
		for (let failures = 1; room.table.size > 0; failures++) {
			await clock.sleep(Math.max(fullJitter(failures, RETRY, random), tookMs / MOST_OF_TIME - tookMs), ended).catch(() => {});
			if (ended.aborted) return;
			const startedAt = clock.monotonic();
			if (await this.#try(room)) failures = 0;
			if (ended.aborted) return;
			tookMs = clock.monotonic() - startedAt;
			this.#parts.tried();
		}
		room.isOpen = false;
	}

	/** One attempt with all of them; true if some are no longer stuck. */
	async #try({ table, place }: Room): Promise<boolean> {
		const { name } = table.layout;
		const writer = this.#parts.writers.get(name) as RowWriter;
		const writing = this.#parts.writings.get(name) as Writing;
		const { random, ended } = writing.parts;
		// In random order, so that each row has its turn although only a few statements may fail.
		const rows = shuffled(table.take(), random);
		const [first] = rows;
		if (!first) return true;
		const known = new Map(rows.map(({ id }) => [id, table.known(id)]));
		const { from, problem } = known.get(first.id) as KnownStuck;
		const older = new PendingRows(table.layout);
		const trying = writer.try(place, rows, {
			trigger: from.trigger,
			inOrder: false,
			held: (row, why) => this.#parts.hold(row, why, from),
			pending: older,
			budget: { held: Number.POSITIVE_INFINITY },
			search: { failures: MOST_FAILURES, alone: 0, answered: 1 },
			settling: ({ stuck, left }) => table.left([...stuck.map(({ row }) => row), ...left]),
		});
		const [{ result }, holders] = await Promise.all([trying, problem.code === LOCKED ? writing.holders() : []]);
		if (ended.aborted) return false;
		for (const { id } of result.left) table.met(id, (known.get(id) as KnownStuck).problem);
		for (const { row, problem: met } of result.stuck) table.met(row.id, withHolders(met, holders, name));
		table.putBack();
		for (const row of older.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)) this.add(row, problem, from);
		return result.left.length + result.stuck.length < rows.length;
	}
}

/** The items in random order. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
	const shuffled = [...items];
	for (let last = shuffled.length - 1; last > 0; last--) {
		const other = Math.floor(random() * (last + 1));
		[shuffled[last], shuffled[other]] = [shuffled[other] as T, shuffled[last] as T];
	}
	return shuffled;
}

function factsOf(table: StuckTable): StuckFact[] {
	const facts = new Map<string, StuckFact>();
	for (const row of table.rows) {
		const { topic, partition, id, offset, owner } = row;
		const met = table.known(id);
		if (owner.released || !met?.isConfirmed) continue;
		const { sinceMs, problem } = met;
		const { code: sqlstate, message } = problem;
		const { name } = table.layout;
		const present = facts.get(partitionName(row));
		const fact = { topic, partition, table: name, id, offset, sqlstate, message, hint: hintFor(problem, name), sinceMs };
		const first = present && present.offset <= offset ? present : fact;
		facts.set(partitionName(row), { ...first, rows: (present?.rows ?? 0) + 1 });
	}
	return [...facts.values()];
}
