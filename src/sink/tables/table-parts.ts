/** What a table is made of, in the catalogue: for questions about where its rows really are. */

/** `parts (oid)`: the table `$1`, its partitions and inheritors, and what a view is made of. Begins a statement. */
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
