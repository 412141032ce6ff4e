/** Compares a table's columns in the catalogue with the configured ones, for `check`. Reads catalogues only. */
import { closest } from "fastest-levenshtein";
import { columnTypeOf, ordinaryTypes } from "../../core/rows/column-type.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Database } from "../database/database.ts";
import { quotedTable } from "../database/sql-names.ts";

/** A column in the database. */
export interface StoredColumn {
	/** Type as the server spells it, with its length: `character varying(8)`. */
	readonly type: string;
	readonly typeId: string;
	readonly notNull: boolean;
	/** True if it has a default, an identity or an expression: an insert need not name it. */
	readonly hasDefault: boolean;
}

interface Findings {
	readonly problems: readonly string[];
	readonly warnings: readonly string[];
}

/** A table's columns by name; empty if there is no such table. */
export async function storedColumns(database: Database, table: string): Promise<Map<string, StoredColumn>> {
	return await columnsOf(database, "to_regclass($1::text)", quotedTable(table));
}

async function columnsOf(database: Database, relation: string, parameter: string): Promise<Map<string, StoredColumn>> {
	const rows = await database.query(
		`select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.atttypid::text as type_id, a.attnotnull as not_null,
a.atthasdef or a.attidentity <> '' as has_default
from pg_attribute a where a.attrelid = ${relation} and a.attnum > 0 and not a.attisdropped`,
		[parameter],
	);
	return new Map(
		rows.map(({ name, type, type_id, not_null, has_default }) => [
			String(name),
			{ type: String(type), typeId: String(type_id), notNull: not_null === true, hasDefault: has_default === true },
		]),
	);
}

/** Missing columns and types that the server does not have (`problems`), and columns of another type than configured (`others`). */
export async function columnFindings(
	database: Database,
	layout: TableLayout,
	stored: ReadonlyMap<string, StoredColumn>,
): Promise<{ readonly problems: readonly string[]; readonly others: readonly string[] }> {
	const { problems, typeIds } = await typeFindings(database, layout);
	const missing = expectedColumns(layout).filter(([name]) => !stored.has(name));
	const others = expectedColumns(layout).flatMap(([name, type]) => {
		const found = stored.get(name);
		const isDifferent = found && isOther(found, type, typeIds.get(bareType(type)));
		return isDifferent ? [{ name, words: `column ${name} is ${found.type}, not ${type}` }] : [];
	});
	const deciding = layout.version.kind === "field" ? layout.version.column : null;
	const decides = others.filter(({ name }) => name === deciding).map(({ words }) => words);
	const version = decides.length > 0 ? decides : roundedVersion(layout, stored);
	return {
		problems: [
			...missing.map(([name, type]) => `column ${name} (${type}) is missing`),
			...problems,
			...version.map((words) => `${words}, and decides which version is newer: configure it as it is, or alter it`),
		],
		others: others.filter(({ name }) => name !== deciding).map(({ words }) => words),
	};
}

/** Configured types that the server does not know, and the ids of the others. */
export async function typeFindings(
	database: Database,
	layout: TableLayout,
): Promise<{ readonly problems: readonly string[]; readonly typeIds: ReadonlyMap<string, string> }> {
	const columns = expectedColumns(layout);
	const typeIds = await typeIdsOf(database, new Set(columns.map(([, type]) => bareType(type))));
	const unknown = columns.filter(([, type]) => !typeIds.has(bareType(type)));
	return { problems: unknown.map(([name, type]) => `column ${name}: the server has no type ${type}${nearest(type)}`), typeIds };
}

function nearest(type: string): string {
	const { name } = columnTypeOf(type);
	return /^\w+$/.test(name) ? ` (the nearest is ${closest(name, [...ordinaryTypes])})` : "";
}

async function typeIdsOf(database: Database, types: ReadonlySet<string>): Promise<Map<string, string>> {
	const ask = async (names: readonly string[]) =>
		await database.query(
			"select t as type, to_regtype(t)::oid::text as id from jsonb_array_elements_text($1::text::jsonb) t where to_regtype(t) is not null",
			[JSON.stringify(names)],
		);
	// An invalid type name (a reserved word) makes the whole query fail: then each type is asked for alone.
	const all = [...types];
	const known = await ask(all).catch(async () => (await Promise.all(all.map((type) => ask([type]).catch(() => [])))).flat());
	return new Map(known.map(({ type, id }) => [String(type), String(id)]));
}

/** The type without its length. */
function bareType(type: string): string {
	const { name, dimensions } = columnTypeOf(type);
	return name + "[]".repeat(dimensions);
}

function isOther(found: StoredColumn, type: string, typeId: string | undefined): boolean {
	if (typeId === undefined) return false;
	if (found.typeId !== typeId) return true;
	const { args } = columnTypeOf(type);
	return args !== "" && args !== lengthOf(found);
}

