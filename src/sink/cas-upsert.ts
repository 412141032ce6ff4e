/**
 * The statement of a batch and table in its two forms, and what their counts say. Pure. Both write under the same guard and give the same
 * counts; they differ in what they cost.
 *
 * Read first: what is stored is read (`incoming`, a left join on the primary key), rows that are already as new are left out, and the
 * rest is upserted (`written`). Costs a look-up per row; a stale row costs nothing more, where an upsert of it would lock and log it. A
 * row that another writer made newer in between is caught by the guard and counted as stale. No system column is read: everything stays
 * inside what CockroachDB documents.
 *
 * Write first: the rows are upserted at once, and looked up as they were before only where some of them were not taken. Tells new rows
 * from changed ones by the system column `xmax`, which Postgres has in its ordinary tables.
 *
 * Step 8 of a message's way (README).
 */
import type { TableLayout } from "../core/rows.ts";
import { parameterAfterRows, rowsParameter, tuple, versionColumns } from "./row-parameters.ts";
import { quoted, quotedTable } from "./sql-names.ts";

/** What became of a statement's rows. `stale` by cause: see DESIGN's words in the README. */
export interface UpsertCounts {
	readonly inserted: number;
	readonly updated: number;
	readonly deleted: number;
	readonly stale: { readonly replay: number; readonly older: number; readonly other_partition: number };
}

/** A prepared statement's text for a layout; parameters by `rowParameters`. */
export function readFirstUpsert(layout: TableLayout): string {
	const { id, targets } = namesOf(layout);
	return `with incoming as materialized (
  ${withStored(layout)}
), written as (
  insert into ${quotedTable(layout.name)} as t (${targets.join(", ")})
  select ${targets.join(", ")} from incoming where not is_stale order by ${id}
  ${onConflict(layout)}
  returning t.deleted
)
select (select count(*) from written)::int4 as written,
       (select count(*) from written where deleted)::int4 as deleted,
       (count(*) filter (where not i.is_stale and not i.found and not i.deleted))::int4 as candidates_new,
       ${causes(layout)},
       count(*)::int4 as total
from incoming i`;
}

/** The same, with one more parameter: how many rows there are. */
export function writeFirstUpsert(layout: TableLayout): string {
	const { id, targets } = namesOf(layout);
	const total = `${parameterAfterRows(layout)}::int4`;
	return `with written as (
  insert into ${quotedTable(layout.name)} as t (${targets.join(", ")})
  select ${targets.join(", ")} from ${rowsParameter(layout)} n order by ${id}
  ${onConflict(layout)}
  returning t.deleted, t.xmax = 0 as is_new
), counts as (
  select count(*)::int4 as written,
         (count(*) filter (where deleted))::int4 as deleted,
         (count(*) filter (where is_new and not deleted))::int4 as candidates_new
  from written
)
select c.*, s.*, ${total} as total
from counts c, lateral (
  select ${causes(layout)}
  from (${withStored(layout)} where c.written < ${total}) i
) s`;
}

/**
 * Counts from the statement's row. What lost against a concurrent writer was stale after all; what was stale when the statement began and
 * went in after all (its newer row was deleted meanwhile) was not.
 */
export function countsOf(row: Readonly<Record<string, unknown>>): UpsertCounts {
	const number = (name: string) => Number(row[name]);
	const deleted = number("deleted");
	const upserted = number("written") - deleted;
	const inserted = Math.min(number("candidates_new"), upserted);
	const stale = number("total") - number("written");
	const replay = Math.min(number("replay"), stale);
	const older = Math.min(number("older"), stale - replay);
	return { inserted, updated: upserted - inserted, deleted, stale: { replay, older, other_partition: stale - replay - older } };
}

function namesOf(layout: TableLayout): { readonly id: string; readonly targets: readonly string[] } {
	const id = quoted(layout.id.column);
	const system = ["kafka_ts", "kafka_offset", "kafka_partition", ...(layout.withTopic ? ["kafka_topic"] : []), "deleted"];
	return { id, targets: [id, ...layout.columns.map(({ name }) => quoted(name)), ...system] };
}

/** The rows, each beside what was stored of its id when the statement began. */
function withStored(layout: TableLayout): string {
	const id = quoted(layout.id.column);
	const stored = versionColumns(layout);
	const newer = `(${tuple(stored, "t")}) >= (${tuple(stored, "n")})`;
	const versionField = layout.version.kind === "field" ? ` and t.${quoted(layout.version.column)} is not null` : "";
	return `select n.*, t.${id} is not null as found, coalesce(${newer}${versionField}, false) as is_stale,
         t.kafka_partition as stored_partition, t.kafka_offset as stored_offset${layout.withTopic ? ", t.kafka_topic as stored_topic" : ""}
  from ${rowsParameter(layout)} n
  left join ${quotedTable(layout.name)} t on t.${id} = n.${id}`;
}

/** Of the rows `i` of `withStored`, how many are stale by which cause. */
function causes({ withTopic }: TableLayout): string {
	const samePartition = `i.stored_partition = i.kafka_partition${withTopic ? " and i.stored_topic = i.kafka_topic" : ""}`;
	return `(count(*) filter (where i.is_stale and ${samePartition} and i.stored_offset >= i.kafka_offset))::int4 as replay,
       (count(*) filter (where i.is_stale and ${samePartition} and i.stored_offset < i.kafka_offset))::int4 as older`;
}

function onConflict(layout: TableLayout): string {
	const { id, targets } = namesOf(layout);
	const changes = targets.slice(1).map((name) => `${name} = excluded.${name}`);
	return `on conflict (${id}) do update set ${changes.join(", ")}
  where ${guard(layout)}`;
}

function guard(layout: TableLayout): string {
	const { version } = layout;
	const columns = versionColumns(layout);
	const older = `(${tuple(columns, "t")}) < (${tuple(columns, "excluded")})`;
	return version.kind === "field" ? `t.${quoted(version.column)} is null or ${older}` : older;
}
