/** The dead-letter table as people work with it: which letters there are, one in full, and what has become of them. */
import type { Header, TopicPartition } from "../core/message.ts";
import type { Database, DatabaseRow } from "./database.ts";
import { quotedTable } from "./sql-names.ts";

/** Which letters of a group; what is left out matches everything. */
export interface LetterFilter {
	readonly topic?: string | undefined;
	readonly partition?: number | undefined;
	readonly offset?: number | undefined;
	readonly reason?: string | undefined;
	readonly state?: string | undefined;
	/** At most so many, the oldest first by topic, partition and offset. */
	readonly limit?: number | undefined;
}

/** A stored letter. Times as ISO text, `timestamp` in ms. */
export interface StoredLetter extends TopicPartition {
	readonly offset: number;
	readonly timestamp: number;
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: Header[];
	readonly reason: string;
	readonly sqlstate: string | null;
	readonly table: string | null;
	readonly rowId: string | null;
	readonly error: string;
	readonly stack: string | null;
	readonly attempts: number;
	readonly state: string;
	readonly firstAt: string;
	readonly lastAt: string;
	readonly pockaffeVersion: string;
}

/** How a letter stands after somebody looked after it. */
export type LetterState = "open" | "replayed" | "discarded";

/** The letters of one consumer group. All calls reject with the database's error. */
export class DeadLetterStore {
	readonly #database: Database;
	readonly #table: string;
	readonly #group: string;

	constructor(database: Database, table: string, consumerGroup: string) {
		this.#database = database;
		this.#table = quotedTable(table);
		this.#group = consumerGroup;
	}

	async find(filter: LetterFilter): Promise<StoredLetter[]> {
		const { where, parameters } = this.#where(filter);
		const limit = filter.limit === undefined ? "" : ` limit ${filter.limit}`;
		const rows = await this.#database.query(
			`select topic, partition, "offset"::text as "offset", kafka_ts::text as kafka_ts, key, value, headers, reason, sqlstate, table_name, row_id, error, stack,
attempts, state, first_at, last_at, pockaffe_version from ${this.#table} where ${where} order by topic, partition, "offset"${limit}`,
			parameters,
		);
		return rows.map(letterOf);
	}

	/** Marks one letter; `error` takes the place of the former one where it is given. */
	async mark(
		{ topic, partition, offset }: TopicPartition & { offset: number },
		state: LetterState,
		error: string | null = null,
	): Promise<void> {
		const { where, parameters } = this.#where({ topic, partition, offset });
		const next = parameters.length;
		await this.#database.query(
			`update ${this.#table} set state = $${next + 1}::text, error = coalesce($${next + 2}::text, error), last_at = now() where ${where}`,
			[...parameters, state, error?.replaceAll("\0", "") ?? null],
		);
	}

	/** Marks all that match as discarded; returns how many. */
	async discard(filter: LetterFilter): Promise<number> {
		const { where, parameters } = this.#where(filter);
		const rows = await this.#database.query(
			`with changed as (update ${this.#table} set state = 'discarded', last_at = now() where ${where} returning 1) select count(*)::int4 as count from changed`,
			parameters,
		);
		return Number(rows[0]?.count);
	}

	/** Deletes all that match; returns how many. */
	async purge(filter: LetterFilter): Promise<number> {
		const { where, parameters } = this.#where(filter);
		const rows = await this.#database.query(
			`with gone as (delete from ${this.#table} where ${where} returning 1) select count(*)::int4 as count from gone`,
			parameters,
		);
		return Number(rows[0]?.count);
	}

	#where({ topic, partition, offset, reason, state }: LetterFilter): { where: string; parameters: string[] } {
		const conditions: [column: string, type: string, value: string | number | undefined][] = [
			["consumer_group", "text", this.#group],
			["topic", "text", topic],
			["partition", "int4", partition],
			['"offset"', "bigint", offset],
			["reason", "text", reason],
			["state", "text", state],
		];
		const given = conditions.filter(([, , value]) => value !== undefined);
		const where = given.map(([column, type], index) => `${column} = $${index + 1}::text::${type}`).join(" and ");
		return { where, parameters: given.map(([, , value]) => String(value)) };
	}
}

function letterOf(row: DatabaseRow): StoredLetter {
	const headers = row.headers as [string, string | null][];
	const text = (name: string) => row[name] as string | null;
	return {
		topic: String(row.topic),
		partition: Number(row.partition),
		offset: Number(row.offset),
		timestamp: Number(row.kafka_ts),
		key: row.key as Buffer | null,
		value: row.value as Buffer | null,
		headers: headers.map(([name, value]) => [name, value === null ? null : Buffer.from(value, "base64")]),
		reason: String(row.reason),
		sqlstate: text("sqlstate"),
		table: text("table_name"),
		rowId: text("row_id"),
		error: String(row.error),
		stack: text("stack"),
		attempts: Number(row.attempts),
		state: String(row.state),
		firstAt: (row.first_at as Date).toISOString(),
		lastAt: (row.last_at as Date).toISOString(),
		pockaffeVersion: String(row.pockaffe_version),
	};
}
