/**
 * The dead-letter table as the commands use it: lists letters page by page in the order of their offsets, and marks what became of them.
 */
import {
	type LetterCount,
	type LetterFate,
	type LetterFilter,
	type LetterIdentity,
	type LetterPosition,
	type LetterRow,
	type LetterStore,
	refusedRowsOf,
	type StoredLetter,
} from "../../core/dead-letters/dead-letter.ts";
import type { OmittedParts } from "../../core/dead-letters/omitted-parts.ts";
import type { Database, DatabaseRow } from "../database/database.ts";
import { durably } from "../database/durable-commit.ts";
import { quotedTable } from "../database/sql-names.ts";
import { hasColumn } from "../tables/schema.ts";
import { settlement } from "./dead-letter-settlement.ts";
import type { LateColumn } from "./dead-letter-statement.ts";

/** A letter's position in its log. */
interface Place {
	readonly offset: number;
	readonly timestamp: number;
}

/** Limits of a page; a single letter may exceed them. */
const PAGE = { letters: 500, bytes: 16 * 2 ** 20 };
/** One statement may change every letter there is. */
const LONG = { statementTimeoutMs: 600_000 };

/** Lists, reads and marks letters of the table. The database belongs to the caller, who closes it. `version`: the version that writes. */
export class DeadLetterTableStore implements LetterStore {
	readonly #database: Database;
	readonly #name: string;
	readonly #table: string;
	readonly #group: string;
	readonly #version: string;

	constructor(database: Database, table: string, consumerGroup: string, version = "") {
		this.#database = database;
		this.#name = table;
		this.#table = quotedTable(table);
		this.#group = consumerGroup;
		this.#version = version;
	}

