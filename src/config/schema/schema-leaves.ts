/** The options of a schema, one by one: path, kind, default, description. Docs, help and variables are made from them. Pure. */
import type { z } from "zod";

/** An option. `kind` says how an environment variable's text is read; `map` is JSON. */
export interface Leaf {
	readonly path: readonly string[];
	readonly kind: "list" | "map" | "text" | "scalar";
	/** As shown: a literal list of values, or a word. */
	readonly type: string;
	readonly default: unknown;
	readonly description: string;
}

interface Definition {
	readonly type: string;
	readonly innerType?: z.ZodType;
	readonly in?: z.ZodType;
	readonly defaultValue?: unknown;
	readonly shape?: Record<string, z.ZodType>;
	readonly entries?: Record<string, string>;
	readonly options?: readonly z.ZodType[];
}

/** All options below `schema`, in its order. Objects with fixed keys are walked; a map with free keys is one option. */
export function leaves(schema: z.ZodType, path: readonly string[] = []): Leaf[] {
	const { definition, fallback, description } = unwrap(schema);
	if (definition.type === "object") {
		return Object.entries(definition.shape ?? {}).flatMap(([key, inner]) => leaves(inner, [...path, key]));
	}
	return [{ path, kind: kindOf(definition), type: typeOf(definition), default: fallback, description }];
}

/** The object's keys at `path`, to find the nearest known one; null if any key is allowed. */
export function keysAt(schema: z.ZodType, path: readonly (string | number)[]): string[] | null {
	const { definition } = unwrap(schema);
	if (definition.type === "union")
		return (definition.options ?? []).map((option) => keysAt(option, path)).find((keys) => keys !== null) ?? null;
	const [first, ...rest] = path;
	if (first === undefined) return definition.type === "object" ? Object.keys(definition.shape ?? {}) : null;
	if (definition.type === "object") {
		const inner = definition.shape?.[String(first)];
		return inner ? keysAt(inner, rest) : null;
	}
	if (definition.type === "record") return keysAt((definition as unknown as { valueType: z.ZodType }).valueType, rest);
	return null;
}

/** The schema of a map's values at `path`, if those are objects with fixed keys; otherwise null. */
export function valueSchemaAt(schema: z.ZodType, path: readonly string[]): z.ZodType | null {
	const { definition } = unwrap(schema);
	const [first, ...rest] = path;
	if (first !== undefined) {
		const inner = definition.shape?.[first];
		return inner ? valueSchemaAt(inner, rest) : null;
	}
	const value = (definition as unknown as { valueType?: z.ZodType }).valueType;
	return value && unwrap(value).definition.type === "object" ? value : null;
}

function unwrap(schema: z.ZodType): { definition: Definition; fallback: unknown; description: string } {
	let definition = schema.def as unknown as Definition;
	let description = schema.description ?? "";
	let fallback: unknown;
	while (definition.innerType ?? definition.in) {
		if ("defaultValue" in definition && fallback === undefined) fallback = definition.defaultValue;
		const inner = (definition.innerType ?? definition.in) as z.ZodType;
		description ||= inner.description ?? "";
		definition = inner.def as unknown as Definition;
	}
	return { definition, fallback, description };
}

function kindOf({ type }: Definition): Leaf["kind"] {
	if (type === "array") return "list";
	if (type === "record" || type === "object") return "map";
	if (type === "string" || type === "enum") return "text";
	return "scalar";
}

function typeOf({ type, entries, options }: Definition): string {
	if (entries) return Object.values(entries).filter(Boolean).join(" | ");
	if (options) return [...new Set(options.map((option) => typeOf(unwrap(option).definition)))].join(" | ");
	switch (type) {
		case "array":
			return "list";
		case "record":
		case "object":
			return "map";
		case "string":
			return "text";
		case "int":
		case "number":
			return "number";
		case "boolean":
			return "true | false";
		default:
			return "text";
	}
}
