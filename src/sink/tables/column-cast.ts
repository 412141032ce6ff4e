/**
 * How a value's text becomes a column's type in a statement: never by a cast that cuts it. An explicit cast to a type with a length takes
 * off what is too long without a word; an assignment refuses it (22001), and then the message is a dead letter. Pure.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import { columnTypeOf, ordinaryTypes } from "../../core/rows/column-type.ts";

/** Types that have a length: the value goes as this one, and is assigned. */
const assignedFrom: Readonly<Record<string, string>> = { varchar: "text", char: "text", bpchar: "text", bit: "varbit", varbit: "varbit" };

/** The expression that makes `text`, an SQL expression, the type; its arguments may be left to the assignment. */
export function castTo(type: string, text: string): string {
	const { name, args, dimensions } = columnTypeOf(type);
	const brackets = "[]".repeat(dimensions);
	const assigned = assignedFrom[name];
	if (assigned) return `${text}::${assigned}${brackets}`;
	if (ordinaryTypes.has(name)) return `${text}::${name}${args}${brackets}`;
	if (dimensions > 0) return `${text}::${name}${brackets}`;
	// It may be a domain over a type with a length. The input function of an array's element refuses what is too long, as an assignment does.
	const escaped = String.raw`replace(replace(${text}, E'\\', E'\\\\'), '"', E'\\"')`;
	return `(('{"' || ${escaped} || '"}')::${name}[])[1]`;
}
