/** config/example.yaml, made from the schema. Pure text. */
import { Document, isMap, type Pair, type Scalar, type YAMLMap } from "yaml";
import type { z } from "zod";
import { configSchema } from "../../../src/config/schema/schema.ts";
import { type Leaf, leaves } from "../../../src/config/schema/schema-leaves.ts";

/** What the example file sets; everything else in it is the default. */
const example = {
	kafka: { brokers: ["127.0.0.1:9092"], group: "group1", topics: ["topic1"], tls: {}, sasl: {} },
	handler: { module: "pockaffe:json" },
	database: { url: `\${DATABASE_URL:-postgres://postgres:postgres@127.0.0.1:5432/postgres}` },
	tables: {
		events: {
			id: { column: "id", type: "text" },
			columns: { name: "text", amount: { type: "bigint", from: "price.amount", null: true }, doc: "jsonb" },
			create: true,
		},
	},
} as const;

/** A whole configuration: required options have a plausible value, all others their default, each with its meaning. */
export function renderExampleFile(): string {
	const values = structuredClone(example) as unknown as Record<string, unknown>;
	for (const { path, default: fallback } of leaves(configSchema)) {
		if (fallback !== undefined && at(values, path) === undefined) put(values, path, fallback);
	}
	const inSchemaOrder = Object.fromEntries(Object.keys(configSchema.shape).map((key) => [key, ordered(values[key], [key])]));
	const document = new Document(inSchemaOrder);
	const described = new Map(leaves(configSchema).map((leaf) => [leaf.path.join("."), leaf]));
	comment(document.contents as unknown as YAMLMap, [], described);
	document.commentBefore =
		" Every option with its default. Only kafka.brokers, group and topics, handler.module, database.url and tables are examples.\n" +
		" Each can also be set by an environment variable: kafka.startFrom is POCKAFFE_KAFKA_START_FROM. Texts may refer to variables, as database.url does.";
	return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/** Adds comments: a section's above it, an option's after it (above if its value takes several lines). */
function comment(map: YAMLMap, path: readonly string[], described: ReadonlyMap<string, Leaf>): void {
	for (const pair of map.items as Pair<Scalar<string>>[]) {
		const here = [...path, pair.key.value];
		const leaf = described.get(here.join("."));
		const value = pair.value as unknown as { flow?: boolean; comment?: string; items?: unknown[] } | null;
		if (leaf && value) {
			const blockValue = isMap(value) && leaf.path[0] === "tables";
			if (blockValue) {
				pair.key.commentBefore = ` ${leaf.description}`;
				pair.key.spaceBefore = true;
			} else {
				if (value.items) value.flow = true;
				value.comment = ` ${leaf.description}`;
			}
		} else if (isMap(value)) {
			pair.key.commentBefore = ` ${sectionDescription(here)}`;
			if (path.length === 0 && pair !== map.items[0]) pair.key.spaceBefore = true;
			comment(value as unknown as YAMLMap, here, described);
		}
	}
}

function sectionDescription(path: readonly string[]): string {
	let schema: z.ZodType | undefined = configSchema;
	for (const key of path) schema = shapeOf(schema)?.[key];
	return schema?.description ?? "";
}

function shapeOf(schema: z.ZodType | undefined): Record<string, z.ZodType> | undefined {
	let definition = schema?.def as unknown as { innerType?: z.ZodType; shape?: Record<string, z.ZodType> } | undefined;
	while (definition?.innerType) definition = definition.innerType.def as unknown as typeof definition;
	return definition?.shape;
}

/** Keys of a section in the schema's order, whatever was set first. */
function ordered(value: unknown, path: readonly string[]): unknown {
	const keys = [
		...new Set(
			leaves(configSchema)
				.filter(isBelow(path))
				.map((leaf) => leaf.path[path.length] as string),
		),
	];
	if (keys.length === 0 || typeof value !== "object" || value === null) return value;
	const section = value as Record<string, unknown>;
	return Object.fromEntries(keys.filter((key) => section[key] !== undefined).map((key) => [key, ordered(section[key], [...path, key])]));
}

function isBelow(path: readonly string[]): (leaf: Leaf) => boolean {
	return (leaf) => leaf.path.length > path.length && path.every((key, index) => leaf.path[index] === key);
}

function at(values: Record<string, unknown>, path: readonly string[]): unknown {
	return path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], values);
}

function put(values: Record<string, unknown>, path: readonly string[], value: unknown): void {
	let section = values;
	for (const key of path.slice(0, -1)) {
		section[key] ??= {};
		section = section[key] as Record<string, unknown>;
	}
	section[path.at(-1) as string] = value;
}
