/** What a seed chooses before anything happens: the configuration, the mood, and what may happen beside failures. */
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Strategy } from "./invariants.ts";
import { TOPIC } from "./kafka.ts";
import { extras as allExtras, drawKinds, histories, KAFKA_FORGIVES, type Kinds } from "./kinds.ts";
import type { World } from "./world.ts";

/** See the file's header. */
export interface Scenario extends Kinds {
	readonly config: Config;
	readonly partitions: number;
	readonly strategy: Strategy;
	/** Nothing fails: then nothing may be handled twice either. */
	readonly calm: boolean;
	/** The handler keeps messages in its state and finishes them later. */
	readonly keeps: boolean;
	/** Topics have ids. */
	readonly hasIds: boolean;
	/** The group assigns as a whole. */
	readonly isEager: boolean;
}

/** Dead letters in a row at which the breaker opens, in runs where it may. */
const BREAKER = 3;
/** Attempts of a message that ends the process; chance alone does not make so many failures of one message. */
const DEATHS = 6;

const base: Config = loadConfig({
	file: undefined,
	cwd: "/",
	environment: {
		POCKAFFE_KAFKA_BROKERS: "simulated:1",
		POCKAFFE_KAFKA_GROUP: "simulation",
		POCKAFFE_KAFKA_TOPICS: TOPIC,
		POCKAFFE_KAFKA_PROPERTIES: '{"session.timeout.ms":6000}',
		POCKAFFE_HANDLER_MODULE: "pockaffe:json",
		POCKAFFE_HANDLER_TIMEOUT_MS: "1000",
		POCKAFFE_HANDLER_MAX_ATTEMPTS: "40",
		POCKAFFE_HANDLER_RETRY_BACKOFF_MS: "5",
		POCKAFFE_HANDLER_MAX_RETRY_BACKOFF_MS: "100",
		POCKAFFE_SUPERVISOR_MAX_BACKOFF_MS: "1000",
		POCKAFFE_DATABASE_URL: "postgres://simulated",
		POCKAFFE_TABLES:
			'{"events":{"columns":{"n":"text"}},"lines":{"columns":{"n":"text","event":"text"}},"contacts":{"columns":{"address":"text"}}}',
		POCKAFFE_CAS_MAX_FUTURE_MS: "1000000000000",
		POCKAFFE_DEAD_LETTERS_BREAKER_SHARE: "1",
		POCKAFFE_DEAD_LETTERS_BREAKER_CONSECUTIVE: "0",
		POCKAFFE_DRAIN_TIMEOUT_MS: "4000",
	},
}).config;

/** What columns of the simulated tables must keep beside what PocKaffe would make. */
export const RULES: Readonly<Record<string, string>> = { "lines.event": "references events", "contacts.address": "unique" };

/** What may be asked for. */
const FORCIBLE: readonly string[] = [...Object.keys(allExtras), ...Object.keys(histories), "calm", "keeps", "shared threads", "eager"];

