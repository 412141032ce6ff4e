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
import { joinColumn, separatorsFor } from "./separators.ts";
import { quoted, quotedTable } from "./sql-names.ts";

/** One row to be written; `values` are the data columns' texts in the layout's order. */
export interface UpsertRow {
	readonly id: string;
	readonly isDelete: boolean;
	/** ms; at least 0. */
	readonly timestamp: number;
	readonly offset: number;
	readonly partition: number;
	readonly topic: string;
	readonly values: readonly (string | null)[];
}

/** What became of a statement's rows. `stale` by cause: see DESIGN's words in the README. */
export interface UpsertCounts {
	readonly inserted: number;
	readonly updated: number;
	readonly deleted: number;
	readonly stale: { readonly replay: number; readonly older: number; readonly other_partition: number };
}

/** A prepared statement's text for a layout; parameters by `upsertParameters`. */
export function upsertStatement(layout: TableLayout): string {
	const table = quotedTable(layout.name);
	const id = quoted(layout.id.column);
	const inputs = inputColumns(layout);
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
  from (select ${inputs.map(({ name, cast }, index) => `${cast(`x.c${index}`)} as ${name}`).join(", ")}
        from unnest(${inputs.map((_, index) => splitParameter(index + 3)).join(", ")}) as x(${inputs.map((_, index) => `c${index}`).join(", ")})) n
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

/** The parameters: separator, mark for NULL, then one text per input column. */
export function upsertParameters(layout: TableLayout, rows: readonly UpsertRow[]): string[] {
	const values = layout.columns.map((_, column) => rows.map((row) => row.values[column] ?? null));
	const columns: (readonly (string | null)[])[] = [
		rows.map((row) => row.id),
		...values,
		rows.map((row) => String(row.timestamp)),
		rows.map((row) => String(row.offset)),
		rows.map((row) => String(row.partition)),
		...(layout.withTopic ? [rows.map((row) => row.topic)] : []),
		rows.map((row) => (row.isDelete ? "t" : "f")),
	];
	const separators = separatorsFor([columns[0] as readonly string[], ...values]);
	return [separators.separator, separators.nullMark, ...columns.map((column) => joinColumn(column, separators))];
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

interface InputColumn {
	readonly name: string;
	readonly cast: (expression: string) => string;
}

function inputColumns(layout: TableLayout): InputColumn[] {
	const as = (type: string) => (expression: string) => `${expression}::${type}`;
	return [
		{ name: quoted(layout.id.column), cast: as(layout.id.type === "int" ? "int4" : layout.id.type) },
		...layout.columns.map(({ name, type }) => ({ name: quoted(name), cast: as(type) })),
		{ name: "kafka_ts", cast: as("bigint") },
		{ name: "kafka_offset", cast: as("bigint") },
		{ name: "kafka_partition", cast: as("int4") },
		...(layout.withTopic ? [{ name: "kafka_topic", cast: as("text") }] : []),
		{ name: "deleted", cast: as("boolean") },
	];
}

/** A list of one empty text is an empty string, which the server would split into no element at all. */
function splitParameter(index: number): string {
	return `case when $${index}::text = '' then array['']::text[] else string_to_array($${index}::text, $1::text, $2::text) end`;
}

/** The columns a version is compared by, in order. */
function versionColumns({ version, withTopic }: TableLayout): string[] {
	const position = ["kafka_offset", "kafka_partition", ...(withTopic ? ["kafka_topic"] : [])];
	switch (version.kind) {
		case "timestamp":
			return ["kafka_ts", ...position];
		case "offset":
			return position;
		case "field":
			return [quoted(version.column), "kafka_ts", ...position];
	}
}

/** Topic names are compared as bytes, as JavaScript does, whatever the database's collation. */
function tuple(columns: readonly string[], alias: string): string {
	return columns.map((name) => (name === "kafka_topic" ? `convert_to(${alias}.${name}, 'UTF8')` : `${alias}.${name}`)).join(", ");
}

function guard({ version }: TableLayout, stored: readonly string[]): string {
	const older = `(${tuple(stored, "t")}) < (${tuple(stored, "excluded")})`;
	return version.kind === "field" ? `t.${quoted(version.column)} is null or ${older}` : older;
}
