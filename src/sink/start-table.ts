/**
 * Where a group began in each partition: Kafka forgets it with the next commit, and `verify` must know which messages were never meant to
 * arrive. Of a group that had committed before PocKaffe came the beginning is only assumed: the first position it was met at. Made
 * when it is first needed.
 */
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../core/message.ts";
import type { Database } from "./database.ts";
import { durably } from "./durable-commit.ts";
import { exists } from "./schema.ts";
import { quotedTable } from "./sql-names.ts";

/** The table's name beside that of the offsets' table. */
export function startTableName(offsetsTable: string): string {
	return `${offsetsTable}_start`;
}

/** `create table if not exists` for the starts. */
export function startsDdl(name: string): string {
	const lines = [
		"consumer_group text not null",
		"topic text not null",
		"partition int4 not null",
		"start_offset bigint not null",
		"assumed boolean not null",
		"recorded_at timestamptz not null",
		"primary key (consumer_group, topic, partition)",
	];
	return `create table if not exists ${quotedTable(name)} (\n\t${lines.join(",\n\t")}\n);`;
}

/** A noted start. */
export interface NotedStart {
	readonly offset: number;
	/** True where the group had committed before: what lies before was somebody else's. */
	readonly assumed: boolean;
}

/** See the file's header. Promises reject with the database's error. */
export class StartTable {
	readonly #database: Database;
	readonly #name: string;
	readonly #group: string;

	constructor({ database, offsetsTable, consumerGroup }: { database: Database; offsetsTable: string; consumerGroup: string }) {
		this.#database = database;
		this.#name = startTableName(offsetsTable);
		this.#group = consumerGroup;
	}

	/** Notes where partitions were begun; a later beginning of the same partition replaces it. */
	async record(starts: readonly TopicPartitionOffset[]): Promise<void> {
		await this.#insert(
			starts,
			false,
			"start_offset = excluded.start_offset, assumed = excluded.assumed, recorded_at = excluded.recorded_at",
		);
	}

	/**
	 * Notes where partitions with a committed offset were met, of those of which nothing was noted. Where somebody set the group back
	 * before its beginning, that is its beginning from then on.
	 */
	async assume(met: readonly TopicPartitionOffset[]): Promise<void> {
		await this.#insert(met, true, "start_offset = excluded.start_offset where s.start_offset > excluded.start_offset");
	}

	/** What was noted, by partition name. */
	async read(): Promise<ReadonlyMap<string, NotedStart>> {
		if (!(await exists(this.#database, this.#name))) return new Map();
		const rows = await this.#database.query(
			`select topic, partition, start_offset::text as start_offset, assumed from ${quotedTable(this.#name)} where consumer_group = $1::text`,
			[this.#group],
		);
		return new Map(
			rows.map((row) => [
				partitionName(row as unknown as TopicPartition),
				{ offset: Number(row.start_offset), assumed: row.assumed === true },
			]),
		);
	}

	async #insert(starts: readonly TopicPartitionOffset[], assumed: boolean, onConflict: string): Promise<void> {
		await this.#prepare();
		await this.#database.query(
			`insert into ${quotedTable(this.#name)} as s (consumer_group, topic, partition, start_offset, assumed, recorded_at)
select $1::text, e.value->>'topic', (e.value->>'partition')::int4, (e.value->>'offset')::bigint, ${assumed}, now() from json_array_elements($2::text::json) as e(value)
on conflict (consumer_group, topic, partition) do update set ${onConflict} returning ${durably}`,
			[this.#group, entriesOf(starts)],
		);
	}

	/** Two members that begin at once may both find it missing: `if not exists` doesn't keep one of them from an error. */
	async #prepare(): Promise<void> {
		if (await exists(this.#database, this.#name)) return;
		try {
			await this.#database.query(startsDdl(this.#name));
		} catch (error) {
			if (!(await exists(this.#database, this.#name))) throw error;
		}
	}
}

function entriesOf(positions: readonly TopicPartitionOffset[]): string {
	return JSON.stringify(positions.map(({ topic, partition, offset }) => ({ topic, partition, offset })));
}
