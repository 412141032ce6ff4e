/**
 * The group's notes, one per partition: where it began, how far it came, in which log. Kafka forgets the beginning with the next commit,
 * and the rest when the group's offsets expire; nor can it distinguish a topic from another of the same name. A start uses the notes to
 * decide, and `verify` reads them.
 *
 * A start names the row that it replaces as it read it, so a member that was frozen meanwhile changes nothing. A table of an earlier
 * version gets its missing columns if this user may add them; otherwise it holds the starts alone.
 */
import type { HandNote } from "../../core/messages/hand-note.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { deletedLog, type LogId } from "../../core/offsets/log-identity.ts";
import type { HandChange, NoteChange, ReachedPosition, SkippedStretch, StoredNote } from "../../core/offsets/position-note.ts";
import type { Database, DatabaseRow } from "../database/database.ts";
import { durably } from "../database/durable-commit.ts";
import { jsonEntries } from "../database/json-entries.ts";
import { mayPass } from "../database/sql-faults.ts";
import { quotedTable } from "../database/sql-names.ts";
import { exists, hasColumn } from "../tables/schema.ts";
import { microseconds, written } from "./written-at.ts";

/** The notes table's name, derived from the offsets' table. */
export function startTableName(offsetsTable: string): string {
	return `${offsetsTable}_start`;
}

/** Columns that tables of an earlier version lack; the last one stands for all. */
export const startsLateColumns = [
	"topic_id text",
	"reached_offset bigint",
	"reached_ts bigint",
	"reached_ts_offset bigint",
	"skipped jsonb",
	"updated_at timestamptz",
	"restored_from bigint",
	"restored_to bigint",
	"opened_by text",
	"in_hand jsonb",
];
const LAST_COLUMN = "in_hand";

/** `create table if not exists` for the notes. */
export function startsDdl(name: string): string {
	const lines = [
		"consumer_group text not null",
		"topic text not null",
		"partition int4 not null",
		"start_offset bigint not null",
		"assumed boolean not null",
		"recorded_at timestamptz not null",
		...startsLateColumns,
		"primary key (consumer_group, topic, partition)",
	];
	return `create table if not exists ${quotedTable(name)} (\n\t${lines.join(",\n\t")}\n);`;
}

/** What the table can hold: nothing (it is missing and can't be created), starts alone, or whole notes. */
export type NotesKept = "none" | "starts" | "notes";

/** How far a partition is noted to have come, and when that was written (server clock). */
export interface NotedReach {
	readonly reached: number;
	readonly writtenAt: number;
}

/** A position, and the least that its note must say; null if nothing is known about that. */
export interface LeastReached extends ReachedPosition {
	readonly least: NotedReach | null;
}

/** Reads and writes the table of notes. Promises reject with the database's error. */
export class StartTable {
	readonly #database: Database;
	readonly #name: string;
	readonly #group: string;
	#kept: NotesKept | null = null;

	constructor({ database, offsetsTable, consumerGroup }: { database: Database; offsetsTable: string; consumerGroup: string }) {
		this.#database = database;
		this.#name = startTableName(offsetsTable);
		this.#group = consumerGroup;
	}

	get name(): string {
		return this.#name;
	}

