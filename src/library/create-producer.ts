/**
 * A producer for other programs, with Kaffe's calls: `produceSync` resolves when the broker has the record. Idempotent, `acks=all`. By
 * default the key decides the partition, as in Java clients.
 */
import { isMainThread } from "node:worker_threads";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { missingBrokers } from "../config/required-keys.ts";
import { type ConfigProblem, configError, nearest } from "../config/schema/problems.ts";
import { PocKaffeError } from "../core/errors.ts";
import { missingTopicHint } from "../core/text/missing-topic.ts";
import { Producer } from "../kafka/producer.ts";

/** A record's key or value; null: none. */
export type Content = Buffer | string | null;

/** Chooses a partition, from 0 to `partitions` - 1. Kaffe's `partition_strategy` function. */
export type ChoosePartition = (topic: string, partitions: number, key: Content, value: Content) => number;

/** `murmur2` (default): by key, as Java clients do; a record without a key goes to any partition. */
export type PartitionStrategy = "murmur2" | "random" | "round-robin" | ChoosePartition;

/** Options of `createProducer`. */
export interface ProducerConfig {
	/** The keys of `kafka` in pockaffe.yaml: `brokers`, `tls`, `sasl`, `properties`. */
	readonly kafka: { readonly brokers: readonly string[] } & Readonly<Record<string, unknown>>;
	/** `produceSync(key, value)` produces to the first of these. */
	readonly topics?: readonly string[];
	readonly partitionStrategy?: PartitionStrategy;
	/** How long a record waits for others to be sent with it, ms. Default 0. */
	readonly lingerMs?: number;
	/** How long a record is tried, ms. Default: 5 minutes (librdkafka's). */
	readonly deliveryTimeoutMs?: number;
}

/** A record of a list. */
export interface ListedRecord {
	readonly key?: Content;
	readonly value: Content;
	readonly headers?: readonly (readonly [name: string, value: string | Buffer])[];
	/** Overrides the strategy. */
	readonly partition?: number;
	/** ms since 1970. Default: now. */
	readonly timestamp?: number;
}

/** Where a record went. `timestamp` is in ms. */
export interface Delivered {
	readonly topic: string;
	readonly partition: number;
	readonly offset: number;
	readonly timestamp: number;
}

/**
 * Connects a producer. Rejects with `config_invalid`, or, if no broker answers within 10 s, with `kafka_connect` and what to look at. Close
 * it, or use `await using`.
 *
 *   await using producer = await createProducer({ kafka: { brokers: ["127.0.0.1:9092"] }, topics: ["orders"] });
 *   const { partition, offset } = await producer.produceSync("key", "value");
 */
export async function createProducer(config: ProducerConfig): Promise<LibraryProducer> {
	if (!isMainThread)
		throw new PocKaffeError("not_the_main_thread", "createProducer works in the main thread only: in a handler, return { produce: […] }");
	const { kafka = {} } = config;
	const loaded = loadConfig({ written: { kafka }, environment: {}, cwd: process.cwd() });
	const problems = [...missingBrokers(loaded.config, loaded.source), ...problemsOf(config)];
	if (problems.length > 0) throw configError(loaded.source, problems);
	return new LibraryProducer(await connect(loaded.config.kafka, config), config);
}

const known: readonly (keyof ProducerConfig)[] = ["kafka", "topics", "partitionStrategy", "lingerMs", "deliveryTimeoutMs"];
const strategies: readonly unknown[] = ["murmur2", "random", "round-robin"];

/** Mistakes that would silently send records elsewhere: Kaffe's `md5` would mean `round-robin`, and lose the order of each key. */
function problemsOf(config: ProducerConfig): readonly ConfigProblem[] {
	const problems: ConfigProblem[] = Object.keys(config)
		.filter((key) => !(known as readonly string[]).includes(key))
		.map((key) => ({ path: [key], rule: `is no known key${nearest(key, known)}` }));
	const { topics = [], partitionStrategy: strategy = "murmur2" } = config;
	if (!Array.isArray(topics) || topics.some((topic) => typeof topic !== "string" || topic === ""))
		problems.push({ path: ["topics"], value: topics, rule: "must be a list of names" });
	if (typeof strategy !== "function" && !strategies.includes(strategy))
		problems.push({ path: ["partitionStrategy"], value: strategy, rule: `must be ${strategies.join(", ")} or a function` });
	return problems;
}

function connect(kafka: Config["kafka"], { lingerMs, deliveryTimeoutMs }: ProducerConfig): Promise<Producer> {
	return Producer.connect(kafka, {
		...(lingerMs === undefined ? {} : { lingerMs }),
		...(deliveryTimeoutMs === undefined ? {} : { deliveryTimeoutMs }),
	});
}

/** A connected producer; `createProducer` makes it. */
export class LibraryProducer implements AsyncDisposable {
	readonly #producer: Producer;
	readonly #config: ProducerConfig;
	readonly #partitions = new Map<string, Promise<number>>();
	readonly #next = new Map<string, number>();

