/** The schema as `--help` shows it: a line per option. Pure text. */
import type { z } from "zod";
import { configSchema } from "./schema.ts";
import { type Leaf, leaves, valueSchemaAt } from "./schema-leaves.ts";

/** For `--help`: an option a line. */
export function renderOptionHelp(): string {
	const rows = allOptions().map(
		({ path, default: fallback, description }) => [path.join("."), plainDefault(fallback), description] as const,
	);
	const width = Math.max(...rows.map(([key]) => key.length));
	return [
		"Configuration (a YAML file; each key can also be set by an environment variable: kafka.startFrom is POCKAFFE_KAFKA_START_FROM):",
		...rows.map(([key, fallback, description]) => `  ${key.padEnd(width)}  ${description}${fallback ? ` [${fallback}]` : ""}`),
	].join("\n");
}

/** The options of the schema, those of a table as `tables.<name>.…`. */
export function allOptions(): Leaf[] {
	return leaves(configSchema).flatMap((leaf) => {
		const inner = leaf.path.join(".") === "tables" ? valueSchemaAt(configSchema, leaf.path) : null;
		return inner ? [leaf, ...leaves(inner as z.ZodType, ["tables", "<name>"])] : [leaf];
	});
}

/** A default as text; empty if there is none, or an empty one. */
export function plainDefault(fallback: unknown): string {
	const isEmpty =
		fallback === undefined || fallback === "" || (typeof fallback === "object" && Object.keys(fallback as object).length === 0);
	if (isEmpty) return "";
	return typeof fallback === "string" ? fallback : JSON.stringify(fallback);
}
