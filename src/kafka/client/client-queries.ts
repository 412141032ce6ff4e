/**
 * Requests to a node-rdkafka consumer. Each occupies a thread of Node's pool until its answer or timeout, and closing the client or ending
 * the process waits for it. So a request has a short timeout and is repeated until its whole time is over or the client ends.
 */
import type {
	LibrdKafkaError,
	Metadata,
	KafkaConsumer as RawConsumer,
	TopicPartition as RawPartition,
	TopicPartitionOffset,
} from "node-rdkafka";
import type { Clock } from "../../core/clock.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { LogId } from "../../core/offsets/log-identity.ts";
import {
	type AskedClient,
	askBrokerSetting,
	askGroup,
	askOperations,
	askTopicIds,
	askTopicSettings,
	type GroupDescription,
	type TopicSettings,
} from "../native.ts";
import { topicIdsFrom } from "../topic-ids.ts";
import type { Operation } from "../watches/rights.ts";
import { codeOfWords } from "./error-words.ts";
import type { StoredOffset } from "./group-client.ts";
import { KafkaError, kafkaErrors } from "./kafka-error.ts";

/** A slow network's round trip, with a margin. */
const ATTEMPT_MS = 2_000;
const ATTEMPTS = 5;
/** The shortest timeout that node-rdkafka accepts for all of these. */
const LEAST_MS = 10;

type Question<T> = (timeoutMs: number, done: (error: LibrdKafkaError | null | undefined, result: T) => void) => void;

/** Asks a consumer with a short timeout again and again, up to a deadline. Promises reject with KafkaError. */
export class ClientQueries {
	readonly #raw: RawConsumer;
	readonly #underWay = new Set<Promise<unknown>>();
	readonly #clock: Clock;
	#isEnded = false;
	#deadline = Number.POSITIVE_INFINITY;
	/** The broker that gave the last metadata; -1 before. */
	#broker = -1;

	constructor(raw: RawConsumer, clock: Clock) {
		this.#raw = raw;
		this.#clock = clock;
		raw.on("ready", (_, metadata) => {
			this.#broker = answeringBroker(metadata);
		});
	}

	/** From now on every request ends by `deadline` (monotonic), answered or not. */
	endBy(deadline: number): void {
		this.#deadline = deadline;
	}

	/** Accepts no more requests. Resolves when those under way have ended, after the time of one attempt at the latest. */
	async end(): Promise<void> {
		this.#isEnded = true;
		await Promise.allSettled(this.#underWay);
	}

	/** Committed offsets of the group; null if none. `attempts`: fewer than usual, to give up sooner. */
	async committed(partitions: readonly TopicPartition[], attempts = ATTEMPTS): Promise<StoredOffset[]> {
		const list = partitions.map(({ topic, partition }) => ({ topic, partition }));
		const found = await this.#ask<unknown[]>(
			(timeoutMs, done) => this.#raw.committed(list as RawPartition[], timeoutMs, done as never),
			attempts,
		);
		// A partition that the broker can't answer for has an error instead.
		for (const [index, each] of found.entries()) {
			if (!(each instanceof Error)) continue;
			throw new KafkaError(`${partitionName(list[index] as TopicPartition)}: ${each.message}`, codeOfWords(each.message));
		}
		return (found as TopicPartitionOffset[]).map(({ topic, partition, offset }) => ({ topic, partition, offset: offset ?? null }));
	}

