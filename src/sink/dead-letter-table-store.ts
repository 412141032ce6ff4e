/** The dead-letter table as people work with it: which letters there are, one in full, and what has become of them. */
import {
	type LetterFilter,
	type LetterIdentity,
	type LetterPosition,
	type LetterStore,
	type RefusedRow,
	rowsOf,
	type StoredLetter,
	storableText,
} from "../core/dead-letter.ts";
import type { OmittedParts } from "../core/omitted-parts.ts";
import type { Database, DatabaseRow } from "./database.ts";
import type { LateColumn } from "./dead-letter-statement.ts";
import { durably } from "./durable-commit.ts";
import { hasColumn } from "./schema.ts";
import { quotedTable } from "./sql-names.ts";

/** See the file's header. The database is its owner's to close. */
export class DeadLetterTableStore implements LetterStore {
	readonly #database: Database;
	readonly #name: string;
	readonly #table: string;
	readonly #group: string;

	constructor(database: Database, table: string, consumerGroup: string) {
		this.#database = database;
		this.#name = table;
		this.#table = quotedTable(table);
		this.#group = consumerGroup;
	}

	async find(filter: LetterFilter): Promise<StoredLetter[]> {
		const { where, parameters } = this.#where(filter);
		const limit = filter.limit === undefined ? "" : ` limit ${filter.limit}`;
		const rows = await this.#database.query(
			`select topic, partition, "offset"::text as "offset", ${await this.#late("topic_id")}, kafka_ts::text as kafka_ts, key, value, headers, ${await this.#late("omitted")}, reason, sqlstate, table_name, row_id, ${await this.#late("refused_rows")}, error, stack,
attempts, state, first_at, last_at, pockaffe_version from ${this.#table} l where ${where} order by l.topic, l.partition, ${await this.#logFirst()} l."offset", l.kafka_ts${limit}`,
			parameters,
		);
		return rows.map(letterOf);
	}

	async unreplayed(): Promise<LetterPosition[]> {
		const rows = await this.#database.query(
			`select topic, partition, "offset"::text as "offset", ${await this.#late("topic_id")}, kafka_ts::text as kafka_ts, reason, sqlstate, state, table_name, row_id, ${await this.#late("refused_rows")} from ${this.#table} where consumer_group = $1::text and state <> 'replayed'`,
			[this.#group],
		);
		return rows.map((row) => ({
			...identityOf(row),
			reason: String(row.reason),
			state: String(row.state),
			rows: rowsOf(refusedOf(row)),
			rowsLeftOut: 0,
		}));
	}

	/** Tables that were made before a column came do without it. */
	async #late(column: LateColumn): Promise<string> {
		return (await hasColumn(this.#database, this.#name, column)) ? column : `null as ${column}`;
	}

	/** The logs of a topic one after the other. */
	async #logFirst(): Promise<string> {
		return (await hasColumn(this.#database, this.#name, "topic_id")) ? "l.topic_id," : "";
	}

	async replayed({ topic, partition, offset, topicId, timestamp }: LetterIdentity, error: string | null): Promise<void> {
		const log = (await hasColumn(this.#database, this.#name, "topic_id")) ? { topicId } : {};
		const { where, parameters } = this.#where({ topic, partition, offset, timestamp, ...log });
		const next = parameters.length;
		await this.#database.query(
			`update ${this.#table} set state = $${next + 1}::text, error = coalesce($${next + 2}::text, error), last_at = now() where ${where} returning ${durably}`,
			[...parameters, error === null ? "replayed" : "open", storableText(error)],
		);
	}

	async discard(filter: LetterFilter): Promise<number> {
		const { where, parameters } = this.#where(filter);
		const rows = await this.#database.query(
			`with changed as (update ${this.#table} set state = 'discarded', last_at = now() where ${where} returning 1) select count(*)::int4 as count, ${durably} from changed`,
			parameters,
		);
		return Number(rows[0]?.count);
	}

	async purge(filter: LetterFilter): Promise<number> {
		const { where, parameters } = this.#where(filter);
		const rows = await this.#database.query(
			`with gone as (delete from ${this.#table} where ${where} returning 1) select count(*)::int4 as count from gone`,
			parameters,
		);
		return Number(rows[0]?.count);
	}

	async [Symbol.asyncDispose](): Promise<void> {}

	#where({ topic, partition, offset, topicId, timestamp, reason, state }: LetterFilter & { timestamp?: number }): {
		where: string;
		parameters: string[];
	} {
		const conditions: [column: string, type: string, value: string | number | undefined][] = [
			["consumer_group", "text", this.#group],
			["topic", "text", topic],
			["partition", "int4", partition],
			['"offset"', "bigint", offset],
			["topic_id", "text", topicId === null ? "" : topicId],
			["kafka_ts", "bigint", timestamp],
			["reason", "text", reason],
			["state", "text", state],
		];
		const given = conditions.filter(([, , value]) => value !== undefined);
		const where = given.map(([column, type], index) => `${column} = $${index + 1}::text::${type}`).join(" and ");
		return { where, parameters: given.map(([, , value]) => String(value)) };
	}
}

function identityOf({ topic, partition, offset, topic_id, kafka_ts }: DatabaseRow): LetterIdentity {
	const place = { topic: String(topic), partition: Number(partition), offset: Number(offset) };
	return { ...place, topicId: (topic_id as string | null) || null, timestamp: Number(kafka_ts) };
}

function refusedOf(row: DatabaseRow): Pick<StoredLetter, "table" | "rowId" | "sqlstate" | "refusedRows"> {
	const rows = (row.refused_rows as [string, string, string?][] | null) ?? [];
	return {
		table: row.table_name as string | null,
		rowId: row.row_id as string | null,
		sqlstate: row.sqlstate as string | null,
		refusedRows: rows.map(([table, id, sqlstate = null]): RefusedRow => [table, id, sqlstate]),
	};
}

function letterOf(row: DatabaseRow): StoredLetter {
	const headers = row.headers as [string, string | null][];
	const text = (name: string) => row[name] as string | null;
	return {
		...identityOf(row),
		key: row.key as Buffer | null,
		value: row.value as Buffer | null,
		headers: headers.map(([name, value]) => [name, value === null ? null : Buffer.from(value, "base64")]),
		omitted: (row.omitted as OmittedParts | null) ?? {},
		reason: String(row.reason),
		...refusedOf(row),
		rowsLeftOut: 0,
		error: String(row.error),
		stack: text("stack"),
		attempts: Number(row.attempts),
		state: String(row.state),
		firstAt: (row.first_at as Date).toISOString(),
		lastAt: (row.last_at as Date).toISOString(),
		pockaffeVersion: String(row.pockaffe_version),
	};
}
