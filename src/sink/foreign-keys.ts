/** Which tables have foreign keys, for `check`: only there is a parent to wait for. Reads catalogues only. */
import type { Database } from "./database.ts";
import { quotedTable } from "./sql-names.ts";

/** A table, its partitions and inheritors, and what a view is made of. */
const foreignKeyStatement = `with recursive parts as (
  select to_regclass($1::text)::oid as oid
  union
  select next.oid from parts, lateral (
    select i.inhrelid as oid from pg_inherits i where i.inhparent = parts.oid
    union all
    select d.refobjid from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    where r.ev_class = parts.oid and d.refclassid = 'pg_class'::regclass and d.refobjid <> parts.oid
  ) next
)
select exists (select from parts p join pg_constraint c on c.conrelid = p.oid and c.contype = 'f') as has_any`;

/** Those of these tables that are there and have no foreign key. Rejects with the database's error. */
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