/** Draws it. `forced` are kinds (kinds.ts) that are there in any case; `calm`, `keeps`, `shared threads` and `eager` may be among them. */
export function drawScenario(world: World, forced: readonly string[]): Scenario {
	const unknown = forced.find((name) => !FORCIBLE.includes(name));
	if (unknown !== undefined) throw new Error(`no kind "${unknown}": there are ${FORCIBLE.join(", ")}`);
	const calm = world.chance(0.25) || forced.includes("calm");
	const strategy = world.chance(0.7) ? "timestamp" : "offset";
	const kinds = drawKinds(world, calm, forced);
	const isTable = world.chance(0.4);
	// Rows that were put back behind offsets in Kafka are a person's to mend.
	const store = isTable || kinds.history === "restored" ? "postgres" : "kafka";
	const { extras } = kinds;
	// Who begins in the middle may meet a line without its order, and rightly refuses it.
	const needsAll = extras.has("references") || extras.has("parents elsewhere") || extras.has("addresses");
	const isEager = world.chance(0.5) || forced.includes("eager");
	const startFrom = world.chance(0.3) && !needsAll ? "latest" : "earliest";
	const lines = { ...base.tables.lines, ...(extras.has("parents elsewhere") ? { references: { waitMs: 3_600_000 } } : {}) };
	const all = { ...base.tables, lines };
	const together = Object.fromEntries(Object.entries(all).map(([name, table]) => [name, { ...table, atomic: "message" }]));
	const config = {
		...base,
		// A death of the process takes a session.
		handler: extras.has("deadly") || extras.has("deadly beginnings") ? { ...base.handler, maxAttempts: DEATHS } : base.handler,
		tables: extras.has("together") ? together : all,
		kafka: { ...base.kafka, protocol: isEager ? "eager" : "classic", startFrom, onOffsetOutOfRange: world.pick(["earliest", "latest"]) },
		cas: { ...base.cas, version: strategy },
		offsets: { ...base.offsets, store, commitIntervalMs: world.pick([50, 200, 1_000]) },
		batch: { ...base.batch, maxRows: world.pick([2, 20, 5_000]), lingerMs: world.pick([0, 5, 50]), answerMs: world.pick([5, 250]) },
		workers: {
			...base.workers,
			maxThreads: pickThreads(world, forced),
			maxQueuedMessages: pickQueue(world, extras),
			...(extras.has("tight bytes") && !extras.has("parents elsewhere") ? { maxQueuedBytes: world.pick([100, 400, 2_000]) } : {}),
		},
		database: { ...base.database, connections: world.pick([1, 2, 3]) },
		deadLetters: {
			...base.deadLetters,
			breaker: { ...base.deadLetters.breaker, consecutive: extras.has("breaker") ? BREAKER : 0 },
		},
	} as Config;
	return {
		...kinds,
		...withoutUnmended(kinds, config),
		partitions: world.between(1, 5),
		strategy,
		calm,
		// What a state still holds is flushed by the next message, which a log without its end doesn't get, nor one whose messages go
		// elsewhere.
		keeps: !calm && (world.chance(0.33) || forced.includes("keeps")) && kinds.history !== "truncated" && !extras.has("parents elsewhere"),
		hasIds: world.chance(0.6),
		isEager,
	};
}

function pickThreads(world: World, forced: readonly string[]): number {
	const picked = world.pick([0, 0, 0, 1, 2]);
	return forced.includes("shared threads") ? Math.max(1, picked) : picked;
}

/** Two partitions with little room could each wait for what is behind the other's. */
function pickQueue(world: World, extras: Kinds["extras"]): number {
	const picked = world.pick([10, 100, 100_000]);
	return extras.has("parents elsewhere") ? 100_000 : picked;
}

/** The same, for a person who wants the letters made. */
export function withoutBreaker(config: Config): Config {
	return { ...config, deadLetters: { ...config.deadLetters, breaker: { ...config.deadLetters.breaker, consecutive: 0 } } };
}

/** A table of offsets can't know that a log is another one by now, and without a commit `latest` is chosen again. */
function withoutUnmended({ history }: Kinds, config: Config): { readonly history: Kinds["history"]; readonly config: Config } {
	const isSafe = !KAFKA_FORGIVES || (config.offsets.store === "kafka" && config.kafka.startFrom === "earliest");
	return { history: history === "remade" && !isSafe ? null : history, config };
}

/** For whoever reads of a seed. */
export function describeScenario({ config, partitions, strategy, calm, keeps, hasIds, isEager, history, extras }: Scenario): string {
	const { kafka, offsets, workers } = config;
	const threads = workers.maxThreads > 0 ? ` on ${workers.maxThreads} threads` : "";
	return [
		`${partitions} partitions${threads}`,
		calm ? "calm" : "with failures",
		...(history ? [history] : []),
		...extras,
		...(keeps ? ["a handler that keeps"] : []),
		...(hasIds ? [] : ["topics without ids"]),
		...(isEager ? ["eager"] : []),
		`version ${strategy}`,
		`offsets in ${offsets.store}`,
		`from ${kafka.startFrom}`,
	].join(", ");
}
