/**
 * The statement of a batch for a table, in its two forms, and the meaning of its counts. Pure. Both forms have the same guard and give the
 * same counts; they differ in cost.
 *
 * The guard is total: the parts of a version are compared in order, and a stored NULL is below every value. So a row without coordinates
 * (of a table that got the columns by `alter table`) is older than every message.
 *
 * Read first: the stored rows are read (`incoming`, a left join on the primary key), rows that are not newer are left out, and the rest is
 * upserted (`written`). Costs a look-up per row. A stale row costs nothing more, while an upsert of it would lock and log it. A row that
 * another writer made newer in between is caught by the guard and counted as stale. No system column is read: everything stays within what
 * CockroachDB documents.
 *
 * Write first: the rows are upserted at once, and compared with the rows before only if some were not written. Distinguishes new rows from
 * changed ones by the system column `xmax`, which ordinary tables of Postgres have.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { TableLayout } from "../../../core/rows/rows.ts";
import { durably } from "../../database/durable-commit.ts";
import { quoted, quotedTable } from "../../database/sql-names.ts";
import { orderColumn, parameterAfterRows, rowsParameter, type StatementLayout, tuple, versionColumns } from "./row-parameters.ts";

/**
 * The results of a statement's rows. `stale` by cause: docs/delivery.md. `suppressed`: not written although nothing as new is stored,
 * because a trigger or rule of the table kept them out.
 */
export interface UpsertCounts {
	readonly inserted: number;
	readonly updated: number;
	readonly deleted: number;
	readonly suppressed: number;
	readonly stale: { readonly replay: number; readonly older: number; readonly other_partition: number };
}

/**
 * The statement's text for a layout; parameters by `rowParameters`. `inGivenOrder`: rows are written one after the other as given, so that
 * a later row may take a unique value that an earlier one gives up. Otherwise by id, which is the lock order of all writers.
 */
export function readFirstUpsert(layout: StatementLayout, { inGivenOrder = false } = {}): string {
	const { id, targets } = namesOf(layout);
	return `with incoming as materialized (
  ${withStored(layout, inGivenOrder)}
), written as (
  insert into ${quotedTable(layout.name)} as t (${targets.join(", ")})
  select ${targets.join(", ")} from incoming where not is_stale order by ${inGivenOrder ? orderColumn(layout) : id}
  ${onConflict(layout)}
  returning t.deleted
)
select (select count(*) from written)::int4 as written,
       (select count(*) from written where deleted)::int4 as deleted,
       (count(*) filter (where not i.is_stale and not i.found and not i.deleted))::int4 as candidates_new,
       (count(*) filter (where not i.is_stale))::int4 as fresh,
       ${causes(layout)},
       count(*)::int4 as total,
       ${durably}
from incoming i`;
}

/** The statement that writes first. It has one more parameter: the number of rows. */
export function writeFirstUpsert(layout: StatementLayout): string {
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
         (count(*) filter (where is_new and not deleted))::int4 as inserted
  from written
)
select c.*, s.*, ${total} as total, ${durably}
from counts c, lateral (
  select (count(*) filter (where not i.is_stale))::int4 as fresh,
         ${causes(layout)}
  from (${withStored(layout)} where c.written < ${total}) i
) s`;
}

/**
 * Reads the same rows again, after a statement some of whose rows were neither written nor stale (`isUnexplained`): either somebody wrote
 * newer ones in that moment, or the table doesn't take them. Parameters by `rowParameters`.
 */
export function lookAgain(layout: StatementLayout): string {
	return `with incoming as (
  ${withStored(layout)}
)
select (count(*) filter (where not i.is_stale))::int4 as suppressed,
       (count(*) filter (where not i.is_stale and not i.found and not i.deleted))::int4 as suppressed_new,
       ${causes(layout)},
       ${counted(`${samePartition(layout)} is not true`)} as other_partition