	/** Creates the table, or the columns that it lacks. Rejects only if the database can't be asked. */
	async prepare(): Promise<NotesKept> {
		if (!(await exists(this.#database, this.#name))) {
			// Two members that begin at once may both find it missing: `if not exists` does not protect one of them from an error.
			await this.#database.query(startsDdl(this.#name)).catch(unlessItPasses);
		} else if (!(await hasColumn(this.#database, this.#name, LAST_COLUMN))) {
			const added = startsLateColumns.map((column) => `add column if not exists ${column}`).join(", ");
			// A user who may not alter the table may still write to it.
			await this.#database.query(`alter table ${quotedTable(this.#name)} ${added}`).catch(unlessItPasses);
		}
		return this.look();
	}

	/** What the table can hold; changes nothing. */
	async look(): Promise<NotesKept> {
		const kept = await this.#look();
		this.#kept = kept;
		return kept;
	}

	/** All notes of the group, by partition name. */
	async read(): Promise<ReadonlyMap<string, StoredNote>> {
		const kept = this.#kept ?? (await this.look());
		if (kept === "none") return new Map();
		const late =
			kept === "notes"
				? `, topic_id, reached_offset::text as reached_offset, reached_ts::text as reached_ts, reached_ts_offset::text as reached_ts_offset, skipped::text as skipped, restored_from::text as restored_from, restored_to::text as restored_to, opened_by, in_hand::text as in_hand, ${microseconds("updated_at")}::text as version`
				: "";
		const rows = await this.#database.query(
			`select topic, partition, start_offset::text as start_offset, assumed${late} from ${quotedTable(this.#name)} where consumer_group = $1::text`,
			[this.#group],
		);
		return new Map(rows.map((row) => [nameOf(row), storedNote(row)]));
	}

	/** Stores notes in place of those that were read. Returns partitions whose note somebody else changed meanwhile. */
	async change(changes: readonly NoteChange[]): Promise<TopicPartition[]> {
		if ((this.#kept ?? (await this.look())) === "none") return [];
		const known = changes.filter(({ replaces }) => replaces !== null);
		const fresh = changes.filter(({ replaces }) => replaces === null);
		const done = new Set([...(await this.#write(this.#update(), known)), ...(await this.#write(this.#insert(), fresh))].map(nameOf));
		return changes.filter((change) => !done.has(partitionName(change)));
	}

	/**
	 * Notes how far partitions came, never backwards. Leaves a note alone if it says less than `least` or is of another log. Returns the
	 * present notes of all partitions that have one, by partition name.
	 */
	async reach(positions: readonly LeastReached[]): Promise<ReadonlyMap<string, NotedReach>> {
		if (positions.length === 0 || !(await this.keepsNotes())) return new Map();
		const entries = positions.map(({ topic, partition, offset, logId = null, witness, least }) => ({
			topic,
			partition,
			topic_id: logId,
			reached: offset,
			ts: witness?.timestamp ?? null,
			ts_offset: witness?.offset ?? null,
			least: least?.reached ?? null,
			written_at: least?.writtenAt ?? null,
		}));
		const rows = await this.#database.query(this.#reach(), [this.#group, JSON.stringify(entries)]);
		return new Map(rows.map((row) => [nameOf(row), { reached: Number(row.reached_offset), writtenAt: Number(row.written_at) }]));
	}

	/**
	 * Notes what is in hand, if the assignment still has the partition. This is not part of the position, so comparing positions sees no
	 * change.
	 */
	async hold(changes: readonly HandChange[]): Promise<void> {
		if (changes.length === 0 || !(await this.keepsNotes())) return;
		const entries = changes.map(({ topic, partition, by, hand }) => ({ topic, partition, by, ...handColumns(hand) }));
		await this.#database.query(this.#hold(), [this.#group, JSON.stringify(entries)]);
	}

	/** True if the table can hold whole notes. A missing table may come back when somebody restores a backup. */
	async keepsNotes(): Promise<boolean> {
		const isKnown = this.#kept !== null && this.#kept !== "none";
		return (isKnown ? this.#kept : await this.look()) === "notes";
	}

	/** The notes of these partitions belong to a deleted log. Call only if no topic id says which log they belong to. */
	async forget(partitions: readonly TopicPartition[]): Promise<void> {
		if ((this.#kept ?? (await this.look())) !== "notes") return;
		await this.#database.query(this.#forget(), [
			this.#group,
			JSON.stringify(partitions.map(({ topic, partition }) => ({ topic, partition }))),
		]);
	}

	async #look(): Promise<NotesKept> {
		if (!(await exists(this.#database, this.#name))) return "none";
		return (await hasColumn(this.#database, this.#name, LAST_COLUMN)) ? "notes" : "starts";
	}

	async #write(statement: string, changes: readonly NoteChange[]): Promise<readonly DatabaseRow[]> {
		if (changes.length === 0) return [];
		return this.#database.query(statement, [this.#group, JSON.stringify(changes.map(entryOf))]);
	}

	/** The columns of a whole note, each with its key in an entry. */
	get #columns(): [column: string, entry: string][] {
		const starts: [string, string][] = [
			["start_offset", "start_offset::bigint"],
			["assumed", "assumed::boolean"],
		];
		if (this.#kept !== "notes") return starts;
		return [
			...starts,
			["topic_id", "topic_id::text"],
			["reached_offset", "reached::bigint"],
			["reached_ts", "ts::bigint"],
			["reached_ts_offset", "ts_offset::bigint"],
			["skipped", "skipped::jsonb"],
			["restored_from", "restored_from::bigint"],
			["restored_to", "restored_to::bigint"],
			["opened_by", "opened_by::text"],
			["in_hand", "in_hand::jsonb"],
		];
	}

	#update(): string {
		const isWhole = this.#kept === "notes";
		const set = this.#columns.map(([column, entry]) => `${column} = x.${entry.split("::")[0]}`);
		const entries = jsonEntries(2, [...KEY, ...this.#columns.map(([, entry]) => entry), "version::bigint"]);
		return `update ${quotedTable(this.#name)} as s set ${set.join(", ")}, recorded_at = case when s.start_offset = x.start_offset then s.recorded_at else now() end${isWhole ? `, ${written("s")}` : ""}
from ${entries} where s.consumer_group = $1::text and s.topic = x.topic and s.partition = x.partition${isWhole ? ` and ${microseconds("s.updated_at")} is not distinct from x.version` : ""}
returning s.topic, s.partition, ${durably}`;
	}

	#insert(): string {
		const columns = this.#columns;
		const late = this.#kept === "notes" ? ["updated_at", "clock_timestamp()"] : null;
		return `insert into ${quotedTable(this.#name)} as s (consumer_group, topic, partition, recorded_at, ${columns.map(([column]) => column).join(", ")}${late ? `, ${late[0]}` : ""})
select $1::text, x.topic, x.partition, now(), ${columns.map(([, entry]) => `x.${entry.split("::")[0]}`).join(", ")}${late ? `, ${late[1]}` : ""}
from ${jsonEntries(2, [...KEY, ...columns.map(([, entry]) => entry)])}
on conflict (consumer_group, topic, partition) do nothing returning s.topic, s.partition, ${durably}`;
	}

	#forget(): string {
		return `update ${quotedTable(this.#name)} as s set topic_id = '${deletedLog}', ${written("s")} from ${jsonEntries(2, KEY)}
where s.consumer_group = $1::text and s.topic = x.topic and s.partition = x.partition and s.topic_id is null returning s.topic, s.partition, ${durably}`;
	}

	#hold(): string {
		return `update ${quotedTable(this.#name)} as s set opened_by = x.opened_by, in_hand = x.in_hand
from ${jsonEntries(2, [...KEY, "by::text", "opened_by::text", "in_hand::jsonb"])}
where s.consumer_group = $1::text and s.topic = x.topic and s.partition = x.partition and s.opened_by = x.by returning s.topic, s.partition, ${durably}`;
	}

	#reach(): string {
		const position = ["topic_id::text", "reached::bigint", "ts::bigint", "ts_offset::bigint"];
		const entries = jsonEntries(2, [...KEY, ...position, "least::bigint", "written_at::bigint"]);
		const writtenAt = microseconds("s.updated_at");
		return `update ${quotedTable(this.#name)} as s set
	reached_offset = greatest(coalesce(s.reached_offset, x.reached), x.reached),
	topic_id = coalesce(s.topic_id, x.topic_id),
	reached_ts = coalesce(x.ts, s.reached_ts),
	reached_ts_offset = coalesce(x.ts_offset, s.reached_ts_offset),
	${written("s")}
from ${entries} where s.consumer_group = $1::text and s.topic = x.topic and s.partition = x.partition
and (s.topic_id is null or x.topic_id is null or s.topic_id = x.topic_id)
and (x.least is null or s.reached_offset is null or s.reached_offset >= x.least and ${writtenAt} >= x.written_at)
returning s.topic, s.partition, s.reached_offset::text as reached_offset, ${writtenAt}::text as written_at, ${durably}`;
	}
}

/**
 * Rethrows errors that may pass (a lost connection, a lock): they do not mean that the table can't be created, and the caller tries again.
 */
function unlessItPasses(error: unknown): void {
	if (mayPass(error)) throw error;
}

const KEY = ["topic::text", "partition::int4"];

function entryOf({ topic, partition, note, replaces }: NoteChange): object {
	const { start, assumed, log, reached, skipped, restored, hand } = note;
	return {
		topic,
		partition,
		start_offset: start,
		assumed,
		topic_id: log.id,
		reached,
		ts: log.witness?.timestamp ?? null,
		ts_offset: log.witness?.offset ?? null,
		skipped: skipped.length > 0 ? JSON.stringify(skipped) : null,
		restored_from: restored?.from ?? null,
		restored_to: restored?.to ?? null,
		...handColumns(hand ?? null),
		version: replaces?.version ?? null,
	};
}

function handColumns(hand: HandNote | null): object {
	if (hand === null) return { opened_by: null, in_hand: null };
	const { by, ...inHand } = hand;
	return { opened_by: by, in_hand: JSON.stringify(inHand) };
}

function storedNote(row: DatabaseRow): StoredNote {
	const { topic_id = null, reached_offset = null, reached_ts = null, reached_ts_offset = null, skipped = null, version = null } = row;
	const { restored_from = null, restored_to = null, opened_by = null, in_hand = null } = row;
	const witness =
		reached_ts === null || reached_ts_offset === null ? null : { offset: Number(reached_ts_offset), timestamp: Number(reached_ts) };
	return {
		note: {
			start: Number(row.start_offset),
			assumed: row.assumed === true,
			log: { id: topic_id as LogId, witness },
			reached: reached_offset === null ? null : Number(reached_offset),
			skipped: skipped === null ? [] : (JSON.parse(String(skipped)) as SkippedStretch[]),
			...(restored_from === null || restored_to === null ? {} : { restored: { from: Number(restored_from), to: Number(restored_to) } }),
			...(in_hand === null ? {} : { hand: { by: opened_by as string | null, ...(JSON.parse(String(in_hand)) as Omit<HandNote, "by">) } }),
		},
		version: version as string | null,
	};
}

function nameOf(row: DatabaseRow): string {
	return partitionName({ topic: String(row.topic), partition: Number(row.partition) });
}
