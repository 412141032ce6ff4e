/**
 * How a statement turns a value's text into a column's type without cutting it. An explicit cast to a type with a length silently cuts what
 * is too long. An assignment refuses it (22001), and then the message is a dead letter. Pure.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import { columnTypeOf, ordinaryTypes } from "../../core/rows/column-type.ts";

/** Types with a length, and the type as which the value is sent before the assignment. */
const assignedFrom: Readonly<Record<string, string>> = { varchar: "text", char: "text", bpchar: "text", bit: "varbit", varbit: "varbit" };

/** Expression that turns `text`, an SQL expression, into the type. The type's length may be left to the assignment. */
export function castTo(type: string, text: string): string {
	const { name, args, dimensions } = columnTypeOf(type);
	const brackets = "[]".repeat(dimensions);
	const assigned = assignedFrom[name];
	if (assigned) return `${text}::${assigned}${brackets}`;
	if (ordinaryTypes.has(name)) return `${text}::${name}${args}${brackets}`;
	if (dimensions > 0) return `${text}::${name}${brackets}`;
	// The type may be a domain over a type with a length. The input function of an array's element refuses what is too long, like an
	// assignment.
	const escaped = String.raw`replace(replace(${text}, E'\\', E'\\\\'), '"', E'\\"')`;
	return `(('{"' || ${escaped} || '"}')::${name}[])[1]`;
}
