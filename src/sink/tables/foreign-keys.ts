/** Finds tables without foreign keys, for `check`: their rows have no parent to wait for. Reads catalogues only. */
import type { Database } from "../database/database.ts";
import { quotedTable } from "../database/sql-names.ts";
import { tableParts } from "./table-parts.ts";

const foreignKeyStatement = `${tableParts}
select exists (select from parts p join pg_constraint c on c.conrelid = p.oid and c.contype = 'f') as has_any`;

/** Those of these tables that exist and have no foreign key. Rejects with the database's error. */
export async function withoutForeignKeys(database: Database, tables: Iterable<string>): Promise<string[]> {
	const without: string[] = [];
	for (const table of tables) {
		const name = quotedTable(table);
		const [there] = await database.query("select to_regclass($1::text) is not null as is_there", [name]);
		if (there?.is_there !== true) continue;
		const [keys] = await database.query(foreignKeyStatement, [name]);
		if (keys?.has_any !== true) without.push(table);
	}
	return without;
}
