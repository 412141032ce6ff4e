/**
 * Parses a column's type as written in the configuration into the form sent to Postgres. Any type of the server may be named: `check` asks
 * the server whether it exists. Pure.
 */
import { closest } from "fastest-levenshtein";
import { ordinaryTypes } from "../../core/rows/column-type.ts";

/** Types an id column may have. */
export const idTypes = ["text", "uuid", "smallint", "int", "bigint"] as const;

/** The types that most tables have, for help and for hints. */
const columnTypes = [...ordinaryTypes].map((name) => (name === "int4" ? "int" : name));

/** For help: the values that a type may have. */
export const typeHelp = `${columnTypes.join(", ")}, an array of one (text[]), or any other type of the server's by its name (app.mood)`;

const withArguments: Record<string, RegExp> = {
	varchar: /^\(\d+\)$/,
	char: /^\(\d+\)$/,
	numeric: /^\(\d+(,-?\d+)?\)$/,
	time: /^\(\d\)$/,
	timestamp: /^\(\d\)$/,
	timestamptz: /^\(\d\)$/,
	interval: /^\(\d\)$/,
};

/** One spelling for each type. CockroachDB's int is int8: the sized name means the same everywhere. */
const synonyms: Record<string, string> = {
	int: "int4",
	integer: "int4",
	int2: "smallint",
	int8: "bigint",
	decimal: "numeric",
	bool: "boolean",
	float4: "real",
	float8: "double precision",
	float: "double precision",
	"character varying": "varchar",
	character: "char",
	"bit varying": "varbit",
	"time without time zone": "time",
	"time with time zone": "timetz",
	"timestamp without time zone": "timestamp",
	"timestamp with time zone": "timestamptz",
};

/** Names of several words; every other type has one. */
const phrases = new Set(["double precision", ...Object.keys(synonyms).filter((name) => name.includes(" "))]);

const identifier = String.raw`(?:[\p{L}_][\p{L}\p{N}_$]*|"(?:[^"\0]|"")+")`;
const words = String.raw`[a-z]+(?:\s+[a-z]+)+`;
const zone = String.raw`\s+with(?:out)?\s+time\s+zone`;
const form = new RegExp(
	String.raw`^\s*(${words}|${identifier}(?:\.${identifier})?)\s*(\([\s\w.,-]*\))?(${zone})?\s*((?:\[\s*\d*\s*\]\s*)*)$`,
	"iu",
);

/** The type as sent to the server (`columnTypeOf` parses it), or what is wrong with it. */
export function parseColumnType(written: string): { type: string; problem: string | null } {
	const [, name = "", args = "", time = "", brackets = ""] = form.exec(written) ?? [];
	const spelled = folded(name) + time.toLowerCase().replaceAll(/\s+/g, " ");
	if (name === "" || (spelled.includes(" ") && !spelled.includes('"') && !phrases.has(spelled)))
		return { type: written, problem: `a column type as Postgres writes it, e.g. text, numeric(10,2), text[]${nearest(written)}` };
	const type = synonyms[spelled] ?? spelled;
	const packed = args.replaceAll(/\s+/g, "");
	if (packed && ordinaryTypes.has(type) && !withArguments[type]?.test(packed))
		return { type: written, problem: `${type} without ${packed}` };
	return { type: type + packed + "[]".repeat(brackets.split("[").length - 1), problem: null };
}

/** The name as the server reads it: lower case unless quoted. */
function folded(name: string): string {
	return name.replaceAll(/"(?:[^"]|"")*"|[^"]+/g, (part) => (part.startsWith('"') ? part : part.toLowerCase().replaceAll(/\s+/g, " ")));
}

function nearest(name: string): string {
	return /^\s*[\w ]+\s*$/.test(name) && name.trim() !== "" ? `; the nearest is ${closest(name.trim(), columnTypes)}` : "";
}
