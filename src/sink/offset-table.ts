/**
 * Offsets in the database (`offsets.store: postgres`): one row per partition of a consumer group, fenced by `epoch` and by the offset itself.
 * Whoever is assigned a partition raises its epoch, and every write names the epoch it was claimed under and the offset that its owner
 * stored last: a zombie's late write finds no row, nor does a write of an owner whose table was put back to another time.
 *
 * An offset is stored in a statement of its own, when the rows before it are durable. In the rows' own statements it would make the
 * writer's connections wait for each other's lock on the partition's row, and a message's rows may lie in several statements anyway.
 *
 * Step 10 of a message's way (README).
 */
import type { DisplacedOffset } from "../core/displaced-offset.ts";
import { deletedLog, type LogId, type LogIdentity } from "../core/log-identity.ts";
import { partitionName, type TopicPartition } from "../core/message.ts";
import type { ReachedPosition } from "../core/position-note.ts";
import type { Database, DatabaseRow } from "./database.ts";
import { durably } from "./durable-commit.ts";
import { jsonEntries } from "./json-entries.ts";
import { exists, hasColumn, offsetsDdl, offsetsLateColumns } from "./schema.ts";
import { quotedTable } from "./sql-names.ts";

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

/** See the file's header. Promises reject with the database's error; calls may be repeated. */
export class OffsetTable {
	readonly #database: Database;
	readonly #table: string;
	readonly #group: string;
	readonly #readOnly: boolean;
	/** Null before it was looked at which columns the table has. */
	#statements: Statements | null = null;
	readonly #claims = new Map<string, Claim>();

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
		this.#statements = statementsFor(table, await this.#namesLogs());
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
	 * another member's by now (left out). Of others it makes one; where another member did so meanwhile its offset holds and its epoch is raised.
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
		const held = offsets.flatMap((each) => {
			const claim = this.#claims.get(partitionName(each));
			return claim ? [{ ...each, claim }] : [];
		});
		const rows = held.length === 0 ? [] : await this.#storeHeld(held, anew);
		const claims = new Map(held.map((each) => [partitionName(each), each.claim]));
		for (const row of rows) answered(claims.get(nameOf(row)) as Claim, Number(row.next_offset));
		const stored = new Set(rows.map(nameOf));
		const left = offsets.filter((each) => !stored.has(partitionName(each)));
		if (left.length === 0) return [];
		const displaced = await this.#displaced(left);
		for (const partition of displaced) this.#claims.delete(partitionName(partition));
		return displaced;
	}

	/** Those of these partitions, claimed by this member, of which not that is stored what it stored last. Changes nothing. */
	async look(partitions: readonly TopicPartition[]): Promise<DisplacedOffset[]> {
		const before = new Map(partitions.map((each) => [partitionName(each), this.#claims.get(partitionName(each))?.sent]));
		const idle = partitions.filter((each) => this.#claims.get(partitionName(each))?.underway === 0);
		if (idle.length === 0) return [];
		const displaced = await this.#displaced(idle);
		// What was stored meanwhile has been compared by the statement that did.
		return displaced.filter((each) => {
			const claim = this.#claims.get(partitionName(each));
			return claim !== undefined && claim.sent === before.get(partitionName(each));
		});
	}

	/** The range is widened before the statement is sent: from here on its effect may be there, answered or not. */
	async #storeHeld(held: readonly (ReachedPosition & { readonly claim: Claim })[], anew: boolean): Promise<readonly DatabaseRow[]> {
		const entries = held.map((each) => ({
			...entryOf(each),
			epoch: each.claim.epoch,
			lowest: each.claim.lowest,
			highest: each.claim.highest,
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
			if (String(row.epoch) === epoch && found >= lowest && found <= highest) return [];
			return [{ ...partition, kind: "changed", expected, found }];
		});
	}

	/** Sets offsets whoever has the partitions: their owner finds that out, gives them up, and the next one begins there. */
	async set(offsets: readonly ReachedPosition[]): Promise<void> {
		if (offsets.length > 0) await this.#query(({ set }) => set, offsets.map(entryOf));
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
			this.#claims.set(nameOf(row), { epoch: String(row.epoch), offset, lowest: offset, highest: offset, underway: 0, sent: 0 });
		}
	}

	/** A table that was dropped under the daemon is made again; the call fails all the same, and what was in it is begun anew. */
	async #query(statement: (statements: Statements) => string, entries: readonly object[]): Promise<readonly DatabaseRow[]> {
		try {
			this.#statements ??= statementsFor(this.#table, await this.#namesLogs());
			return await this.#database.query(statement(this.#statements), [this.#group, JSON.stringify(entries)]);
		} catch (error) {
			const { code = "" } = error as { code?: string };
			if (!this.#readOnly && OTHER_TABLE.includes(code)) await this.prepare().catch(() => {});
			throw error;
		}
	}
}

interface Statements {
	readonly stored: string;
	readonly claim: string;
	readonly begin: string;
	readonly store: string;
	readonly set: string;
	readonly forget: string;
}

/** `namesLogs`: the table has the columns that say which log an offset is of. */
function statementsFor(name: string, namesLogs: boolean): Statements {
	const table = quotedTable(name);
	const entries = (...columns: string[]) => jsonEntries(2, ["topic::text", "partition::int4", ...columns]);
	const mine = "o.consumer_group = $1::text and o.topic = x.topic and o.partition = x.partition";
	const log = namesLogs ? ", o.topic_id, o.reached_ts::text as reached_ts, o.reached_ts_offset::text as reached_ts_offset" : "";
	const claimed = `o.topic, o.partition, o.next_offset::text as next_offset, o.epoch::text as epoch${log}`;
	const written = `${claimed}, ${durably}`;
	const position = ["next_offset::bigint", "topic_id::text", "reached_ts::bigint", "reached_ts_offset::bigint"];
	const logColumns = namesLogs ? ", topic_id, reached_ts, reached_ts_offset" : "";
	const logValues = namesLogs ? ", x.topic_id, x.reached_ts, x.reached_ts_offset" : "";
	// What begins anew has no witness of before: it may be another log.
	const witness = (column: string) => `${column} = case when x.anew then x.${column} else coalesce(x.${column}, o.${column}) end`;
	const setLog = namesLogs ? `, topic_id = x.topic_id, ${witness("reached_ts")}, ${witness("reached_ts_offset")}` : "";
	const setDeleted = namesLogs ? `, topic_id = coalesce(o.topic_id, '${deletedLog}')` : "";
	// By the clock, never back: in a table that was put back to another time no epoch comes a second time.
	const now = "(extract(epoch from clock_timestamp()) * 1000)::bigint";
	const raised = `greatest(o.epoch + 1, ${now})`;
	const setAnew = namesLogs
		? ", topic_id = excluded.topic_id, reached_ts = excluded.reached_ts, reached_ts_offset = excluded.reached_ts_offset"
		: "";
	const inserted = `insert into ${table} as o (consumer_group, topic, partition, next_offset, epoch, updated_at${logColumns})
select $1::text, x.topic, x.partition, x.next_offset, ${now}, now()${logValues} from ${entries(...position)}
on conflict (consumer_group, topic, partition) do update set epoch = ${raised}, updated_at = now()`;
	return {
		stored: `select ${claimed} from ${table} o join ${entries()} on ${mine}`,
		claim: `update ${table} as o set epoch = ${raised}, updated_at = now() from ${entries()} where ${mine} returning ${written}`,
		begin: `${inserted} returning ${written}`,
		set: `${inserted}, next_offset = excluded.next_offset${setAnew} returning ${written}`,
		store: `update ${table} as o set next_offset = x.next_offset, updated_at = now()${setLog}
from ${entries(...position, "epoch::bigint", "lowest::bigint", "highest::bigint", "anew::boolean")}
where ${mine} and o.epoch = x.epoch and o.next_offset between x.lowest and x.highest returning ${written}`,
		forget: `update ${table} as o set updated_at = now()${setDeleted} from ${entries("epoch::bigint")} where ${mine} and o.epoch = x.epoch returning ${written}`,
	};
}

/** What is stored under this claim is known, unless another statement is under way. A later claim of the partition knows nothing by it. */
function answered(claim: Claim, offset: number): void {
	claim.offset = offset;
	if (claim.underway === 0) Object.assign(claim, { lowest: offset, highest: offset });
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
