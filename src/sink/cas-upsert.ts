/**
 * The one statement per batch and table, and its parameters. Pure.
 *
 * What is stored is read first (`incoming`, a left join on the primary key), rows that are already as new are left out, the rest is
 * upserted under the guard (`written`), and one row of counts comes back. A row that another writer made newer in between is caught
 * by the guard and counted as stale. No system column is read, and everything stays inside what CockroachDB documents.
 *
 * Step 8 of a message's way (README).
 */
import type { TableLayout } from "../core/rows.ts";
import { rowsParameter, tuple, versionColumns } from "./row-parameters.ts";
import { quoted, quotedTable } from "./sql-names.ts";

/** What became of a statement's rows. `stale` by cause: see DESIGN's words in the README. */
export interface UpsertCounts {
	readonly inserted: number;
	readonly updated: number;
	readonly deleted: number;
	readonly stale: { readonly replay: number; readonly older: number; readonly other_partition: number };
}

/** A prepared statement's text for a layout; parameters by `rowParameters`. */
export function upsertStatement(layout: TableLayout): string {
	const table = quotedTable(layout.name);
	const id = quoted(layout.id.column);
	const stored = versionColumns(layout);
	const newer = `(${tuple(stored, "t")}) >= (${tuple(stored, "n")})`;
	const data = layout.columns.map(({ name }) => quoted(name));
	const system = ["kafka_ts", "kafka_offset", "kafka_partition", ...(layout.withTopic ? ["kafka_topic"] : []), "deleted"];
	const targets = [id, ...data, ...system];
	const samePartition = `i.stored_partition = i.kafka_partition${layout.withTopic ? " and i.stored_topic = i.kafka_topic" : ""}`;
	const versionField = layout.version.kind === "field" ? ` and t.${quoted(layout.version.column)} is not null` : "";
	return `with incoming as materialized (
  select n.*, t.${id} is not null as found, coalesce(${newer}${versionField}, false) as is_stale,
         t.kafka_partition as stored_partition, t.kafka_offset as stored_offset${layout.withTopic ? ", t.kafka_topic as stored_topic" : ""}
  from ${rowsParameter(layout)} n
  left join ${table} t on t.${id} = n.${id}
), written as (
  insert into ${table} as t (${targets.join(", ")})
  select ${targets.join(", ")} from incoming where not is_stale order by ${id}
  on conflict (${id}) do update set ${targets
		.slice(1)
		.map((name) => `${name} = excluded.${name}`)
		.join(", ")}
  where ${guard(layout, stored)}
  returning t.deleted
)
select (select count(*) from written)::int4 as written,
       (select count(*) from written where deleted)::int4 as deleted,
       (count(*) filter (where not i.is_stale and not i.found and not i.deleted))::int4 as candidates_new,
       (count(*) filter (where i.is_stale and ${samePartition} and i.stored_offset >= i.kafka_offset))::int4 as replay,
       (count(*) filter (where i.is_stale and ${samePartition} and i.stored_offset < i.kafka_offset))::int4 as older,
       count(*)::int4 as total
from incoming i`;
}

/** Counts from the statement's row. What lost against a concurrent writer was stale after all. */
export function countsOf(row: Readonly<Record<string, unknown>>): UpsertCounts {
	const number = (name: string) => Number(row[name]);
	const deleted = number("deleted");
	const upserted = number("written") - deleted;
	const inserted = Math.min(number("candidates_new"), upserted);
	const replay = number("replay");
	const older = number("older");
	const stale = number("total") - number("written");
	return { inserted, updated: upserted - inserted, deleted, stale: { replay, older, other_partition: stale - replay - older } };
}

function guard({ version }: TableLayout, stored: readonly string[]): string {
	const older = `(${tuple(stored, "t")}) < (${tuple(stored, "excluded")})`;
	return version.kind === "field" ? `t.${quoted(version.column)} is null or ${older}` : older;
}
