/**
 * What a crash would take although its commit was answered, as far as the server tells: settings of the server, and tables that are not in
 * its log. Told by `check` and at the start; PocKaffe can't mend it. Reads catalogues only.
 */

import { tableParts } from "../tables/table-parts.ts";
import type { Database } from "./database.ts";
import { quotedTable } from "./sql-names.ts";

/** What was found, in words. */
export interface CrashSafety {
	/** Of the server as a whole. */
	readonly server: readonly string[];
	/** By the names that were asked for; those without a finding are left out. */
	readonly tables: ReadonlyMap<string, string>;
}

const unsafeSettings: Readonly<Record<string, string>> = {
	fsync:
		"fsync is off: when the machine or its power fails, rows that were committed are lost and the database may be damaged (alter system set fsync = on; then reload)",
	full_page_writes:
		"full_page_writes is off: when the machine or its power fails, half-written pages may damage tables (alter system set full_page_writes = on; then reload)",
};

/** Those parts of a table whose rows a crash takes. */
const unloggedStatement = `${tableParts}
select c.oid::regclass::text as name from parts p join pg_class c on c.oid = p.oid
where c.relpersistence <> 'p' and c.relkind in ('r', 'p') order by 1`;

/** Looks at the server and at these tables; one that is missing has no finding. Rejects with the database's error. */
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
