/** The tables' DDL: printed by `pockaffe schema`, run at start if `create: true`. Pure, except `createTables`. */
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Database } from "../database/database.ts";
import { quoted, quotedTable } from "../database/sql-names.ts";
import { letterKeys } from "../dead-letters/dead-letter-statement.ts";

/** `create table if not exists` for a layout. Data columns are nullable: a delete nulls them and keeps the row. */
export function tableDdl(layout: TableLayout): string {
	const idType = layout.id.type === "int" ? "int4" : layout.id.type;
	const lines = [
		`${quoted(layout.id.column)} ${idType} primary key`,
		...layout.columns.map(({ name, type }) => `${quoted(name)} ${type}`),
		"kafka_ts bigint not null",
		"kafka_offset bigint not null",
		"kafka_partition int4 not null",
		...(layout.withTopic ? ["kafka_topic text not null"] : []),
		"deleted boolean not null default false",
	];
	return `create table if not exists ${quotedTable(layout.name)} (\n\t${lines.join(",\n\t")}\n);`;
}

/** `create table if not exists` for the dead letters. */
export function deadLetterDdl(name: string): string {
	const lines = [
		"consumer_group text not null",
		"topic text not null",
		"partition int4 not null",
		'"offset" bigint not null',
		"topic_id text not null default ''",
		"kafka_ts bigint not null",
		"key bytea",
		"value bytea",
		"headers jsonb not null",
		"omitted jsonb",
		"reason text not null",
		"sqlstate text",
		"table_name text",
		"row_id text",
		"refused_rows jsonb",
		"error text not null",
		"stack text",
		"attempts int4 not null",
		"state text not null",
		"first_at timestamptz not null",
		"last_at timestamptz not null",
		"pockaffe_version text not null",
		"handler_version text",
		`primary key (${letterKeys.own.join(", ")})`,
	];
	return `create table if not exists ${quotedTable(name)} (\n\t${lines.join(",\n\t")}\n);`;
}

/** Columns that an offsets' table of an earlier version lacks: they say which log an offset belongs to. The last one stands for all. */
export const offsetsLateColumns = ["topic_id text", "reached_ts bigint", "reached_ts_offset bigint"] as const;

/** `create table if not exists` for `offsets.store: postgres`. */
export function offsetsDdl(name: string): string {
	const lines = [
		"consumer_group text not null",
		"topic text not null",
		"partition int4 not null",
		"next_offset bigint not null",
		"epoch bigint not null",
		"updated_at timestamptz not null",
		...offsetsLateColumns,
		"primary key (consumer_group, topic, partition)",
	];
	return `create table if not exists ${quotedTable(name)} (\n\t${lines.join(",\n\t")}\n);`;
}

/** Creates the tables with `create: true`; their owner creates the others. Rejects with the database's error. */
export async function createTables(database: Database, layouts: readonly TableLayout[]): Promise<void> {
	for (const layout of layouts) {
		if (layout.create && !(await exists(database, layout.name))) await database.query(tableDdl(layout));
	}
}

/** True if the table exists. Asked first, because `create … if not exists` needs a right that a running daemon may lack. */
export async function exists(database: Database, name: string): Promise<boolean> {
	const [row] = await database.query("select to_regclass($1::text) is not null as found", [quotedTable(name)]);
	return row?.found === true;
}

/** True if the table has the column; a table made by an earlier version or by hand may lack it. */
export async function hasColumn(database: Database, name: string, column: string): Promise<boolean> {
	const [row] = await database.query(
		"select exists (select from pg_attribute where attrelid = to_regclass($1::text) and attname = $2::text and not attisdropped) as found",
		[quotedTable(name), column],
	);
	return row?.found === true;
}
