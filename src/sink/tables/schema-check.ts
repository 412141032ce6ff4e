/** Compares the database's tables with the configured ones, for `check`. Reads catalogues, and rows only if they may lack coordinates. */
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Database } from "../database/database.ts";
import { quoted, quotedTable } from "../database/sql-names.ts";
import { exists } from "./schema.ts";
import { refusalOfStatement } from "./statement-trial.ts";
import { columnFindings, rowFindings, type StoredColumn, storedColumns, typeFindings } from "./stored-columns.ts";
import { type LackedRights, lackedOn, toRunAndGrant } from "./table-rights.ts";

/** What is wrong with a table. `warnings` do not prevent rows from being written. */
export interface TableFindings {
	readonly table: string;
	readonly problems: readonly string[];
	readonly warnings: readonly string[];
	/** True if it is missing, and the daemon may create it. */
	readonly isCreatedAtStart?: boolean;
	/** Statements that grant the missing rights, for the table's owner. */
	readonly grants?: readonly string[];
	/** True if its schema may not be used: then nothing more can be found out. */
	readonly isHidden?: boolean;
}

/** Findings per table, in the order of the layouts. Rejects with the database's error. */
export async function checkTables(database: Database, layouts: readonly TableLayout[]): Promise<TableFindings[]> {
	const findings: TableFindings[] = [];
	for (const layout of layouts) findings.push(await checkTable(database, layout));
	return findings;
}

/** A table of PocKaffe's own. `isNeeded`: the daemon can't work without it. */
export interface OwnTable {
	readonly name: string;
	readonly isNeeded: boolean;
	/** Columns that a table of an earlier version lacks, with their types. A table that has them must accept rows, needed or not. */
	readonly lateColumns?: readonly string[];
	/** What to say about an existing table that is not as it would be created now. */
	readonly outdated?: (database: Database, table: string) => Promise<string | null>;
}

/** Checks whether PocKaffe's own tables exist or can be created at start. Rejects with the database's error. */
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
	if (await mayCreateIn(database, table)) return { table, problems: [], warnings: [], isCreatedAtStart: true };
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

/** True if this user may create tables in the table's schema, or in the default one. */
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
		if (!layout.create) return { table, problems: [missing], warnings: [] };
		const { problems } = await typeFindings(database, layout);
		const refusal = problems.length > 0 ? null : await refusalOfStatement(database, layout, true);
		const found = [...problems, ...(refusal === null ? [] : [refusal])];
		return { table, problems: found, warnings: [], isCreatedAtStart: found.length === 0 };
	}
	const stored = await storedColumns(database, table);
	const columns = await columnFindings(database, layout, stored);
	const before = [...columns.problems, ...(lacked?.words ?? [])];
	// The server would report only the first of these.
	const refusal = before.length > 0 ? null : await refusalOfStatement(database, layout, false);
	const rows = await rowFindings(database, layout, stored);
	const { others } = columns;
	const problems = [...before, ...rows.problems, ...(refusal === null ? [] : [...others, refusal])];
	const converted = refusal === null ? others.map((words) => `${words}: a value that it can't hold is a dead letter`) : [];
	const warnings = [...converted, ...rows.warnings, ...(await coordinateWarnings(database, layout, stored))];
	return { table, problems, warnings, ...granting(lacked) };
}

/** Maximum rows that are counted. */
const COUNTED_ROWS = 100_000;

/** Catalogues say that a view's columns may always be null: for a view only its rows count. */
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
		`${columns.join(", ")} may be null: ${found} as older than every message (alter table ${quotedTable(layout.name)} ${mended}, once no row has one)`,
	];
}

/** How many rows have a null in one of these columns; null if that can't be counted in time. */
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
