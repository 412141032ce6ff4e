/** Finds the rights on a table that the daemon's role lacks, and the statements that grant them. Reads catalogues only. */
import type { Database } from "../database/database.ts";
import { quoted, quotedTable } from "../database/sql-names.ts";

/** Rights needed on every table that rows are written to: a stored row is compared before it is changed. */
const NEEDED = ["select", "insert", "update"];

/** The rights on a table that the role lacks, and the statements that grant them. */
export interface LackedRights {
	readonly words: readonly string[];
	readonly grants: readonly string[];
	/** True if the schema may not be used: then the table can't be seen. */
	readonly isHidden: boolean;
}

/** The lacking rights; null if none is lacking, or there is no such table. Rejects with the database's error. */
export async function lackedOn(database: Database, table: string): Promise<LackedRights | null> {
	const [name, schema = null] = table.split(".").reverse() as [string, string?];
	// A name without a schema is searched in the search path, including schemas that the role may not use.
	const [row] = await database.query(
		`select n.nspname as schema, has_schema_privilege(n.oid, 'usage') as is_usable, current_user::text as role,
has_table_privilege(c.oid, 'select') as can_select, has_table_privilege(c.oid, 'insert') as can_insert, has_table_privilege(c.oid, 'update') as can_update
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relname = $1::text and c.relkind in ('r', 'p', 'v', 'f') and (n.nspname = $2::text
or $2::text is null and n.nspname = any(string_to_array(replace(replace(current_setting('search_path'), '"', ''), ' ', ''), ',')))
order by is_usable desc limit 1`,
		[name, schema],
	);
	if (!row) return null;
	const missing = NEEDED.filter((right) => row[`can_${right}`] !== true);
	const isHidden = row.is_usable !== true;
	if (missing.length === 0 && !isHidden) return null;
	const role = quoted(String(row.role));
	const usage = `grant usage on schema ${quoted(String(row.schema))} to ${role};`;
	const onTable = `grant ${missing.join(", ")} on ${quotedTable(table)} to ${role};`;
	return {
		words: [
			...(isHidden ? [`the user may not use the schema ${row.schema}: ${usage}`] : []),
			...(missing.length > 0 ? [`the user lacks ${missing.join(", ")}: ${onTable}`] : []),
		],
		grants: [...(isHidden ? [usage] : []), ...(missing.length > 0 ? [onTable] : [])],
		isHidden,
	};
}

/** The statements for a table that the role may not create. */
export async function toRunAndGrant(database: Database, table: string): Promise<string[]> {
	const [row] = await database.query("select current_user::text as role");
	const grant = `grant ${NEEDED.join(", ")} on ${quotedTable(table)} to ${quoted(String(row?.role))};`;
	return ["-- first, as the tables' owner, what `pockaffe schema` prints", grant];
}
