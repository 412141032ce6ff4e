/**
 * Produces records as Java clients would: murmur2 partitioning, all in-sync replicas, idempotent. Used by the commands, dead letters, the
 * embedded sample messages and tests; record-producer.ts sends what handlers produce.
 */
import rdkafka, { type LibrdKafkaError } from "node-rdkafka";
import type { Config } from "../config/config.ts";
import { systemClock } from "../core/clock.ts";
import { PocKaffeError } from "../core/errors.ts";
import { kafkaClientSettings } from "./client/client-settings.ts";
import { codeOfWords, fatalError } from "./client/error-words.ts";
import { KafkaError, kafkaErrors } from "./client/kafka-error.ts";
import { connectOrExplain, withoutThread } from "./connecting/connect.ts";
import { MOCK_APPEND_TIME_MS } from "./mock-cluster.ts";
import { askTopicSettings, type TopicSettings, withNative } from "./native.ts";

/**
 * A record to produce. Without `partition` the key decides; without `timestamp` it gets the client's time. Header values can't contain NUL.
 */
export interface ProducerRecord {
	readonly topic: string;
	readonly partition?: number;
	readonly key: Buffer | string | null;
	readonly value: Buffer | string | null;
	readonly timestamp?: number;
	readonly headers?: readonly (readonly [name: string, value: string | Buffer])[];
}

/** Where a record went. `timestamp` is in ms. */
export interface DeliveryReport {
	readonly partition: number;
	readonly offset: number;
	readonly timestamp: number;
}

/** See `Producer.connect`. Times in ms. */
export interface ProducerOptions {
	readonly timeoutMs?: number;
	readonly lingerMs?: number;
	readonly deliveryTimeoutMs?: number;
	/** How long to wait for a topic that the brokers don't know any more, whatever `deliveryTimeoutMs` is. Default: librdkafka's 30 s. */
	readonly absentTopicMs?: number;
}

interface Report {
	readonly partition: number;
	readonly offset: number;
	readonly timestamp?: number;
	readonly opaque: OpenRecord;
}

/** A record without a delivery report yet. */
interface OpenRecord {
	readonly timestamp: number;
	resolve(delivery: DeliveryReport): void;
	reject(error: Error): void;
}

const POLL_MS = 10;
const LOG_WITHIN_MS = 1_000;
/** Fatal error, erroneous state, purged in queue, purged in flight. */
const BEHIND_FATAL: readonly number[] = [kafkaErrors.fatal, kafkaErrors.state, kafkaErrors.purgedInQueue, kafkaErrors.purgedInFlight];
const QUERY_TIMEOUT_MS = 10_000;
/** Asks the controller; any broker if controllers are separate (KRaft). */
const CONTROLLER = -1;

/** A connected producer. */
export class Producer implements AsyncDisposable {
	readonly #raw: rdkafka.Producer;
	readonly #open = new Set<OpenRecord>();
	#hasGivenUp = false;
	#closing: Promise<void> | null = null;
	/** Resolves with the reason when the client gives up for good. */
	readonly #fatal: Promise<KafkaError>;

