/** Compares the database's tables with the configured ones, for `check`. Reads catalogues, and rows only where they may lack coordinates. */
import type { TableLayout } from "../core/rows.ts";
import type { Database } from "./database.ts";
import { exists } from "./schema.ts";
import { quoted, quotedTable } from "./sql-names.ts";
import { type LackedRights, lackedOn, toRunAndGrant } from "./table-rights.ts";

/** What is wrong with a table; `warnings` don't keep rows from being written. */
export interface TableFindings {
	readonly table: string;
	readonly problems: readonly string[];
	readonly warnings: readonly string[];
	/** The statements that give the rights which are missing, for whoever owns the table. */
	readonly grants?: readonly string[];
	/** Its schema may not be used: nothing more can be asked of it. */
	readonly isHidden?: boolean;
}

interface StoredColumn {
	readonly name: string;
	readonly type: string;
	readonly notNull: boolean;
	readonly hasDefault: boolean;
}

/** The server's spellings of what a configuration may say. */
const spellings: Readonly<Record<string, string>> = {
	int4: "integer",
	int: "integer",
	varchar: "character varying",
	char: "character",
	time: "time without time zone",
	timestamp: "timestamp without time zone",
	timestamptz: "timestamp with time zone",
};

/** Findings per table, in the order of the layouts. Rejects with the database's error. */
export async function checkTables(database: Database, layouts: readonly TableLayout[]): Promise<TableFindings[]> {
	const findings: TableFindings[] = [];
	for (const layout of layouts) findings.push(await checkTable(database, layout));
	return findings;
}

/** A table of PocKaffe's own. `isNeeded`: nothing goes on without it. */
export interface OwnTable {
	readonly name: string;
	readonly isNeeded: boolean;
	/** Columns that a table of an earlier version lacks, with their types. One that has them has to take rows, needed or not. */
	readonly lateColumns?: readonly string[];
	/** What to say of one that is there, and is not what it would be made as. */
	readonly outdated?: (database: Database, table: string) => Promise<string | null>;
}

/** Whether tables of our own are there, or can be made at start. Rejects with the database's error. */
export async function checkOwnTables(database: Database, tables: readonly OwnTable[]): Promise<TableFindings[]> {
	const findings: TableFindings[] = [];
	for (const table of tables) findings.push(await checkOwnTable(database, table));
	return findings;
}

async function checkOwnTable(database: Database, own: OwnTable): Promise<TableFindings> {
	const { name: table, isNeeded, lateColumns = [], outdated } = own;
	const found = (words: readonly string[], isWrong = isNeeded) =>
		isWrong ? { table, problems: words, warnings: [] } : { table, problems: [], warnings: words };
	const lacked = await lackedOn(database, table);
	if (lacked?.isHidden) return { ...found(lacked.words), grants: lacked.grants, isHidden: true };
	if (await exists(database, table)) {
		const stored = await storedColumns(database, table);
		const missing = lateColumns.filter((column) => !stored.has(column.split(" ")[0] as string));
		const { problems, warnings } = found(lacked?.words ?? [], isNeeded || (lateColumns.length > 0 && missing.length === 0));
		const outdatedIn = (await outdated?.(database, table)) ?? null;
		const older = outdatedIn === null ? [] : [outdatedIn];
		const all = [...warnings, ...older, ...(await missingColumns(database, table, missing))];
		return { table, problems, warnings: all, ...granting(lacked) };
	}
	if (await mayCreateIn(database, table)) return { table, problems: [], warnings: ["is missing; the daemon creates it"] };
	return { ...found([NOT_CREATED]), grants: await toRunAndGrant(database, table) };
}

const NOT_CREATED = "is missing and may not be created by this user: run what `pockaffe schema` prints";

function granting(lacked: LackedRights | null): Pick<TableFindings, "grants"> {
	return lacked === null ? {} : { grants: lacked.grants };
}

async function missingColumns(database: Database, table: string, missing: readonly string[]): Promise<string[]> {
	if (missing.length === 0) return [];
	const [row] = await database.query("select pg_has_role(c.relowner, 'usage') as may from pg_class c where c.oid = to_regclass($1::text)", [
		quotedTable(table),
	]);
	const names = missing.map((column) => column.split(" ")[0]).join(", ");
	if (row?.may === true) return [`lacks ${names}; the daemon adds them`];
	const added = missing.map((column) => `add column ${column}`).join(", ");
	return [`lacks ${names}, and this user may not add them: alter table ${quotedTable(table)} ${added}`];
}

/** In the table's schema, or the one that names without one go to. */
async function mayCreateIn(database: Database, table: string): Promise<boolean> {
	const schema = table.includes(".") ? quoted(table.split(".")[0] as string) : null;
	const [row] = await database.query(
		"select has_schema_privilege(coalesce(to_regnamespace($1::text), to_regnamespace(quote_ident(current_schema()))), 'create') as may, to_regnamespace($1::text) is not null as there",
		[schema],
	);
	return row?.may === true && (schema === null || row.there === true);
}

async function checkTable(database: Database, layout: TableLayout): Promise<TableFindings> {
	const table = layout.name;
	const lacked = await lackedOn(database, table);
	if (lacked?.isHidden) return { table, problems: lacked.words, warnings: [], grants: lacked.grants, isHidden: true };
	if (!(await exists(database, table))) {
		if (layout.create && !(await mayCreateIn(database, table)))
			return { table, problems: [NOT_CREATED], warnings: [], grants: await toRunAndGrant(database, table) };
		const missing = `is missing: run what \`pockaffe schema\` prints, or set tables.${table}.create: true`;
		return layout.create
			? { table, problems: [], warnings: ["is missing and will be created at start"] }
			: { table, problems: [missing], warnings: [] };
	}
	const stored = await storedColumns(database, table);
	const problems = [
		...expectedColumns(layout).flatMap(([name, type]) => columnProblems(stored.get(name), name, type)),
		...versionProblems(layout, stored),
		...tombstoneProblems(layout, stored),
		...(await keyProblems(database, layout)),
		...(lacked?.words ?? []),
	];
	return { table, problems, warnings: await coordinateWarnings(database, layout, stored), ...granting(lacked) };
}

