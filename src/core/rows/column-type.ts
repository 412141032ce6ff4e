/** A column's type as the configuration passes it on: a name, arguments, dimensions. Pure. */

/** `varchar(8)[]` is the name `varchar`, the arguments `(8)` and one dimension. */
export interface ColumnType {
	/** The name as sent to the server: `int4`, `app.mood`, `"Odd"`. */
	readonly name: string;
	/** `(10,2)`, or empty. */
	readonly args: string;
	/** 0 if it is not an array. */
	readonly dimensions: number;
}

const written = /^(.+?)(\([^()]*\))?((?:\[\])*)$/s;

/** Parses the result of `parseColumnType`. */
export function columnTypeOf(type: string): ColumnType {
	const [, name = type, args = "", brackets = ""] = written.exec(type) ?? [];
	return { name, args, dimensions: brackets.length / 2 };
}

/**
 * Well-known types. Of these only json and jsonb take a list. Unless the type has a length, a cast to it does the same as an assignment.
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