	constructor(producer: Producer, config: ProducerConfig) {
		this.#producer = producer;
		this.#config = config;
	}

	/** Produces a record to the first of `topics`. Resolves when the broker has it; rejects with `no_topic` if `topics` is empty. */
	produceSync(key: Content, value: Content): Promise<Delivered>;
	/** Produces a record. Rejects with `bad_record`, or with Kafka's error (`kafka_10` and the like). */
	produceSync(topic: string, key: Content, value: Content): Promise<Delivered>;
	/** Produces a list, in order. Waits for the answer to every record; then resolves, or rejects with the list's first error. */
	produceSync(topic: string, records: readonly ListedRecord[]): Promise<readonly Delivered[]>;
	async produceSync(...given: readonly unknown[]): Promise<Delivered | readonly Delivered[]> {
		if (Array.isArray(given[1])) return this.#produceAll(topicOf(given[0]), given[1]);
		// The number of arguments decides: with a value that is undefined by mistake, the topic must not be taken for the key.
		if (given.length > 2) return this.#produce(topicOf(given[0]), { key: contentOf("key", given[1]), value: contentOf("value", given[2]) });
		const record = { key: contentOf("key", given[0]), value: contentOf("value", given[1]) };
		const [topic] = this.#config.topics ?? [];
		if (topic === undefined) throw new PocKaffeError("no_topic", "produceSync(key, value) needs `topics` in the configuration");
		return this.#produce(topic, record);
	}

	/** Waits at most `flushMs` for records under way; then their calls reject with `producer_closed`. Later calls wait for the first. */
	async close(flushMs = 5_000): Promise<void> {
		await this.#producer.close(flushMs);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.close();
	}

	async #produceAll(topic: string, records: readonly ListedRecord[]): Promise<readonly Delivered[]> {
		// Asked before the first record: a wait between two records would let others in.
		const count = this.#isChosenHere ? await this.#countOf(topic) : 0;
		const settled = await Promise.allSettled(records.map((record) => this.#send(topic, record, count)));
		const failed = settled.find(({ status }) => status === "rejected") as PromiseRejectedResult | undefined;
		if (failed) throw failed.reason;
		return settled.map((each) => (each as PromiseFulfilledResult<Delivered>).value);
	}

	async #produce(topic: string, record: ListedRecord): Promise<Delivered> {
		return this.#send(topic, record, this.#isChosenHere ? await this.#countOf(topic) : 0);
	}

	async #send(topic: string, record: ListedRecord, count: number): Promise<Delivered> {
		const { headers, timestamp } = record;
		const [key, value] = [contentOf("key", record.key ?? null), contentOf("value", record.value)];
		const partition = record.partition ?? this.#choose(topic, count, key, value);
		const delivery = await this.#producer.produce({
			...{ topic, key, value },
			...(partition === undefined ? {} : { partition }),
			...(headers === undefined ? {} : { headers }),
			...(timestamp === undefined ? {} : { timestamp }),
		});
		return { topic, ...delivery };
	}

	get #isChosenHere(): boolean {
		return (this.#config.partitionStrategy ?? "murmur2") !== "murmur2";
	}

	#choose(topic: string, count: number, key: Content, value: Content): number | undefined {
		const { partitionStrategy: strategy = "murmur2" } = this.#config;
		if (strategy === "murmur2") return undefined;
		if (strategy === "random") return Math.floor(Math.random() * count);
		if (typeof strategy === "function") {
			const chosen = strategy(topic, count, key, value);
			if (Number.isInteger(chosen) && chosen >= 0 && chosen < count) return chosen;
			throw new PocKaffeError("no_partition", `partitionStrategy chose ${String(chosen)} of the ${count} partitions of ${topic}`);
		}
		const next = this.#next.get(topic) ?? 0;
		this.#next.set(topic, next + 1);
		return next % count;
	}

	/** Number of partitions; asked once per topic, so partitions added later are not used. */
	#countOf(topic: string): Promise<number> {
		let count = this.#partitions.get(topic);
		if (!count) {
			count = this.#producer.topics(topic).then((topics) => {
				const found = topics.get(topic);
				if (found === undefined) throw new PocKaffeError("no_topic", `there is no topic ${topic}: ${missingTopicHint(topic)}`);
				return found;
			});
			this.#partitions.set(topic, count);
			count.catch(() => this.#partitions.delete(topic));
		}
		return count;
	}
}

function topicOf(given: unknown): string {
	if (typeof given === "string" && given !== "") return given;
	throw new PocKaffeError("bad_record", `a topic is named by a string, not ${given === "" ? "an empty one" : typeof given}`);
}

function contentOf(name: string, given: unknown): Content {
	if (given === null || typeof given === "string") return given;
	if (given instanceof Uint8Array) return Buffer.from(given.buffer, given.byteOffset, given.byteLength);
	throw new PocKaffeError("bad_record", `a record's ${name} must be a Buffer, a string or null, not ${typeof given}`);
}
