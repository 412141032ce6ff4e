/**
 * Finds what a crash of the server could lose although its commit was acknowledged: server settings, and tables outside the write-ahead
 * log. Reported by `check` and at the start; PocKaffe can't correct it. Reads catalogues only.
 */

import { tableParts } from "../tables/table-parts.ts";
import type { Database } from "./database.ts";
import { quotedTable } from "./sql-names.ts";

/** The findings, in words. */
export interface CrashSafety {
	/** Findings about the whole server. */
	readonly server: readonly string[];
	/** Findings by table name, as it was asked for; tables without a finding are absent. */
	readonly tables: ReadonlyMap<string, string>;
}

const unsafeSettings: Readonly<Record<string, string>> = {
	fsync:
		"fsync is off: when the machine or its power fails, rows that were committed are lost and the database may be damaged (alter system set fsync = on; then reload)",
	full_page_writes:
		"full_page_writes is off: when the machine or its power fails, half-written pages may damage tables (alter system set full_page_writes = on; then reload)",
};

/** Selects the parts of a table whose rows a crash would lose. */
const unloggedStatement = `${tableParts}
select c.oid::regclass::text as name from parts p join pg_class c on c.oid = p.oid
where c.relpersistence <> 'p' and c.relkind in ('r', 'p') order by 1`;

/** Checks the server and these tables; a missing table has no finding. Rejects with the database's error. */
export async function crashSafetyOf(database: Database, tables: readonly string[]): Promise<CrashSafety> {
	const names = Object.keys(unsafeSettings);
	const [settings = {}] = await database.query(`select ${names.map((name) => `current_setting('${name}', true) as ${name}`).join(", ")}`);
	const server = names.filter((name) => settings[name] === "off").map((name) => unsafeSettings[name] as string);
	const found = new Map<string, string>();
	for (const table of tables) {
		const unlogged = await database.query(unloggedStatement, [quotedTable(table)]);
		if (unlogged.length > 0) found.set(table, unloggedWords(unlogged.map(({ name }) => String(name))));
	}
	return { server, tables: found };
}

function unloggedWords(names: readonly string[]): string {
	const mended = names.map((name) => `alter table ${name} set logged`).join("; ");
	return `${names.join(", ")} is UNLOGGED: a crash of the server empties it, and the rows don't come again (${mended})`;
}
