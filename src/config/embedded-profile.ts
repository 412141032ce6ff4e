/** What an embedded run adds to an unconfigured daemon: the built-in example. The user's own settings win. */
import { knownSecrets } from "../core/text/secret-mask.ts";
import type { Config } from "./config.ts";
import type { ConfigProblem } from "./schema/problems.ts";
import { remove } from "./schema/remaining.ts";
import { configSchema } from "./schema/schema.ts";
import { passwordsIn } from "./secrets.ts";

/** Keys that an embedded run replaces by its own values. `database.connections` stays. */
const replaced: readonly (readonly string[])[] = [
	["kafka", "brokers"],
	["kafka", "tls"],
	["kafka", "sasl"],
	["kafka", "properties"],
	["kafka", "instanceId"],
	...Object.keys(configSchema.shape.database.unwrap().shape).flatMap((key) => (key === "connections" ? [] : [["database", key]])),
];

/** Removes from `written` the replaced keys that name variables which are not set. Returns the problems that are left. */
export function withoutReplaced(written: unknown, unset: readonly ConfigProblem[]): ConfigProblem[] {
	const isPartOf = (path: readonly (string | number)[], whole: readonly string[]) => whole.every((key, index) => path[index] === key);
	return unset.filter(({ path }) => {
		const whole = replaced.find((each) => isPartOf(path, each));
		if (whole) remove(written, whole);
		return !whole;
	});
}

/** The example's values, for keys that are not configured. */
const profile = {
	group: "pockaffe-example",
	topics: ["events"],
	module: "pockaffe:example",
	tables: {
		events: {
			id: { column: "id", type: "text" },
			columns: { name: "text", amount: "bigint", note: "text" },
			create: true,
			atomic: "none",
			references: "none",
			cas: {},
		},
	},
} as const;

/** The embedded broker has no accounts and no certificates, and is reachable from this machine only. */
export const withoutAccounts = { tls: {}, sasl: {}, properties: {}, instanceId: "" } as const;

/** `config` for an embedded run at these addresses. */
export function withEmbeddedProfile(config: Config, addresses: { brokers: readonly string[]; databaseUrl: string }): Config {
	const { kafka, handler, tables, database } = config;
	knownSecrets.add(...passwordsIn(addresses.databaseUrl));
	return {
		...config,
		kafka: {
			...kafka,
			...withoutAccounts,
			brokers: addresses.brokers,
			group: kafka.group || profile.group,
			topics: kafka.topics.length > 0 ? kafka.topics : profile.topics,
			// The mock cluster keeps 5 MiB per partition: a start is often out of range, and must not park.
			onOffsetOutOfRange: "earliest",
		},
		handler: { ...handler, module: handler.module || profile.module },
		tables: Object.keys(tables).length > 0 ? tables : profile.tables,
		database: { url: addresses.databaseUrl, connections: database.connections },
	};
}
