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
import { exists, hasColumn, offsetsDdl, offsetsLateColumns } from "../tables/schema.ts";
import { type OffsetStatements, offsetStatements } from "./offset-statements.ts";

/** Table or column is missing: it was dropped, and maybe another one is there by now. */
const OTHER_TABLE: readonly string[] = ["42P01", "42703"];

/** What this member holds of a partition: under which epoch, and which offsets may be stored. */
interface Claim {
	readonly epoch: string;
	/** What was answered last: the only offset that may be there, but for those of statements without an answer. */
	offset: number;
	/** The least and greatest that may be there. */
	lowest: number;
	highest: number;
	/**
	 * When the row was written at least, by the server's clock, as far as that was answered. Of an earlier time is only what was put
	 * back.
	 */
	writtenAt: number;
	/** Statements sent and not answered yet. */
	underway: number;
	/** Statements sent so far. */
	sent: number;
}

/** An offset as it is stored, with the log that it is of, as far as that is known; null where nothing is stored. */
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
	/** Null before it was looked at which columns the table has. */
	#statements: OffsetStatements | null = null;
	readonly #claims = new Map<string, Claim>();
	/**
	 * The last look, answered or not. Nothing is stored beside it: where the table is put back between the two, one would hide it from
	 * the other.
	 */
	#looking: Promise<unknown> = Promise.resolve();

	/** `table` is `offsets.table`: a name or `schema.name`. `readOnly` is for who only looks: then it is never made. */
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

	/** Makes the table where it is missing, and the columns that one of an earlier version lacks, where that may be done. */
	async prepare(): Promise<void> {
		const [database, table] = [this.#database, this.#table];
		if (!(await exists(database, table))) await database.query(offsetsDdl(table));
		else if (!(await this.#namesLogs())) {
			const added = offsetsLateColumns.map((column) => `add column if not exists ${column}`).join(", ");
			// Who may not change the table may write to it all the same.
			await database.query(`alter table ${quotedTable(table)} ${added}`).catch(() => {});
		}
		this.#statements = offsetStatements(table, await this.#namesLogs());
	}

	/** What is stored; null where nothing is. */
	async stored(partitions: readonly TopicPartition[]): Promise<TableOffset[]> {
		const rows = await this.#query(({ stored }) => stored, partitions);
		return found(partitions, rows);
	}

	/** Raises the epoch of what is stored, so that nobody else can store any more; null where nothing is: `begin` has to follow. */
	async claim(partitions: readonly TopicPartition[]): Promise<TableOffset[]> {
		for (const partition of partitions) this.#claims.delete(partitionName(partition));
		const rows = await this.#query(({ claim }) => claim, partitions);
		this.#noteClaims(rows);
		return found(partitions, rows);
	}

	/**
	 * Stores where partitions begin; returns what holds. Of a partition that has a row it replaces what was found there, unless the row is
	 * another member's by now (left out). Of others it makes one; where another member did so meanwhile its offset holds and its epoch is
	 * raised.
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
	 * Stores offsets of partitions that are claimed and where what was stored last is still there; returns the others. A statement that
	 * arrives late changes nothing behind a later one. `anew`: what was stored may be of another log.
	 */
	async store(offsets: readonly ReachedPosition[], { anew = false } = {}): Promise<DisplacedOffset[]> {
		await this.#looking;
		const held = offsets.flatMap((each) => {
			const claim = this.#claims.get(partitionName(each));
			return claim ? [{ ...each, claim }] : [];
		});
		const rows = held.length === 0 ? [] : await this.#storeHeld(held, anew);
		const claims = new Map(held.map((each) => [partitionName(each), each.claim]));
		for (const row of rows) answered(claims.get(nameOf(row)) as Claim, row);
		const stored = new Set(rows.map(nameOf));
		const left = offsets.filter((each) => !stored.has(partitionName(each)));
		if (left.length === 0) return [];
		const displaced = await this.#displaced(left);
		for (const partition of displaced) this.#claims.delete(partitionName(partition));
		return displaced;
	}

	/**
	 * Partitions, claimed by this member, whose stored row is not what it wrote last. The rows of the others are written anew: an older
	 * state of them can't be taken for the present one then.
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
		// What was stored meanwhile has been compared by the statement that did.
		const isIdle = ({ claim, sent, ...each }: (typeof idle)[number]) =>
			this.#claims.get(partitionName(each)) === claim && claim.sent === sent;
		const names = new Set(left.filter(isIdle).map(partitionName));
		return displaced.filter((each) => names.has(partitionName(each)));
	}

	/** The range is widened before the statement is sent: from here on its effect may be there, answered or not. */
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
		// What is written while the rows are read may be answered before them.
		const times = new Map(partitions.map((each) => [partitionName(each), this.#claims.get(partitionName(each))?.writtenAt ?? 0]));
		const rows = new Map((await this.#query(({ stored }) => stored, partitions.map(keyOf))).map((row) => [nameOf(row), row]));
		return partitions.flatMap((each): DisplacedOffset[] => {
			const name = partitionName(each);
			const [claim, row] = [this.#claims.get(name), rows.get(name)];
			const partition = keyOf(each);
			const found = row ? Number(row.next_offset) : null;
			// A claim that is gone was lost before, and that was told.
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
	 * Sets offsets whoever has the partitions: their owner finds that out, gives them up, and the next one begins there. Returns those that
	 * are not set: another offset is stored than the one to be replaced (null: none was).
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

	/** What is stored of these claimed partitions belongs to a log that was deleted. Only where no id says which log it is of. */
	async forget(partitions: readonly TopicPartition[]): Promise<void> {
		const held = partitions.flatMap(({ topic, partition }) => {
			const claim = this.#claims.get(partitionName({ topic, partition }));
			return claim ? [{ topic, partition, epoch: claim.epoch }] : [];
		});
		if (held.length > 0) await this.#query(({ forget }) => forget, held);
	}

	/** The last of the late columns stands for all. */
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

	/** A table that was dropped under the daemon is made again; the call fails all the same, and what was in it is begun anew. */
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

/** What is stored under this claim is known, unless another statement is under way. A later claim of the partition knows nothing by it. */
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

/** What has to be there for a statement under this claim. */
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

/** Every partition asked for, with what the rows say of it. */
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
