/** A cluster for a letters topic: which topics it has, what it takes, and what it answers is the test's say. */
import type { IAdminClient } from "node-rdkafka";
import rdkafka from "node-rdkafka";
import { vi } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import type { DeadLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import { KafkaError } from "../../../src/kafka/client/kafka-error.ts";
import type { DeadLetterTopicParts, TopicProducer } from "../../../src/kafka/dead-letters/dead-letter-topic.ts";
import type { ProducerRecord } from "../../../src/kafka/producer.ts";
import { ClusterInspector } from "../../../src/kafka/topics.ts";
import { ManualClock } from "./manual-clock.ts";

export const lettersKafka = loadConfig({
	file: undefined,
	cwd: "/",
	environment: {
		POCKAFFE_KAFKA_BROKERS: "k1:9092",
		POCKAFFE_KAFKA_GROUP: "g",
		POCKAFFE_KAFKA_TOPICS: "orders,^many\\..*",
		POCKAFFE_HANDLER_MODULE: "none",
		POCKAFFE_DATABASE_URL: "postgres://none",
		POCKAFFE_TABLES: '{"events":{"columns":{"n":"text"},"create":true}}',
	},
}).config.kafka;

/** See the file's header. */
export class LettersCluster {
	readonly clock = new ManualClock();
	/** Topics and their partitions. */
	readonly topics = new Map([
		["dead", 3],
		["orders", 3],
	]);
	readonly settings = new Map([["dead", new Map([["cleanup.policy", "delete"]])]]);
	settingsError: KafkaError | null = null;
	/** What was produced, and why the next records are refused. */
	readonly records: ProducerRecord[] = [];
	readonly recordedAt: number[] = [];
	readonly refusals: Error[] = [];
	/** Answers a record in its own time. */
	answer: (() => Promise<number>) | null = null;
	/** Why nobody can connect or ask for topics. */
	connectError: Error | null = null;
	topicsError: Error | null = null;
	gaveUp = false;
	/** What became of clients: `flushed for … ms`, or `disposed`. */
	readonly closed: string[] = [];
	clients = 0;
	/** Topics that somebody tried to make, and why that fails, one after the other. */
	readonly made: {
		readonly topic: string;
		readonly num_partitions: number;
		readonly replication_factor: number;
		readonly config?: object;
	}[] = [];
	readonly makeErrors: { readonly message: string; readonly code: number }[] = [];
	/** Called when a topic was made, or could not be. */
	afterMake: () => void = () => {};
	/** How many of a new topic's partitions the next looks find; then all of them. */
	readonly found: number[] = [];
	/** How often somebody looked whether a new topic has its leaders. */
	looks = 0;
	#next = 0;

	readonly parts: DeadLetterTopicParts = {
		...{ kafka: lettersKafka, topic: "dead", consumerGroup: "g", version: "1", clock: this.clock, random: () => 0.5 },
		connectProducer: async () => this.connect(),
	};

	connect(): TopicProducer {
		this.clients++;
		if (this.connectError) throw this.connectError;
		const cluster = this;
		return {
			topics: async () => {
				if (this.topicsError) throw this.topicsError;
				return new Map(this.topics);
			},
			topicSettings: async () => {
				if (this.settingsError) throw this.settingsError;
				return this.settings;
			},
			produce: async (record) => {
				this.records.push(record);
				this.recordedAt.push(this.clock.monotonic());
				const refusal = this.refusals.shift();
				if (refusal) throw refusal;
				const offset = this.answer ? await this.answer() : this.#next++;
				return { partition: record.partition ?? 0, offset, timestamp: 0 };
			},
			get gaveUp() {
				return cluster.gaveUp;
			},
			close: async (flushMs) => void this.closed.push(`flushed for ${flushMs} ms`),
			[Symbol.asyncDispose]: async () => void this.closed.push("disposed"),
		};
	}

	/** Topics are made here by whoever makes one by librdkafka, until `vi.restoreAllMocks`. */
	makesTopics(): void {
		const admin = {
			createTopic: (topic: (typeof this.made)[number], _: number, done: (error: unknown) => void) => {
				this.made.push(topic);
				const error = this.makeErrors.shift();
				if (!error && topic.num_partitions !== 0) this.topics.set(topic.topic, Math.max(1, topic.num_partitions));
				this.afterMake();
				done(error ?? null);
			},
			disconnect: () => {},
		};
		vi.spyOn(rdkafka.AdminClient, "create").mockReturnValue(admin as unknown as IAdminClient);
		vi.spyOn(ClusterInspector, "connect").mockImplementation(async () => {
			this.looks++;
			const partitionsOf = (count: number) => Array.from({ length: count }, (_, id) => ({ id, leader: 1, replicas: [1], isrs: [1] }));
			const topics = [...this.topics].map(([name, count]) => ({
				name,
				partitions: partitionsOf(name === "dead" ? (this.found.shift() ?? count) : count),
			}));
			return {
				metadata: { topics, brokers: [] },
				absent: async () => ({ code: "no_topic" }),
				[Symbol.asyncDispose]: async () => {},
			} as never;
		});
	}
}

/** A value of so many bytes makes the letter as large. */
export function sized(bytes: number): Partial<DeadLetter> {
	return { key: null, headers: [], value: Buffer.alloc(bytes) };
}

export const tooLarge = () => new KafkaError("Broker: Message size too large", 10);
