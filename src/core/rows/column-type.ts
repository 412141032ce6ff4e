/** A column's type as the configuration hands it on: a name, arguments, dimensions. Pure. */

/** `varchar(8)[]` is the name `varchar`, the arguments `(8)` and one dimension. */
export interface ColumnType {
	/** As the server is told it: `int4`, `app.mood`, `"Odd"`. */
	readonly name: string;
	/** `(10,2)`, or empty. */
	readonly args: string;
	/** 0: no array. */
	readonly dimensions: number;
}

const written = /^(.+?)(\([^()]*\))?((?:\[\])*)$/s;

/** Takes apart what `parseColumnType` made. */
export function columnTypeOf(type: string): ColumnType {
	const [, name = type, args = "", brackets = ""] = written.exec(type) ?? [];
	return { name, args, dimensions: brackets.length / 2 };
}

/**
 * Types that are known well: they take no list but JSON's own, and a cast to them, unless they have a length, does what an assignment
 * does.
 */
export const ordinaryTypes: ReadonlySet<string> = new Set([
	"text",
	"varchar",
	"char",
	"smallint",
	"int4",
	"bigint",
	"real",
	"double precision",
	"numeric",
	"boolean",
	"date",
	"time",
	"timestamp",
	"timestamptz",
	"interval",
	"uuid",
	"json",
	"jsonb",
	"bytea",
	"inet",
]);
