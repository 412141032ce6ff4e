/**
 * Offsets in the database (`offsets.store: postgres`): one row per partition of a consumer group, fenced by `epoch`, by the offset
 * itself, and by the time of the last write. The member that is assigned a partition raises its epoch. Every write names that epoch, and
 * the offset and time that the member wrote last. So the late write of a zombie matches no row, and neither does a write after the table
 * was restored to an earlier time. An offset may stay the same for long while later rows are written: so each check writes the time again.
 *
 * An offset has a statement of its own, after the rows before it are durable. Inside the rows' statements, the writer's connections would
 * wait for each other's lock on the partition's row; and a message's rows may be in several statements anyway.
 *
 * Step 10 of a message's way (docs/architecture.md).
 */

import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { DisplacedOffset } from "../../core/offsets/displaced-offset.ts";
import type { LogId, LogIdentity } from "../../core/offsets/log-identity.ts";
import type { ReachedPosition } from "../../core/offsets/position-note.ts";
import type { Database, DatabaseRow } from "../database/database.ts";
import { quotedTable } from "../database/sql-names.ts";
import { OTHER_TABLE } from "../database/sqlstate-names.ts";
import { exists, hasColumn, offsetsDdl, offsetsLateColumns } from "../tables/schema.ts";
import { type OffsetStatements, offsetStatements } from "./offset-statements.ts";

/** This member's claim to a partition: its epoch, and the offsets that may be stored. */
interface Claim {
	readonly epoch: string;
	/** The last confirmed offset. No other may be stored, except by statements that had no answer. */
	offset: number;
	/** The lowest and highest offset that may be stored. */
	lowest: number;
	highest: number;
	/** The row's last confirmed write time, by the server's clock. An earlier time means that the row was restored from an earlier state. */
	writtenAt: number;
	/** Statements sent and not yet answered. */
	underway: number;
	/** Statements sent so far. */
	sent: number;
}

/** A stored offset, with its log as far as known. The offset is null if nothing is stored. */
export interface TableOffset extends TopicPartition {
	readonly offset: number | null;
	readonly log?: LogIdentity;
}

/**
 * Stores and reads offsets in the database, fenced by epoch, offset and time. Promises reject with the database's error; calls may be
 * repeated.
 */
export class OffsetTable {
	readonly #database: Database;
	readonly #table: string;
	readonly #group: string;
	readonly #readOnly: boolean;
	/** Null until the table's columns were read. */
	#statements: OffsetStatements | null = null;
	readonly #claims = new Map<string, Claim>();
	/** How often each partition was to be claimed. */
	readonly #turns = new Map<string, number>();
	/**
	 * The last `look`, finished or not. Nothing is stored while it runs: if the table is restored between the two, one would hide that from
	 * the other.
	 */
	#looking: Promise<unknown> = Promise.resolve();

	/** `table` is `offsets.table`: a name or `schema.name`. `readOnly`: for callers that only read; the table is then never created. */
	constructor({
		database,
		table,
		consumerGroup,
		readOnly = false,
	}: {
		database: Database;
		table: string;
		consumerGroup: string;
		readOnly?: boolean;
	}) {
		this.#database = database;
		this.#table = table;
		this.#group = consumerGroup;
		this.#readOnly = readOnly;
	}