/** The type's length, `(10,2)`; or empty. */
function lengthOf({ type }: StoredColumn): string {
	return /\([^()]*\)/.exec(type)?.[0] ?? "";
}

/** Versions are rounded as the configured type says before they are compared; a column that rounds more would make two versions equal. */
function roundedVersion({ version, columns }: TableLayout, stored: ReadonlyMap<string, StoredColumn>): string[] {
	const column = version.kind === "field" ? columns.find(({ name }) => name === version.column) : undefined;
	const found = column && stored.get(column.name);
	return column && found && lengthOf(found) !== "" && !column.type.includes("(") ? [`column ${column.name} is ${found.type}`] : [];
}

/** Finds what only a row would meet, not a statement: columns that must not be null, and a deferred key. */
export async function rowFindings(database: Database, layout: TableLayout, stored: ReadonlyMap<string, StoredColumn>): Promise<Findings> {
	const problems: string[] = [];
	const warnings: string[] = [];
	const base = await baseOf(database, layout.name);
	const columns = base === null ? stored : await columnsOf(database, "$1::text::oid", base);
	const known = new Set(base === null ? expectedColumns(layout).map(([name]) => name) : await shownColumns(database, base));
	const strangers = [...columns].filter(([name, { notNull, hasDefault }]) => !known.has(name) && notNull && !hasDefault);
	const mayBeFilled = strangers.length > 0 && (await hasTriggerBeforeInsert(database, base, layout.name));
	for (const [name] of strangers) {
		const words = `column ${name} is ${base === null ? "not configured" : "not in the view"}, not null and without default`;
		if (mayBeFilled) warnings.push(`${words}: a row is written only if a trigger fills it`);
		else problems.push(`${words}: every insert would fail`);
	}
	for (const { name } of layout.columns)
		if (columns.get(name)?.notNull)
			warnings.push(`column ${name} is not null, but a delete nulls it: a delete is a dead letter (if there are deletes: drop not null)`);
	if (await hasDeferrableKey(database, layout, base))
		problems.push(`the key on ${layout.id.column} is deferrable, which on conflict can't take: every insert would fail (55000)`);
	return { problems, warnings };
}

/** Columns of a table that its views show, under whatever name. */
async function shownColumns(database: Database, base: string): Promise<string[]> {
	const rows = await database.query(
		`select distinct a.attname as name from pg_attribute a
join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = a.attrelid and d.refobjsubid = a.attnum
where a.attrelid = $1::text::oid`,
		[base],
	);
	return rows.map(({ name }) => String(name));
}

/** Id of the table behind a view; null if it is a table itself, or a view of several. */
async function baseOf(database: Database, table: string): Promise<string | null> {
	const rows = await database.query(
		`with recursive below as (
	select to_regclass($1::text)::oid as oid
	union
	select d.refobjid from below b join pg_class c on c.oid = b.oid and c.relkind = 'v'
	join pg_rewrite r on r.ev_class = b.oid and r.rulename = '_RETURN'
	join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass and d.refobjid <> b.oid
)
select c.oid::text as id from below join pg_class c using (oid) where c.relkind in ('r', 'p', 'f') and c.oid <> to_regclass($1::text)::oid`,
		[quotedTable(table)],
	);
	return rows.length === 1 ? String(rows[0]?.id) : null;
}

async function hasTriggerBeforeInsert(database: Database, base: string | null, table: string): Promise<boolean> {
	// Bits of tgtype: 1 per row, 2 before, 4 insert.
	const [row] = await database.query(
		`select exists (select from pg_trigger where tgrelid = coalesce($1::text::oid, to_regclass($2::text)::oid)
and tgtype & 7 = 7 and tgenabled <> 'D' and not tgisinternal) as found`,
		[base, quotedTable(table)],
	);
	return row?.found === true;
}

async function hasDeferrableKey(database: Database, { name, id }: TableLayout, base: string | null): Promise<boolean> {
	const [row] = await database.query(
		`select exists (select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
where i.indrelid = coalesce($1::text::oid, to_regclass($2::text)::oid) and i.indisunique and not i.indimmediate and i.indnkeyatts = 1
and i.indpred is null and a.attname = $3::text) as found`,
		[base, quotedTable(name), id.column],
	);
	return row?.found === true;
}

function expectedColumns(layout: TableLayout): [name: string, type: string][] {
	return [
		[layout.id.column, layout.id.type === "int" ? "int4" : layout.id.type],
		...layout.columns.map(({ name, type }): [string, string] => [name, type]),
		["kafka_ts", "bigint"],
		["kafka_offset", "bigint"],
		["kafka_partition", "int4"],
		...(layout.withTopic ? [["kafka_topic", "text"] as [string, string]] : []),
		["deleted", "boolean"],
	];
}