	async count(filter: LetterFilter): Promise<LetterCount[]> {
		const { where, parameters } = await this.#where(filter);
		const rows = await this.#database.query(
			`select l.topic, l.state, count(*)::text as letters from ${this.#table} l where ${where} group by l.topic, l.state order by l.topic, l.state`,
			parameters,
		);
		return rows.map(({ topic, state, letters }) => ({ topic: String(topic), state: String(state), letters: Number(letters) }));
	}

	async *read(filter: LetterFilter, most = Number.POSITIVE_INFINITY): AsyncGenerator<readonly StoredLetter[]> {
		let left = most;
		for (const log of await this.#logs(filter)) {
			for (let after = { offset: -1, timestamp: 0 }; left > 0; ) {
				const page = await this.#page({ ...filter, ...log.place }, { after, last: log.last, most: left });
				if (!page) break;
				// Somebody may have replayed or discarded all of them meanwhile.
				if (page.letters.length > 0) yield page.letters;
				left -= page.letters.length;
				after = page.next;
			}
		}
	}

	/** The logs with matching letters, and their last letter for now: later ones are left to another call. */
	async #logs(filter: LetterFilter): Promise<{ readonly place: LetterFilter; readonly last: number }[]> {
		const { where, parameters, hasTopicId } = await this.#where(filter);
		const columns = ["l.topic", "l.partition", ...(hasTopicId ? ["l.topic_id"] : [])].join(", ");
		const rows = await this.#database.query(
			`select ${columns}, max(l."offset")::text as last_offset from ${this.#table} l where ${where} group by ${columns} order by ${columns}`,
			parameters,
		);
		return rows.map(({ topic, partition, topic_id, last_offset }) => ({
			place: { topic: String(topic), partition: Number(partition), ...(hasTopicId ? { topicId: (topic_id as string) || null } : {}) },
			last: Number(last_offset),
		}));
	}

	/** The next letters of one log, as many as fit into a page; null if there are none. Asks only for their sizes first. */
	async #page(
		filter: LetterFilter,
		{ after, last, most }: { readonly after: Place; readonly last: number; readonly most: number },
	): Promise<{ readonly letters: StoredLetter[]; readonly next: Place } | null> {
		const { where, parameters } = await this.#where(filter);
		const at = (index: number) => `$${parameters.length + index}::text::bigint`;
		const behind = `${where} and l."offset" >= ${at(1)} and (l."offset", l.kafka_ts) > (${at(1)}, ${at(2)})`;
		const order = `order by l."offset", l.kafka_ts limit ${Math.min(PAGE.letters, most)}`;
		const sizes = await this.#database.query(
			`select l."offset"::text as key_offset, l.kafka_ts::text as key_ts, octet_length(l.value) as bytes from ${this.#table} l
where ${behind} and l."offset" <= ${at(3)} ${order}`,
			[...parameters, String(after.offset), String(after.timestamp), String(last)],
		);
		const found = sizes[endOfPage(sizes) - 1];
		if (!found) return null;
		const next = { offset: Number(found.key_offset), timestamp: Number(found.key_ts) };
		const rows = await this.#database.query(
			`select l.topic, l.partition, l."offset"::text as "offset", ${await this.#late("topic_id")}, l.kafka_ts::text as kafka_ts, l.key, l.value, l.headers, ${await this.#late("omitted")}, l.reason, l.sqlstate, l.table_name, l.row_id, ${await this.#late("refused_rows")}, l.error, l.stack,
l.attempts, l.state, l.first_at, l.last_at, l.pockaffe_version, ${await this.#late("handler_version")} from ${this.#table} l
where ${behind} and l."offset" <= ${at(3)} and (l."offset", l.kafka_ts) <= (${at(3)}, ${at(4)}) ${order}`,
			[...parameters, String(after.offset), String(after.timestamp), String(next.offset), String(next.timestamp)],
		);
		return { letters: rows.map(letterOf), next };
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
			rows: refusedRowsOf(refusedOf(row)),
			rowsLeftOut: 0,
		}));
	}

	/** The column, or its default in a table that lacks it. */
	async #late(column: LateColumn): Promise<string> {
		return (await this.#has(column)) ? column : `null as ${column}`;
	}

	async settle(fates: readonly LetterFate[]): Promise<void> {
		const late = new Set<LateColumn>();
		for (const column of ["topic_id", "refused_rows", "handler_version"] as const) if (await this.#has(column)) late.add(column);
		const writer = { consumerGroup: this.#group, version: this.#version };
		for (const { text, parameters } of settlement(this.#name, fates, writer, late)) await this.#database.query(text, parameters);
	}

	async discard(filter: LetterFilter): Promise<number> {
		const { where, parameters } = await this.#where(filter);
		const rows = await this.#database.query(
			`with changed as (update ${this.#table} as l set state = 'discarded', last_at = now() where ${where} and l.state in ('open', 'skipped') returning 1 as one) select count(*)::int4 as count, ${durably} from changed`,
			parameters,
			LONG,
		);
		return Number(rows[0]?.count);
	}

	async purge(filter: LetterFilter): Promise<number> {
		const { where, parameters } = await this.#where(filter);
		const rows = await this.#database.query(
			`with gone as (delete from ${this.#table} as l where ${where} returning 1 as one) select count(*)::int4 as count, ${durably} from gone`,
			parameters,
			LONG,
		);
		return Number(rows[0]?.count);
	}

	async [Symbol.asyncDispose](): Promise<void> {}

	#has(column: LateColumn): Promise<boolean> {
		return hasColumn(this.#database, this.#name, column);
	}

	/** A condition on `l` and its parameters. */
	async #where({ topic, partition, offset, topicId, reason, states }: LetterFilter): Promise<{
		readonly where: string;
		readonly parameters: readonly string[];
		readonly hasTopicId: boolean;
	}> {
		const hasTopicId = await this.#has("topic_id");
		const conditions: [column: string, type: string, value: string | number | undefined][] = [
			["l.consumer_group", "text", this.#group],
			["l.topic", "text", topic],
			["l.partition", "int4", partition],
			['l."offset"', "bigint", offset],
			// Letters in a table without the column have no topic id.
			["l.topic_id", "text", hasTopicId ? (topicId === null ? "" : topicId) : undefined],
			["l.reason", "text", reason],
		];
		const given = conditions.filter(([, , value]) => value !== undefined);
		const equal = given.map(([column, type], index) => `${column} = $${index + 1}::text::${type}`);
		const parameters = given.map(([, , value]) => String(value));
		if (!hasTopicId && typeof topicId === "string") equal.push("false");
		if (states) {
			equal.push(`l.state in (${states.map((_, index) => `$${parameters.length + index + 1}::text`).join(", ")})`);
			parameters.push(...states);
		}
		return { where: equal.join(" and "), parameters, hasTopicId };
	}
}

/** How many of these letters fit into a page. */
function endOfPage(sizes: readonly DatabaseRow[]): number {
	let bytes = 0;
	for (const [index, row] of sizes.entries()) {
		bytes += Number(row.bytes ?? 0);
		if (bytes > PAGE.bytes && index > 0) return index;
	}
	return sizes.length;
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
		refusedRows: rows.map(([table, id, sqlstate = null]): LetterRow => [table, id, sqlstate]),
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
		handlerVersion: text("handler_version"),
	};
}
