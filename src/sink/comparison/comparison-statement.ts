/**
 * The statements that compare a table with the rows it must hold. A type's equality may hide a difference (an interval of a month and one
 * of 30 days, 1.0 and 1.00, 0 and -0, letters that a collation folds), so values are compared as text too. Pure, except for the query of
 * the table's columns.
 */
import type { ColumnLayout, TableLayout } from "../../core/rows/rows.ts";
import type { Database } from "../database/database.ts";
import { quoted, quotedTable } from "../database/sql-names.ts";
import { maxCharacters, rowsParameter, tuple, versionColumns } from "../writer/sql/row-parameters.ts";

/** A table as it is on the server. */
export interface ComparedTable {
	readonly layout: TableLayout;
	/** The table has a column `kafka_topic`, because several topics feed it, or once did. */
	readonly tellsTopic: boolean;
	/** Ids with different texts may be equal: the id's collation is not deterministic. */
	readonly foldsIds: boolean;
	/** The columns' actual types, which may say more than the configured ones: a length, a scale. */
	readonly types: ReadonlyMap<string, string>;
}

/** Reads the catalogue. Rejects with the database's error. */
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

/** Returns a row for each id that is not exactly as expected. `position` is -1 if an older version is stored, 1 if a newer one. */
export function comparisonStatement({ layout, tellsTopic, types }: ComparedTable): string {
	const id = quoted(layout.id.column);
	const stored = versionColumns(layout);
	const compared = (operator: string) => `((${tuple(stored, "t")}) ${operator} (${tuple(stored, "n")}))`;
	// Like the guard of the upsert: a stored NULL is below every value.
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

/** Selects the table's rows in the byte order of their ids. */
export function extrasStatement({ layout, tellsTopic }: ComparedTable): string {
	const id = `t.${quoted(layout.id.column)}::text`;
	return `select ${id} as id, ${originColumns(tellsTopic)} from ${quotedTable(layout.name)} t order by ${id} collate "C"`;
}

/**
 * The columns compared beside the version, data columns first. With version `offset` the timestamp is compared too: a row of an earlier log
 * may have the offset of another message.
 */
export function comparedColumns({ columns, version }: TableLayout): string[] {
	return [...columns.map(({ name }) => name), "deleted", ...(version.kind === "offset" ? ["kafka_ts"] : [])];
}

interface OwnColumn extends ColumnLayout {
	readonly ownType: string;
}

/**
 * The difference in one column. The expected value is compared as the column would keep it: rounded to its scale, and without the trailing
 * spaces that an assignment removes.
 */
function differenceIn({ name, type, ownType }: OwnColumn): string {
	const [stored, expected] = [`t.${quoted(name)}`, `n.${quoted(name)}`];
	const kept = ownType === type ? expected : `${expected}::${ownType}`;
	const asText = `${text(stored)} is distinct from ${text(kept)}`;
	// Whatever differs by a type's equality also differs as text; json, xml and point have no equality.
	if (maxCharacters(type) === null) return asText;
	// Values of these types are sent as text, and a cast would cut more than spaces. The column may also have had another length when the row
	// was written.
	const unlike = [...new Set([ownType, type])].map(
		(each) => `(${text(stored)} is distinct from ${text(`${expected}::${each}`)} or ${cutsMore(expected, each)})`,
	);
	return unlike.join(" and ");
}

/**
 * Whether the column would refuse the text, because it is too long even without its trailing spaces. If the text is stored all the same,
 * the column is wider than configured.
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

/** The value as text, compared by bytes whatever the column's collation is. */
function text(value: string): string {
	return `(${value})::text collate "C"`;
}

/** True for a type with a length, in the configuration's spelling or the server's. */
function isBounded(type: string): boolean {
	if (/^character( varying)?\(\d+\)$/.test(type)) return true;
	return Number.isFinite(maxCharacters(type) ?? Number.POSITIVE_INFINITY);
}

function originColumns(tellsTopic: boolean): string {
	const numbers = ["kafka_ts", "kafka_offset", "kafka_partition"].map((name) => `t.${name}::text as ${name}`);
	return [...numbers, "t.deleted", ...(tellsTopic ? ["t.kafka_topic"] : [])].join(", ");
}
