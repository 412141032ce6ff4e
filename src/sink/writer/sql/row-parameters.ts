/**
 * Rows as parameters of a statement: one text per column, which the server splits and casts; and the columns that make a version. Shared by
 * the statement that writes and the one that compares. Pure.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import { columnTypeOf } from "../../../core/rows/column-type.ts";
import { joinTexts, repeatText, separatorsFor, splitTexts, usualSeparators } from "../../../core/rows/joined-texts.ts";
import type { TableLayout } from "../../../core/rows/rows.ts";
import { quoted } from "../../database/sql-names.ts";
import { castTo } from "../../tables/column-cast.ts";
import type { BatchBlock } from "../pending-blocks.ts";

/** One row to write; `values` are the data columns' texts in the layout's order. */
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

/**
 * A layout as statements use it. `withoutDeletes`: no row is a delete, and no column says so, which saves the server a twentieth of a row's
 * CPU or more (docs/performance.md).
 */
export interface StatementLayout extends TableLayout {
	readonly withoutDeletes?: boolean;
}

/** Marks of a row as it is sent: an upsert or a delete. A superseded row is sent without an id, and the server leaves it out. */
const UPSERT = "f";
const DELETE = "t";

/** Name of `rowsParameter`'s column that numbers the rows as given; differs from all columns of the layout. */
export function orderColumn({ id, columns }: TableLayout): string {
	const taken = new Set([id.column, ...columns.map(({ name }) => name)]);
	let name = "kafka_order";
	while (taken.has(name)) name += "_";
	return name;
}

/**
 * The rows as a table expression with the layout's columns, `kafka_…` and `deleted`, from the parameters of `rowParameters` or
 * `blockParameters`. `numbered`: also with `orderColumn`.
 */
export function rowsParameter(layout: StatementLayout, { numbered = false } = {}): string {
	const inputs = inputColumns(layout);
	const order = numbered ? [orderColumn(layout)] : [];
	const selected = [
		...inputs.map(({ name, cast }, index) => `${cast(`x.c${index}`)} as ${name}`),
		...(layout.withoutDeletes ? ["false as deleted"] : []),
		...order.map((name) => `x.${name}`),
	];
	const texts = `unnest(${inputs.map((_, index) => splitParameter(index + 3)).join(", ")})${numbered ? " with ordinality" : ""}`;
	return `(select ${selected.join(", ")}
        from ${texts} as x(${[...inputs.map((_, index) => `c${index}`), ...order].join(", ")})
        where x.c0 is not null)`;
}

/** The first parameter after those of `rowsParameter`. */
export function parameterAfterRows(layout: StatementLayout): string {
	return `$${inputColumns(layout).length + 3}`;
}

/** The parameters of `rowsParameter`: separator, mark for NULL, one text per input column. */
export function rowParameters(layout: StatementLayout, rows: readonly UpsertRow[]): string[] {
	const values = layout.columns.map((_, column) => rows.map((row) => row.values[column] ?? null));
	const columns: (readonly (string | null)[])[] = [
		rows.map((row) => row.id),
		...values,
		rows.map((row) => String(row.timestamp)),
		rows.map((row) => String(row.offset)),
		rows.map((row) => String(row.partition)),
		...(layout.withTopic ? [rows.map((row) => row.topic)] : []),
		...(layout.withoutDeletes ? [] : [rows.map((row) => (row.isDelete ? DELETE : UPSERT))]),
	];
	const separators = separatorsFor([columns[0] as readonly string[], ...values]);
	return [separators.separator, separators.nullMark, ...columns.map((column) => joinTexts(column, separators))];
}

/** The same for zero rows: one row that the server leaves out. */
export function noRowParameters(layout: TableLayout): string[] {
	const { separator, nullMark } = usualSeparators;
	return [separator, nullMark, ...inputColumns(layout).map(() => nullMark)];
}

/** The same for blocks as they came from the threads, joined with the usual separators. */
export function blockParameters(layout: StatementLayout, blocks: readonly BatchBlock[]): string[] {
	const { separator, nullMark } = usualSeparators;
	const joined = (text: (batch: BatchBlock) => string) =>
		blocks.length === 1 ? text(blocks[0] as BatchBlock) : blocks.map(text).join(separator);
	const repeated = (text: (batch: BatchBlock) => string) => joined((batch) => repeatText(text(batch), batch.block.length, usualSeparators));
	return [
		separator,
		nullMark,
		joined(idsOf),
		...layout.columns.map((_, column) => joined(({ block }) => block.columns[column] as string)),
		joined(({ block }) => block.timestamps),
		joined(({ block }) => block.offsets),
		repeated(({ owner }) => String(owner.partition)),
		...(layout.withTopic ? [repeated(({ owner }) => owner.topic)] : []),
		...(layout.withoutDeletes ? [] : [joined(kindsOf)]),
	];
}

function idsOf({ block, superseded }: BatchBlock): string {
	if (superseded === null) return block.ids;
	const ids = splitTexts(block.ids, block.length, usualSeparators);
	for (let row = 0; row < ids.length; row++) if (superseded[row] === 1) ids[row] = null;
	return joinTexts(ids, usualSeparators);
}

function kindsOf({ block: { deletes, length } }: BatchBlock): string {
	if (!deletes.includes(1)) return repeatText(UPSERT, length, usualSeparators);
	return joinTexts(
		Array.from({ length }, (_, row) => (deletes[row] === 1 ? DELETE : UPSERT)),
		usualSeparators,
	);
}

/** Maximum characters of a column; null if its type has no limit. */
export function maxCharacters(type: string): number | null {
	const { name, args, dimensions } = columnTypeOf(type);
	if ((name !== "varchar" && name !== "char") || dimensions > 0) return null;
	if (args !== "") return Number(args.slice(1, -1));
	return name === "char" ? 1 : Number.POSITIVE_INFINITY;
}

/** The columns a version is compared by, in order. */
export function versionColumns({ version, withTopic }: TableLayout): string[] {
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
export function tuple(columns: readonly string[], alias: string): string {
	return columns.map((name) => (name === "kafka_topic" ? `convert_to(${alias}.${name}, 'UTF8')` : `${alias}.${name}`)).join(", ");
}

interface InputColumn {
	readonly name: string;
	readonly cast: (expression: string) => string;
}

function inputColumns(layout: StatementLayout): InputColumn[] {
	const as = (type: string) => (expression: string) => castTo(type, expression);
	return [
		{ name: quoted(layout.id.column), cast: as(layout.id.type === "int" ? "int4" : layout.id.type) },
		...layout.columns.map(({ name, type }) => ({ name: quoted(name), cast: as(type) })),
		{ name: "kafka_ts", cast: as("bigint") },
		{ name: "kafka_offset", cast: as("bigint") },
		{ name: "kafka_partition", cast: as("int4") },
		...(layout.withTopic ? [{ name: "kafka_topic", cast: as("text") }] : []),
		...(layout.withoutDeletes ? [] : [{ name: "deleted", cast: (expression: string) => `${expression} = '${DELETE}'` }]),
	];
}

/** A list of one empty text is an empty string, which the server would split into no element at all: this expression handles it. */
function splitParameter(index: number): string {
	return `case when $${index}::text = '' then array['']::text[] else string_to_array($${index}::text, $1::text, $2::text) end`;
}
