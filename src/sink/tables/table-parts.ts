/** The parts of a table in the catalogue: where its rows really are. */

/** Defines `parts (oid)`: the table `$1`, its partitions and inheritors, and the tables behind a view. Begins a statement. */
export const tableParts = `with recursive parts as (
  select to_regclass($1::text)::oid as oid
  union
  select next.oid from parts, lateral (
    select i.inhrelid as oid from pg_inherits i where i.inhparent = parts.oid
    union all
    select d.refobjid from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    where r.ev_class = parts.oid and d.refclassid = 'pg_class'::regclass and d.refobjid <> parts.oid
  ) next
)`;
