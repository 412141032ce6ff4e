/** Creates the dead letters' table, or updates a table of an earlier version in place, as far as this user may. */
import type { Database } from "../database/database.ts";
import { quoted, quotedTable } from "../database/sql-names.ts";
import { deadLetterDdl, exists, hasColumn } from "../tables/schema.ts";
import { type LateColumn, type LetterTableForm, lateColumns, letterKeys, usualForm } from "./dead-letter-statement.ts";

/** Creates the table if it is missing, and returns its form. Rejects with the database's error. */
export async function prepareLetterTable(database: Database, table: string): Promise<LetterTableForm> {
	if (!(await exists(database, table))) {
		await database.query(deadLetterDdl(table));
		return usualForm;
	}
	const late = new Set<LateColumn>();
	for (const column of lateColumns) {
		if (!(await hasColumn(database, table, column))) {
			// A user who may not alter the table may still write to it.
			await (column === "topic_id" ? renewKey(database, table) : addColumn(database, table, column)).catch(() => {});
		}
		if (await hasColumn(database, table, column)) late.add(column);
	}
	return { late, key: late.has("topic_id") ? "own" : "earlier" };
}

/** What a table of an earlier version can't do; null if the table is as it would be created now. */
export async function outdatedLetterTable(database: Database, table: string): Promise<string | null> {
	const missing: LateColumn[] = [];
	for (const column of lateColumns) if (!(await hasColumn(database, table, column))) missing.push(column);
	if (missing.length === 0) return null;
	const key = missing.includes("topic_id") ? await earlierKeyOf(database, table) : null;
	const columns = missing.filter((column) => column !== "topic_id").map((column) => `add column ${column} ${typeOf(column)}`);
	const statements = [
		...(columns.length > 0 ? [`alter table ${quotedTable(table)} ${columns.join(", ")}`] : []),
		...(key === null ? [] : [renewKeyStatement(table, key)]),
	];
	const remedy = statements.length > 0 ? `; the daemon adds this at its start if it may, else run: ${statements.join("; ")}` : "";
	return `was made by an earlier version: it lacks ${missing.join(", ")}${remedy}`;
}

/**
 * For a user who may alter the table: the statement that gives it the key that distinguishes logs. `key` is the name of its present key.
 */
export function renewKeyStatement(table: string, key: string): string {
	const column = "add column if not exists topic_id text not null default ''";
	return `alter table ${quotedTable(table)} ${column}, drop constraint ${quoted(key)}, add primary key (${letterKeys.own.join(", ")})`;
}

/** The name of the primary key if an earlier version made it; otherwise null. */
export async function earlierKeyOf(database: Database, table: string): Promise<string | null> {
	const [key] = await database.query(
		`select c.conname as name, (select string_agg(a.attname::text, ',' order by a.attname::text) from pg_attribute a
where a.attrelid = c.conrelid and a.attnum = any(c.conkey)) as columns from pg_constraint c where c.conrelid = to_regclass($1::text) and c.contype = 'p'`,
		[quotedTable(table)],
	);
	return key?.columns === "consumer_group,offset,partition,topic" ? String(key.name) : null;
}

async function renewKey(database: Database, table: string): Promise<void> {
	const key = await earlierKeyOf(database, table);
	if (key !== null) await database.query(renewKeyStatement(table, key));
}

async function addColumn(database: Database, table: string, column: LateColumn): Promise<void> {
	await database.query(`alter table ${quotedTable(table)} add column if not exists ${column} ${typeOf(column)}`);
}

function typeOf(column: LateColumn): string {
	return column === "handler_version" ? "text" : "jsonb";
}