	private constructor(raw: rdkafka.Producer) {
		this.#raw = raw;
		this.#fatal = new Promise((resolve) => {
			raw.on("event.log", (log) => {
				const { fac, message } = log as { fac: string; message: string };
				if (fac === "FATAL") resolve(fatalError(withoutThread(message)));
			});
		});
		raw.on("delivery-report", (error: LibrdKafkaError | null, report) => {
			const { opaque } = report as unknown as Report;
			this.#open.delete(opaque);
			if (error) void this.#errorOf(error).then(opaque.reject);
			else deliver(report as unknown as Report);
		});
	}

	/**
	 * Connects, or rejects within `timeoutMs` (default 10 s) with what to look at. `deliveryTimeoutMs`: how long a record is tried; default:
	 * librdkafka's five minutes.
	 */
	static async connect(kafka: Config["kafka"], options: ProducerOptions = {}): Promise<Producer> {
		const { timeoutMs = 10_000 } = options;
		const raw = new rdkafka.Producer(withNative(producerSettings(kafka, options)) as never, { partitioner: "murmur2_random" } as never);
		raw.setPollInterval(POLL_MS);
		// Listens before it connects: the client may give up for good as soon as a broker answers.
		const producer = new Producer(raw);
		await connectOrExplain(raw, kafka, timeoutMs);
		return producer;
	}

	/** Resolves with the delivery report. */
	produce(record: ProducerRecord): Promise<DeliveryReport> {
		const { topic, partition, key, value, timestamp = Date.now(), headers = [] } = record;
		return new Promise((resolve, reject) => {
			const nul = headers.find(([, content]) => Buffer.from(content as string).includes(0));
			if (!this.#raw.isConnected()) throw new PocKaffeError("producer_closed", "the producer is closed");
			if (nul) throw new PocKaffeError("header_nul", `header ${nul[0]}: the client can't send a value with a NUL byte in it`);
			const opaque = { resolve, reject, timestamp };
			const rawHeaders = headers.map(([name, content]) => ({ [name]: content }));
			try {
				this.#raw.produce(topic, partition ?? null, bufferOf(value), bufferOf(key), timestamp, opaque, rawHeaders as never);
				this.#open.add(opaque);
			} catch (error) {
				void this.#errorOf(error as LibrdKafkaError).then(reject);
			}
		});
	}

	/** True if the client gave up for good: it takes no more records, and those it had are refused. */
	get gaveUp(): boolean {
		return this.#hasGivenUp;
	}

	/** Partition counts by topic: of all topics, or of the named one, which a broker that creates topics automatically then creates. */
	topics(name?: string, timeoutMs = QUERY_TIMEOUT_MS): Promise<Map<string, number>> {
		const what = name === undefined ? { allTopics: true } : { topic: name };
		return new Promise((resolve, reject) => {
			this.#raw.getMetadata({ ...what, timeout: timeoutMs } as never, (error, metadata) => {
				if (error) return reject(producerError(error));
				const present = metadata.topics.filter(({ partitions }) => partitions.length > 0);
				resolve(new Map(present.map(({ name, partitions }) => [name, partitions.length])));
			});
		});
	}

	/** The settings of topics, or Kafka's error for a topic; null if nobody can tell. */
	topicSettings(topics: readonly string[]): Promise<ReadonlyMap<string, TopicSettings | KafkaError> | null> {
		const { name } = this.#raw as unknown as { readonly name?: string };
		return askTopicSettings({ name, broker: CONTROLLER }, topics, QUERY_TIMEOUT_MS);
	}

	/**
	 * Waits at most `flushMs` for outstanding deliveries. Records without a report by then are refused: the broker may or may not have them.
	 * Later calls wait for the first: node-rdkafka never answers a second disconnect.
	 */
	close(flushMs: number): Promise<void> {
		this.#closing ??= this.#close(flushMs);
		return this.#closing;
	}

	async #close(flushMs: number): Promise<void> {
		if (flushMs > 0) await new Promise<void>((resolve) => this.#raw.flush(flushMs, () => resolve()));
		await this.#reportsInHand();
		// The client is freed on another thread while node-rdkafka keeps polling it: the process would crash.
		this.#raw.setPollInterval(0);
		await new Promise<void>((resolve) => this.#raw.disconnect(0, () => resolve()));
		for (const { reject } of this.#open)
			reject(new PocKaffeError("producer_closed", "the producer was closed before the record was reported"));
		this.#open.clear();
	}

	/** The reason of a fatal error, and of records dropped because of it, comes only in the client's log, a moment later. */
	async #errorOf(error: LibrdKafkaError): Promise<KafkaError> {
		const failed = producerError(error);
		if (!BEHIND_FATAL.includes(failed.kafkaCode)) return failed;
		this.#hasGivenUp = true;
		return Promise.race([this.#fatal, systemClock.sleep(LOG_WITHIN_MS).then(() => failed)]);
	}

	/** node-rdkafka passes on a hundred reports per turn of the loop, and drops the rest when the client is closed: wait for them. */
	async #reportsInHand(): Promise<void> {
		for (let before = Number.POSITIVE_INFINITY; this.#open.size > 0 && this.#open.size < before; ) {
			before = this.#open.size;
			await new Promise((resolve) => setImmediate(resolve));
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.close(5_000);
	}
}

/** The user's `properties` override our defaults, but never the settings that delivery guarantees depend on. */
export function producerSettings(
	kafka: Config["kafka"],
	{ lingerMs = 0, deliveryTimeoutMs, absentTopicMs }: ProducerOptions,
): Record<string, unknown> {
	return {
		"linger.ms": lingerMs,
		"compression.codec": "lz4",
		"queue.buffering.max.messages": 200_000,
		// The broker and the topic decide what is too large.
		"message.max.bytes": 1_000_000_000,
		...(absentTopicMs === undefined ? {} : { "topic.metadata.propagation.max.ms": absentTopicMs }),
		...kafkaClientSettings(kafka),
		"enable.idempotence": true,
		acks: "all",
		...(deliveryTimeoutMs === undefined ? {} : { "message.timeout.ms": deliveryTimeoutMs }),
		dr_cb: true,
	};
}

/** Delivery reports carry no error number. */
export function producerError(error: LibrdKafkaError): KafkaError {
	const code = codeOfWords(error.message);
	return new KafkaError(error.message, code === -1 ? error.code : code, { cause: error });
}

function deliver({ partition, offset, timestamp, opaque }: Report): void {
	const isStored = timestamp !== undefined && timestamp !== MOCK_APPEND_TIME_MS;
	opaque.resolve({ partition, offset, timestamp: isStored ? timestamp : opaque.timestamp });
}

/** The client treats a buffer without memory as null, so an empty value would arrive as a delete: this one has a byte of memory. */
const empty = Buffer.alloc(1).subarray(0, 0);

/** The content in the form that the client takes. */
export function bufferOf(content: Buffer | string | null): Buffer | null {
	if (content === null) return null;
	return content.length === 0 ? empty : Buffer.from(content as string);
}