	/** Creates the table if it is missing, or the columns that an earlier version's table lacks, if this user may. */
	async prepare(): Promise<void> {
		const [database, table] = [this.#database, this.#table];
		if (!(await exists(database, table))) await database.query(offsetsDdl(table));
		else if (!(await this.#namesLogs())) {
			const added = offsetsLateColumns.map((column) => `add column if not exists ${column}`).join(", ");
			// A user who may not alter the table may still write to it.
			await database.query(`alter table ${quotedTable(table)} ${added}`).catch(() => {});
		}
		this.#statements = offsetStatements(table, await this.#namesLogs());
	}

	/** Reads the stored offsets; null if nothing is stored. */
	async stored(partitions: readonly TopicPartition[]): Promise<TableOffset[]> {
		const rows = await this.#query(({ stored }) => stored, partitions);
		return found(partitions, rows);
	}

	/** Raises the epochs of stored offsets, so that nobody else can store any more. Null if nothing is stored: then `begin` has to follow. */
	async claim(partitions: readonly TopicPartition[]): Promise<TableOffset[]> {
		for (const name of partitions.map(partitionName)) {
			this.#claims.delete(name);
			this.#turns.set(name, (this.#turns.get(name) ?? 0) + 1);
		}
		const rows = await this.#query(({ claim }) => claim, partitions);
		this.#noteClaims(rows);
		return found(partitions, rows);
	}

	/**
	 * Stores where partitions begin, and returns the offsets that hold. For a partition with a row it replaces the offset found there, unless
	 * another member has the row by now (then it is left out). For the others it inserts a row; if another member inserted one meanwhile,
	 * that offset holds and its epoch is raised.
	 */
	async begin(starts: readonly ReachedPosition[]): Promise<ReachedPosition[]> {
		const claimed = starts.filter((start) => this.#claims.has(partitionName(start)));
		const lost = new Set((await this.store(claimed, { anew: true })).map(partitionName));
		const fresh = starts.filter((start) => !this.#claims.has(partitionName(start)) && !lost.has(partitionName(start)));
		const rows = fresh.length === 0 ? [] : await this.#query(({ begin }) => begin, fresh.map(entryOf));
		this.#noteClaims(rows);
		const made = new Map(rows.map((row) => [nameOf(row), Number(row.next_offset)]));
		const held = fresh.map((start) => ({ ...start, offset: made.get(partitionName(start)) ?? start.offset }));
		return [...claimed.filter((start) => !lost.has(partitionName(start))), ...held];
	}

	/**
	 * Stores offsets of claimed partitions whose stored row is still this member's last one; returns the others. A statement that arrives
	 * late changes nothing that a later one stored. An offset whose partition is claimed anew meanwhile is not told: it was finished for the
	 * claim before. `anew`: the stored offset may belong to another log.
	 */
	async store(offsets: readonly ReachedPosition[], { anew = false } = {}): Promise<DisplacedOffset[]> {
		const turns = new Map(offsets.map(partitionName).map((name) => [name, this.#turns.get(name)]));
		const isSameTurn = (each: TopicPartition) => this.#turns.get(partitionName(each)) === turns.get(partitionName(each));
		const claimed = offsets.flatMap((each) => {
			const claim = this.#claims.get(partitionName(each));
			return claim ? [{ ...each, claim }] : [];
		});
		await this.#looking;
		const isCurrent = (each: (typeof claimed)[number]) => this.#claims.get(partitionName(each)) === each.claim;
		const held = claimed.filter(isCurrent);
		const dropped = claimed.filter((each) => !isCurrent(each));
		const rows = held.length === 0 ? [] : await this.#storeHeld(held, anew);
		const claims = new Map(held.map((each) => [partitionName(each), each.claim]));
		for (const row of rows) answered(claims.get(nameOf(row)) as Claim, row);
		const done = new Set([...rows.map(nameOf), ...dropped.map(partitionName)]);
		const left = offsets.filter((each) => !done.has(partitionName(each)) && isSameTurn(each));
		if (left.length === 0) return [];
		const displaced = (await this.#displaced(left)).filter(isSameTurn);
		for (const partition of displaced) this.#claims.delete(partitionName(partition));
		return displaced;
	}

	/**
	 * Returns claimed partitions whose stored row differs from what this member wrote last. The other rows are written again, so that an older
	 * state of them can't pass for the present one later.
	 */
	async look(partitions: readonly TopicPartition[]): Promise<DisplacedOffset[]> {
		const idle = partitions.flatMap((each) => {
			const claim = this.#claims.get(partitionName(each));
			return claim?.underway === 0 ? [{ ...keyOf(each), claim, sent: claim.sent }] : [];
		});
		if (idle.length === 0) return [];
		const touched = this.#query(({ touch }) => touch, idle.map(fenced));
		this.#looking = touched.catch(() => {});
		const rows = new Map((await touched).map((row) => [nameOf(row), row]));
		for (const { claim, ...each } of idle) noteTime(claim, rows.get(partitionName(each)));
		const left = idle.filter((each) => !rows.has(partitionName(each)));
		if (left.length === 0) return [];
		const displaced = await this.#displaced(left);
		// Statements that stored meanwhile have made this comparison themselves.
		const isIdle = ({ claim, sent, ...each }: (typeof idle)[number]) =>
			this.#claims.get(partitionName(each)) === claim && claim.sent === sent;
		const names = new Set(left.filter(isIdle).map(partitionName));
		return displaced.filter((each) => names.has(partitionName(each)));
	}

	/** Widens the range before the statement is sent: from then on its effect may be stored, answered or not. */
	async #storeHeld(held: readonly (ReachedPosition & { readonly claim: Claim })[], anew: boolean): Promise<readonly DatabaseRow[]> {
		const entries = held.map((each) => ({
			...entryOf(each),
			...fenced(each),
			anew,
		}));
		for (const { offset, claim } of held) {
			claim.underway++;
			claim.sent++;
			claim.lowest = Math.min(claim.lowest, offset);
			claim.highest = Math.max(claim.highest, offset);
		}
		try {
			return await this.#query(({ store }) => store, entries);
		} finally {
			for (const { claim } of held) claim.underway--;
		}
	}

	async #displaced(partitions: readonly TopicPartition[]): Promise<DisplacedOffset[]> {
		// A write that happens while the rows are read may be answered before them.
		const times = new Map(partitions.map((each) => [partitionName(each), this.#claims.get(partitionName(each))?.writtenAt ?? 0]));
		const rows = new Map((await this.#query(({ stored }) => stored, partitions.map(keyOf))).map((row) => [nameOf(row), row]));
		return partitions.flatMap((each): DisplacedOffset[] => {
			const name = partitionName(each);
			const [claim, row] = [this.#claims.get(name), rows.get(name)];
			const partition = keyOf(each);
			const found = row ? Number(row.next_offset) : null;
			// A missing claim was lost earlier, and that was reported then.
			if (!claim) return [{ ...partition, kind: "taken_over", expected: found ?? 0, found }];
			const { offset: expected, epoch, lowest, highest } = claim;
			if (!row || found === null) return [{ ...partition, kind: "gone", expected, found: null }];
			if (BigInt(String(row.epoch)) > BigInt(epoch)) return [{ ...partition, kind: "taken_over", expected, found }];
			const isOlder = Number(row.written_at) < (times.get(name) as number);
			if (String(row.epoch) === epoch && found >= lowest && found <= highest && !isOlder) return [];
			return [{ ...partition, kind: "changed", expected, found }];
		});
	}

	/**
	 * Sets offsets, whoever has the partitions. Their owner notices, gives them up, and the next owner begins there. Returns those that were
	 * not set because another offset was stored than the one to replace (null: none).
	 */
	async set(offsets: readonly (ReachedPosition & { readonly replaces: number | null })[]): Promise<TopicPartition[]> {
		if (offsets.length === 0) return [];
		const rows = await this.#query(
			({ set }) => set,
			offsets.map((each) => ({ ...entryOf(each), replaces: each.replaces })),
		);
		const done = new Set(rows.map(nameOf));
		return offsets.map(keyOf).filter((each) => !done.has(partitionName(each)));
	}

	/** The stored offsets of these claimed partitions belong to a deleted log. Call only if no topic id says which log they belong to. */
	async forget(partitions: readonly TopicPartition[]): Promise<void> {
		const held = partitions.flatMap(({ topic, partition }) => {
			const claim = this.#claims.get(partitionName({ topic, partition }));
			return claim ? [{ topic, partition, epoch: claim.epoch }] : [];
		});
		if (held.length > 0) await this.#query(({ forget }) => forget, held);
	}

	/** Checks the last of the late columns only: it stands for all. */
	#namesLogs(): Promise<boolean> {
		return hasColumn(this.#database, this.#table, "reached_ts_offset");
	}

	#noteClaims(rows: readonly DatabaseRow[]): void {
		for (const row of rows) {
			const offset = Number(row.next_offset);
			const claim = { epoch: String(row.epoch), offset, lowest: offset, highest: offset, writtenAt: Number(row.written_at) };
			this.#claims.set(nameOf(row), { ...claim, underway: 0, sent: 0 });
		}
	}

	/**
	 * Runs a statement. If the table was dropped while the daemon runs, it is created again; the call still fails, and its contents begin
	 * anew.
	 */
	async #query(statement: (statements: OffsetStatements) => string, entries: readonly object[]): Promise<readonly DatabaseRow[]> {
		try {
			this.#statements ??= offsetStatements(this.#table, await this.#namesLogs());
			return await this.#database.query(statement(this.#statements), [this.#group, JSON.stringify(entries)]);
		} catch (error) {
			const { code = "" } = error as { code?: string };
			if (!this.#readOnly && OTHER_TABLE.includes(code)) await this.prepare().catch(() => {});
			throw error;
		}
	}
}

/**
 * The row that is stored under this claim is known now, unless another statement is under way. A later claim to the partition is not
 * changed by it.
 */
function answered(claim: Claim, row: DatabaseRow): void {
	const offset = Number(row.next_offset);
	claim.offset = offset;
	noteTime(claim, row);
	if (claim.underway === 0) Object.assign(claim, { lowest: offset, highest: offset });
}

/** Answers may come in another order than their statements. */
function noteTime(claim: Claim, row: DatabaseRow | undefined): void {
	if (row) claim.writtenAt = Math.max(claim.writtenAt, Number(row.written_at));
}

/** The entry of a statement, with what must be stored for it to apply. */
function fenced({ topic, partition, claim }: TopicPartition & { readonly claim: Claim }): object {
	const { epoch, lowest, highest, writtenAt } = claim;
	return { topic, partition, epoch, lowest, highest, written_at: writtenAt };
}

function keyOf({ topic, partition }: TopicPartition): TopicPartition {
	return { topic, partition };
}

function entryOf({ topic, partition, offset, logId = null, witness }: ReachedPosition): object {
	const [reached_ts, reached_ts_offset] = [witness?.timestamp ?? null, witness?.offset ?? null];
	return { topic, partition, next_offset: offset, topic_id: logId, reached_ts, reached_ts_offset };
}

function nameOf({ topic, partition }: DatabaseRow): string {
	return partitionName({ topic: String(topic), partition: Number(partition) });
}

/** Every requested partition, with its row's contents. */
function found(partitions: readonly TopicPartition[], rows: readonly DatabaseRow[]): TableOffset[] {
	const byName = new Map(rows.map((row) => [nameOf(row), row]));
	return partitions.map(({ topic, partition }) => {
		const row = byName.get(partitionName({ topic, partition }));
		return { topic, partition, offset: row ? Number(row.next_offset) : null, ...logOf(row ?? {}) };
	});
}

function logOf({ topic_id = null, reached_ts = null, reached_ts_offset = null }: DatabaseRow): { log?: LogIdentity } {
	const isWitnessed = reached_ts !== null && reached_ts_offset !== null;
	if (topic_id === null && !isWitnessed) return {};
	const witness = isWitnessed ? { offset: Number(reached_ts_offset), timestamp: Number(reached_ts) } : null;
	return { log: { id: topic_id as LogId, witness } };
}
