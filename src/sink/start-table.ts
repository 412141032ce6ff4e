/**
 * Where a group began in partitions that it did not begin at the log's beginning (`kafka.startFrom` latest or a timestamp): Kafka forgets
 * it with the next commit, and `verify` must know which messages were never meant to arrive. Made when it is first needed.
 */
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../core/message.ts";
import type { Database } from "./database.ts";
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
		"recorded_at timestamptz not null",
		"primary key (consumer_group, topic, partition)",
	];
	return `create table if not exists ${quotedTable(name)} (\n\t${lines.join(",\n\t")}\n);`;
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

	/** Notes starts; a later one of the same partition replaces it. */
	async record(starts: readonly TopicPartitionOffset[]): Promise<void> {
		if (!(await exists(this.#database, this.#name))) await this.#database.query(startsDdl(this.#name));
		await this.#database.query(
			`insert into ${quotedTable(this.#name)} (consumer_group, topic, partition, start_offset, recorded_at)
select $1::text, e.value->>'topic', (e.value->>'partition')::int4, (e.value->>'offset')::bigint, now() from json_array_elements($2::text::json) as e(value)
on conflict (consumer_group, topic, partition) do update set start_offset = excluded.start_offset, recorded_at = excluded.recorded_at`,
			[this.#group, entriesOf(starts)],
		);
	}

	/** These partitions were begun at the log's beginning: what was noted of an earlier life of the group doesn't hold any more. */
	async forget(partitions: readonly TopicPartitionOffset[]): Promise<void> {
		if (!(await exists(this.#database, this.#name))) return;
		await this.#database.query(
			`delete from ${quotedTable(this.#name)} s using json_array_elements($2::text::json) as e(value)
where s.consumer_group = $1::text and s.topic = e.value->>'topic' and s.partition = (e.value->>'partition')::int4`,
			[this.#group, entriesOf(partitions)],
		);
	}

	/** What was noted, by partition name. */
	async read(): Promise<ReadonlyMap<string, number>> {
		if (!(await exists(this.#database, this.#name))) return new Map();
		const rows = await this.#database.query(
			`select topic, partition, start_offset::text as start_offset from ${quotedTable(this.#name)} where consumer_group = $1::text`,
			[this.#group],
		);
		return new Map(rows.map((row) => [partitionName(row as unknown as TopicPartition), Number(row.start_offset)]));
	}
}

function entriesOf(positions: readonly TopicPartitionOffset[]): string {
	return JSON.stringify(positions.map(({ topic, partition, offset }) => ({ topic, partition, offset })));
}