	/** First and next offset of a partition, asked of the broker. */
	async watermarks({ topic, partition }: TopicPartition): Promise<{ low: number; high: number }> {
		const { lowOffset: low, highOffset: high } = await this.#ask<{ lowOffset: number; highOffset: number }>((timeoutMs, done) =>
			this.#raw.queryWatermarkOffsets(topic, partition, timeoutMs, done as never),
		);
		return { low, high };
	}

	async offsetForTime({ topic, partition }: TopicPartition, timestampMs: number): Promise<number | null> {
		const [found] = await this.#ask<TopicPartitionOffset[]>((timeoutMs, done) =>
			this.#raw.offsetsForTimes([{ topic, partition, offset: timestampMs }], timeoutMs, done as never),
		);
		return found?.offset !== undefined && found.offset >= 0 ? found.offset : null;
	}

	/** Names and partition counts of all topics that this user may see. */
	async metadata(): Promise<Map<string, number>> {
		const metadata = await this.#ask<Metadata>((timeout, done) =>
			this.#raw.getMetadata({ allTopics: true, timeout } as never, done as never),
		);
		this.#broker = answeringBroker(metadata);
		return new Map(metadata.topics.map(({ name, partitions }) => [name, partitions.length]));
	}

	/** Asks the broker that gave the last metadata. Holds no pool thread, and ends with the client. */
	topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, LogId>> {
		const ask = async (wanted: readonly string[]) => askTopicIds(this.#asked, wanted, this.#timeoutMs());
		return topicIdsFrom({ ask, metadata: () => this.metadata() }, topics);
	}

	/** What this user may do with a topic; null if nobody can tell. */
	operationsOn(topic: string): Promise<ReadonlySet<Operation> | null> {
		return askOperations(this.#asked, topic, this.#timeoutMs());
	}

	/** The settings of topics, or Kafka's error in their place; null if nobody can tell. */
	topicSettings(topics: readonly string[]): Promise<ReadonlyMap<string, TopicSettings | KafkaError> | null> {
		return askTopicSettings(this.#asked, topics, this.#timeoutMs());
	}

	/** A setting of the broker that gave the last metadata; null if nobody can tell. */
	async brokerSetting(setting: string): Promise<string | null> {
		return askBrokerSetting(this.#asked, setting, this.#timeoutMs());
	}

	/** Who is in a group; null if nobody can tell. */
	group(group: string): Promise<GroupDescription | null> {
		return askGroup(this.#asked, group, this.#timeoutMs());
	}

	/** This client, and the broker that gave the last metadata. */
	get #asked(): AskedClient {
		const { name } = this.#raw as unknown as { readonly name?: string };
		return { name, broker: this.#broker };
	}

	#ask<T>(start: Question<T>, attempts = ATTEMPTS): Promise<T> {
		const asked = this.#attempt(start, attempts);
		this.#underWay.add(asked);
		return asked.finally(() => this.#underWay.delete(asked));
	}

	/** Timeout of one attempt. Throws if no time is left. */
	#timeoutMs(): number {
		const timeoutMs = Math.floor(Math.min(ATTEMPT_MS, this.#deadline - this.#clock.monotonic()));
		if (this.#isEnded || timeoutMs < LEAST_MS) throw new KafkaError("the client is closing", kafkaErrors.state);
		return timeoutMs;
	}

	async #attempt<T>(start: Question<T>, attempts: number): Promise<T> {
		for (let attempt = 1; ; attempt++) {
			const timeoutMs = this.#timeoutMs();
			try {
				return await new Promise<T>((resolve, reject) => {
					start(timeoutMs, (error, result) => (error ? reject(kafkaErrorOf(error)) : resolve(result)));
				});
			} catch (error) {
				const isOver = attempt >= attempts || !(error instanceof KafkaError) || error.kafkaCode !== kafkaErrors.timedOut;
				if (isOver) throw error;
			}
		}
	}
}

/**
 * The broker that gave the metadata. The first answer comes from a bootstrap address, whose broker has no number yet (-1): then it is the
 * broker in the list with that address. -1 if there is none. Then the controller is asked, which fails with an embedded broker: it names a
 * controller that does not exist.
 */
export function answeringBroker({ orig_broker_id, orig_broker_name, brokers }: Metadata): number {
	if (orig_broker_id >= 0) return orig_broker_id;
	// `127.0.0.1:9092/bootstrap`, `ssl://127.0.0.1:9092/bootstrap`
	const address = orig_broker_name.split("/").at(-2);
	return brokers.find(({ host, port }) => `${host}:${port}` === address)?.id ?? -1;
}

/** Converts node-rdkafka's error. */
export function kafkaErrorOf(error: LibrdKafkaError): KafkaError {
	return error instanceof KafkaError ? error : new KafkaError(error.message, error.code ?? -1, { cause: error });
}