from incoming i`;
}

type CountRow = Readonly<Record<string, unknown>>;

/** True if the statement's counts do not explain all its rows: then `lookAgain` does. */
export function isUnexplained({ fresh, written }: CountRow): boolean {
	return Number(fresh) > Number(written);
}

/**
 * Counts from the statement's result, and from that of `lookAgain` if it was needed. A row that lost against a concurrent writer counts as
 * stale after all. A row that was stale at first, but was written after all because the newer row was deleted meanwhile, does not.
 */
export function countsOf(row: CountRow, look: CountRow | null = null): UpsertCounts {
	const number = (name: string) => Number(row[name] ?? 0);
	const [written, deleted] = [number("written"), number("deleted")];
	const upserted = written - deleted;
	const left = number("total") - written;
	const suppressed = Math.min(Number(look?.suppressed ?? 0), left);
	const candidates = number("candidates_new") - Number(look?.suppressed_new ?? 0);
	const inserted = "inserted" in row ? number("inserted") : Math.min(candidates, upserted);
	const stale = look ? staleBehindLook(look, left - suppressed) : staleOf(row, left);
	return { inserted, updated: upserted - inserted, deleted, suppressed, stale };
}

function staleOf(row: CountRow, stale: number): UpsertCounts["stale"] {
	const replay = Math.min(Number(row.replay), stale);
	const older = Math.min(Number(row.older), stale - replay);
	return { replay, older, other_partition: stale - replay - older };
}

/** The rows that the statement itself wrote now look like replays. */
function staleBehindLook(look: CountRow, stale: number): UpsertCounts["stale"] {
	const older = Math.min(Number(look.older), stale);
	const otherPartition = Math.min(Number(look.other_partition), stale - older);
	return { replay: stale - older - otherPartition, older, other_partition: otherPartition };
}

function namesOf(layout: TableLayout): { readonly id: string; readonly targets: readonly string[] } {
	const id = quoted(layout.id.column);
	const system = ["kafka_ts", "kafka_offset", "kafka_partition", ...(layout.withTopic ? ["kafka_topic"] : []), "deleted"];
	return { id, targets: [id, ...layout.columns.map(({ name }) => quoted(name)), ...system] };
}

/** The rows, each beside the stored row of its id as it was when the statement began. */
function withStored(layout: StatementLayout, numbered = false): string {
	const id = quoted(layout.id.column);
	const stored = versionColumns(layout);
	return `select n.*, t.${id} is not null as found, ((${tuple(stored, "t")}) >= (${tuple(stored, "n")})) is true as is_stale,
         t.kafka_partition as stored_partition, t.kafka_offset as stored_offset${layout.withTopic ? ", t.kafka_topic as stored_topic" : ""}
  from ${rowsParameter(layout, { numbered })} n
  left join ${quotedTable(layout.name)} t on t.${id} = n.${id}`;
}

/** Counts how many rows `i` of `withStored` are stale, by cause. A stored offset that is NULL is below every other. */
function causes(layout: TableLayout): string {
	const isReplay = `${samePartition(layout)} and i.stored_offset >= i.kafka_offset`;
	const isOlder = `${samePartition(layout)} and (i.stored_offset >= i.kafka_offset) is not true`;
	return `${counted(isReplay)} as replay, ${counted(isOlder)} as older`;
}

function samePartition({ withTopic }: TableLayout): string {
	return `(i.stored_partition = i.kafka_partition${withTopic ? " and i.stored_topic = i.kafka_topic" : ""})`;
}

function counted(condition: string): string {
	return `(count(*) filter (where i.is_stale and ${condition}))::int4`;
}

function onConflict(layout: TableLayout): string {
	const { id, targets } = namesOf(layout);
	const changes = targets.slice(1).map((name) => `${name} = excluded.${name}`);
	return `on conflict (${id}) do update set ${changes.join(", ")}
  where ${guard(layout)}`;
}

/**
 * The compare-and-set guard. A comparison that meets a NULL before it is decided is neither true nor false; the values sent contain no
 * NULL.
 */
function guard(layout: TableLayout): string {
	const columns = versionColumns(layout);
	return `((${tuple(columns, "t")}) < (${tuple(columns, "excluded")})) is not false`;
}