/** More are not counted. */
const COUNTED_ROWS = 100_000;

/** Columns of a view always may be null, as far as it says: there only rows count. */
async function coordinateWarnings(database: Database, layout: TableLayout, stored: ReadonlyMap<string, StoredColumn>): Promise<string[]> {
	const coordinates = ["kafka_ts", "kafka_offset", "kafka_partition", ...(layout.withTopic ? ["kafka_topic"] : [])];
	const columns = coordinates.filter((name) => stored.get(name)?.notNull === false);
	if (columns.length === 0) return [];
	const { rows, isView } = await rowsWithout(database, layout.name, columns);
	if (isView && !rows) return [];
	const counted = rows !== null && rows > COUNTED_ROWS ? `more than ${COUNTED_ROWS}` : rows;
	const found = counted ? `${counted} rows have a null there and count` : "a row with a null there counts";
	const mended = columns.map((name) => `alter column ${name} set not null`).join(", ");
	return [
		`${columns.join(", ")} may be null: ${found} as older than every message (alter table ${quotedTable(layout.name)} ${mended}, once none has)`,
	];
}

/** How many rows have a null in one of these columns; null where that can't be counted in time. */
async function rowsWithout(
	database: Database,
	table: string,
	columns: readonly string[],
): Promise<{ rows: number | null; isView: boolean }> {
	const [relation] = await database.query("select relkind = 'v' as is_view from pg_class where oid = to_regclass($1::text)", [
		quotedTable(table),
	]);
	const condition = columns.map((name) => `${name} is null`).join(" or ");
	const counted = `select count(*)::int4 as rows from (select 1 from ${quotedTable(table)} where ${condition} limit ${COUNTED_ROWS + 1}) found`;
	const [count] = await database.query(counted).catch(() => []);
	return { rows: count ? Number(count.rows) : null, isView: relation?.is_view === true };
}

async function storedColumns(database: Database, table: string): Promise<Map<string, StoredColumn>> {
	const rows = await database.query(
		`select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as not_null, a.atthasdef as has_default
from pg_attribute a where a.attrelid = to_regclass($1::text) and a.attnum > 0 and not a.attisdropped`,
		[quotedTable(table)],
	);
	return new Map(
		rows.map(({ name, type, not_null, has_default }) => [
			String(name),
			{ name: String(name), type: String(type), notNull: not_null === true, hasDefault: has_default === true },
		]),
	);
}

function expectedColumns(layout: TableLayout): [name: string, type: string][] {
	return [
		[layout.id.column, layout.id.type],
		...layout.columns.map(({ name, type }): [string, string] => [name, type]),
		["kafka_ts", "bigint"],
		["kafka_offset", "bigint"],
		["kafka_partition", "int4"],
		...(layout.withTopic ? [["kafka_topic", "text"] as [string, string]] : []),
		["deleted", "boolean"],
	];
}

function columnProblems(stored: StoredColumn | undefined, name: string, type: string): string[] {
	if (!stored) return [`column ${name} (${type}) is missing`];
	const [, base = type, args = ""] = /^([a-z0-9 ]+)(\(.*\))?$/.exec(type) ?? [];
	const expected = (spellings[base] ?? base) + args;
	return stored.type === expected || stored.type.replace(/\(.*\)/, "") === expected
		? []
		: [`column ${name} is ${stored.type}, not ${expected}`];
}

/** Versions are rounded as the configured type says before they are compared; a column that rounds more would make two of them equal. */
function versionProblems({ version, columns }: TableLayout, stored: ReadonlyMap<string, StoredColumn>): string[] {
	const column = version.kind === "field" ? columns.find(({ name }) => name === version.column) : undefined;
	const found = column && stored.get(column.name)?.type;
	if (!column || !found?.includes("(") || column.type.includes("(")) return [];
	return [`column ${column.name} is ${found} and decides which version is newer: configure it as ${found}, or alter it to ${column.type}`];
}

/** A delete nulls every data column, so each must allow it or have a default that a first insert of a tombstone overrides with null. */
function tombstoneProblems(layout: TableLayout, stored: ReadonlyMap<string, StoredColumn>): string[] {
	const known = new Set(expectedColumns(layout).map(([name]) => name));
	const data = layout.columns
		.filter(({ name }) => stored.get(name)?.notNull)
		.map(({ name }) => `column ${name} is not null, but a delete nulls it: drop not null`);
	const strangers = [...stored.values()].filter(({ name, notNull, hasDefault }) => !known.has(name) && notNull && !hasDefault);
	return [
		...data,
		...strangers.map(({ name }) => `column ${name} is not configured, not null and without default: every insert would fail`),
	];
}

async function keyProblems(database: Database, { name, id }: TableLayout): Promise<string[]> {
	const [row] = await database.query(
		`select count(*)::int4 as keys from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
where i.indrelid = to_regclass($1::text) and i.indisunique and i.indnatts = 1 and i.indpred is null and a.attname = $2::text`,
		[quotedTable(name), id.column],
	);
	return Number(row?.keys) > 0 ? [] : [`column ${id.column} is neither primary key nor unique: on conflict needs it`];
}
