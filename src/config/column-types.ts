/** The column types a table may have, as written in the configuration and as Postgres is told them. Pure. */
import { closest } from "fastest-levenshtein";

/** Types an id column may have. */
export const idTypes = ["text", "uuid", "smallint", "int", "bigint"] as const;

/** Types a data column may have; varchar, char and numeric take arguments. */
export const columnTypes = [
	"text",
	"varchar",
	"char",
	"smallint",
	"int",
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
] as const;

const withArguments: Record<string, RegExp> = {
	varchar: /^\(\s*\d+\s*\)$/,
	char: /^\(\s*\d+\s*\)$/,
	numeric: /^\(\s*\d+\s*(,\s*-?\d+\s*)?\)$/,
};

/** CockroachDB's int is int8: the sized name means the same everywhere. */
const synonyms: Record<string, string> = {
	int: "int4",
	integer: "int4",
	int4: "int4",
	int2: "smallint",
	int8: "bigint",
	decimal: "numeric",
	bool: "boolean",
};

/** The type as the server is told it, or what is wrong with it. */
export function parseColumnType(written: string): { type: string; problem: string | null } {
	const [, name = "", args = ""] = /^\s*([a-z0-9 ]+?)\s*(\(.*\))?\s*$/i.exec(written) ?? [];
	const base = name.toLowerCase().replaceAll(/\s+/g, " ");
	const type = synonyms[base] ?? base;
	const known = (columnTypes as readonly string[]).includes(base) || base in synonyms;
	if (!known) return { type: written, problem: `a column type; the nearest is ${closest(base || written, [...columnTypes])}` };
	if (args && !withArguments[type]?.test(args)) return { type: written, problem: `${type} without ${args}` };
	return { type: type + args.replaceAll(/\s+/g, ""), problem: null };
}
