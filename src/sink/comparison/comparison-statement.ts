/**
 * The statements that compare a table with the rows it must hold. What a type's equality forgives is a difference all the same (an interval
 * of a month and one of 30 days, 1.0 and 1.00, 0 and -0, letters under a collation that folds them): values are compared as text too. Pure,
 * but for the look at the table's columns.
 */
import type { ColumnLayout, TableLayout } from "../../core/rows/rows.ts";
import type { Database } from "../database/database.ts";
import { quoted, quotedTable } from "../database/sql-names.ts";
import { maxCharacters, rowsParameter, tuple, versionColumns } from "../writer/sql/row-parameters.ts";

/** A table as it is on the server. */
export interface ComparedTable {
	readonly layout: TableLayout;
	/** A table that several topics fed once still tells them apart. */
	readonly tellsTopic: boolean;
	/** Its ids are equal where their texts are not: a collation that is not deterministic. */
	readonly foldsIds: boolean;
	/** The columns' own types, which may say more than the configured ones: a length, a scale. */
	readonly types: ReadonlyMap<string, string>;
}

/** Asks the catalogue. Rejects with the database's error. */
export async function comparedTable(database: Database, layout: TableLayout): Promise<ComparedTable> {
	const columns = await database.query(
		`select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, coalesce(not c.collisdeterministic, false) as folds
from pg_attribute a left join pg_collation c on c.oid = a.attcollation
where a.attrelid = to_regclass($1::text) and a.attnum > 0 and not a.attisdropped`,
		[quotedTable(layout.name)],
	);
	return {
		layout,
		tellsTopic: layout.withTopic || columns.some(({ name }) => name === "kafka_topic"),
		foldsIds: columns.some(({ name, folds }) => name === layout.id.column && folds === true),
		types: new Map(columns.map(({ name, type }) => [String(name), String(type)])),
	};
}

/** A row for each id that is not exactly as expected: `position` is -1 where an older version is stored, 1 where a newer one. */
export function comparisonStatement({ layout, tellsTopic, types }: ComparedTable): string {
	const id = quoted(layout.id.column);
	const stored = versionColumns(layout);
	const compared = (operator: string) => `((${tuple(stored, "t")}) ${operator} (${tuple(stored, "n")}))`;
	// As the guard of the statement that writes: a stored NULL is below every value.
	const order = `case when ${compared("<")} is not false then -1 when ${compared(">")} then 1 else 0 end`;
	const others = comparedColumns(layout).slice(layout.columns.length);
	const columns = layout.columns.map((column) => ({ ...column, ownType: types.get(column.name) ?? column.type }));
	const differs = [...columns.map(differenceIn), ...others.map((name) => `t.${name} is distinct from n.${name}`)].map(
		(difference) => `case when ${difference} then '1' else '0' end`,
	);
	const refused = columns.flatMap(isRefused);
	return `select * from (
  select n.${id}::text as id, ${refused.join(" or ") || "false"} as too_long, t.${id} is not null as found, ${order} as position, ${differs.join(" || ")} as differs,
         ${originColumns(tellsTopic)}
  from ${rowsParameter(layout)} n left join ${quotedTable(layout.name)} t on t.${id} = n.${id}
) compared where too_long or not found or position <> 0 or differs like '%1%'`;
}

/** Rows by the bytes of their ids. */
export function extrasStatement({ layout, tellsTopic }: ComparedTable): string {
	const id = `t.${quoted(layout.id.column)}::text`;
	return `select ${id} as id, ${originColumns(tellsTopic)} from ${quotedTable(layout.name)} t order by ${id} collate "C"`;
}

/**
 * What is compared beside the version, data columns first. Under version `offset` the timestamp is compared too: a row of an earlier log
 * may have the offset of another message.
 */
export function comparedColumns({ columns, version }: TableLayout): string[] {
	return [...columns.map(({ name }) => name), "deleted", ...(version.kind === "offset" ? ["kafka_ts"] : [])];
}

interface OwnColumn extends ColumnLayout {
	readonly ownType: string;
}

/** What is expected as the column keeps it: rounded by its scale, and without the spaces that an assignment takes off. */
function differenceIn({ name, type, ownType }: OwnColumn): string {
	const [stored, expected] = [`t.${quoted(name)}`, `n.${quoted(name)}`];
	const kept = ownType === type ? expected : `${expected}::${ownType}`;
	const asText = `${text(stored)} is distinct from ${text(kept)}`;
	// What differs by a type's equality differs as text; json, xml and point have no equality.
	if (maxCharacters(type) === null) return asText;
	// These are sent as text, and a cast would cut more than spaces; the column may have been wider or narrower then.
	const unlike = [...new Set([ownType, type])].map(
		(each) => `(${text(stored)} is distinct from ${text(`${expected}::${each}`)} or ${cutsMore(expected, each)})`,
	);
	return unlike.join(" and ");
}

/**
 * Whether the column takes no such text: more than spaces is beyond its length. Where it is there all the same the column is wider than
 * configured.
 */
function isRefused({ name, type, ownType }: OwnColumn): string[] {
	const limiting = [type, ownType].find(isBounded);
	if (limiting === undefined || maxCharacters(type) === null) return [];
	const [stored, expected] = [`t.${quoted(name)}`, `n.${quoted(name)}`];
	return [`${cutsMore(expected, limiting)} and rtrim(${text(stored)}, ' ') is distinct from rtrim(${text(expected)}, ' ')`];
}

function cutsMore(expected: string, type: string): string {
	return `coalesce(rtrim(${text(expected)}, ' ') <> rtrim(${text(`${expected}::${type}`)}, ' '), false)`;
}

/** Compared by bytes, whatever the column's collation. */
function text(value: string): string {
	return `(${value})::text collate "C"`;
}

/** The configuration's spelling or the server's. */
function isBounded(type: string): boolean {
	if (/^character( varying)?\(\d+\)$/.test(type)) return true;
	return Number.isFinite(maxCharacters(type) ?? Number.POSITIVE_INFINITY);
}

function originColumns(tellsTopic: boolean): string {
	const numbers = ["kafka_ts", "kafka_offset", "kafka_partition"].map((name) => `t.${name}::text as ${name}`);
	return [...numbers, "t.deleted", ...(tellsTopic ? ["t.kafka_topic"] : [])].join(", ");
}
