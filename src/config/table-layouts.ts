/** The tables of a configuration as the writer and the worker threads use them. Pure. */
import type { TableLayout, VersionStrategy } from "../core/rows/rows.ts";
import type { Config } from "./config.ts";

/** A layout per configured table. If several topics (or a pattern) feed the tables, `kafka_topic` is part of every version. */
export function tableLayouts(config: Pick<Config, "tables" | "cas" | "kafka">): TableLayout[] {
	const { topics } = config.kafka;
	const withTopic = topics.length > 1 || topics.some((topic) => topic.startsWith("^"));
	return Object.entries(config.tables).map(([name, table]) => {
		const columns = Object.entries(table.columns).map(([column, written]) => {
			const { type, from, encoding, null: nullable = true } = typeof written === "string" ? { type: written } : written;
			const path = from === undefined ? [column] : from.split(".");
			return { name: column, type, ...(encoding && { encoding }), path, nullable };
		});
		const cas = { ...config.cas, ...definedOf(table.cas) };
		const field = columns.find((column) => column.name === cas.field);
		return {
			name,
			id: table.id,
			columns,
			version: strategyOf(cas.version, cas.field, field?.type ?? ""),
			withTopic,
			maxFutureMs: cas.maxFutureMs,
			create: table.create,
		};
	});
}

/** By table, how long rows wait for the rows that their foreign keys refer to, ms; tables that don't wait are absent. */
export function referenceWaits({ tables }: Pick<Config, "tables">): ReadonlyMap<string, number> {
	const waits = Object.entries(tables).flatMap(([name, { references }]): [string, number][] =>
		references === "none" ? [] : [[name, references.waitMs]],
	);
	return new Map(waits);
}

/** Tables with `atomic: message`: the rows of one message are written or refused together. */
export function atomicTables({ tables }: Pick<Config, "tables">): ReadonlySet<string> {
	return new Set(Object.keys(tables).filter((name) => tables[name]?.atomic === "message"));
}

function strategyOf(kind: Config["cas"]["version"], column: string, type: string): VersionStrategy {
	if (kind !== "field") return { kind };
	const base = type.replace(/\(.*/, "") as "bigint" | "numeric" | "timestamptz";
	return { kind, column, type: base };
}

function definedOf<T extends object>(values: T): Partial<{ [Key in keyof T]: NonNullable<T[Key]> }> {
	return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
