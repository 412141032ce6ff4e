/**
 * What a node-rdkafka consumer is asked: each question holds a thread of the pool until its answer or its timeout, a close waits for it, and
 * so does the end of the process. So it is asked again and again for a short time each, until the whole time is over or the client ends.
 */
import type {
	LibrdKafkaError,
	Metadata,
	KafkaConsumer as RawConsumer,
	TopicPartition as RawPartition,
	TopicPartitionOffset,
} from "node-rdkafka";
import type { Clock } from "../core/clock.ts";
import { partitionName, type TopicPartition } from "../core/message.ts";
import { codeOfWords } from "./error-words.ts";
import type { StoredOffset } from "./group-client.ts";
import { KafkaError, kafkaErrors } from "./kafka-error.ts";

/** A slow network's round trip, and some. */
const ATTEMPT_MS = 2_000;
const ATTEMPTS = 5;
/** node-rdkafka takes no shorter timeout for all of them. */
const LEAST_MS = 10;

type Question<T> = (timeoutMs: number, done: (error: LibrdKafkaError | null | undefined, result: T) => void) => void;

/** See the file's header. Promises reject with KafkaError. */
export class ClientQueries {
	readonly #raw: RawConsumer;
	readonly #underWay = new Set<Promise<unknown>>();
	readonly #clock: Clock;
	#isEnded = false;
	#deadline = Number.POSITIVE_INFINITY;

	constructor(raw: RawConsumer, clock: Clock) {
		this.#raw = raw;
		this.#clock = clock;
	}

	/** What is asked from here on is over by then (monotonic), answered or not. */
	endBy(deadline: number): void {
		this.#deadline = deadline;
	}

	/** No more questions; resolves when those under way have ended, after one attempt's time at the latest. */
	async end(): Promise<void> {
		this.#isEnded = true;
		await Promise.allSettled(this.#underWay);
	}

	/** Committed offsets of the group; null where none is. With `attempts` fewer than usual it gives up sooner. */
	async committed(partitions: readonly TopicPartition[], attempts = ATTEMPTS): Promise<StoredOffset[]> {
		const list = partitions.map(({ topic, partition }) => ({ topic, partition }));
		const found = await this.#ask<unknown[]>(
			(timeoutMs, done) => this.#raw.committed(list as RawPartition[], timeoutMs, done as never),
			attempts,
		);
		// Of a partition that can't be told there is an error in its place.
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

	/** Names and partition counts of all topics that may be seen, and the broker that said so. */
	async metadata(): Promise<{ topics: Map<string, number>; broker: number }> {
		const { topics, orig_broker_id: broker } = await this.#ask<Metadata>((timeout, done) =>
			this.#raw.getMetadata({ allTopics: true, timeout } as never, done as never),
		);
		return { topics: new Map(topics.map(({ name, partitions }) => [name, partitions.length])), broker };
	}

	#ask<T>(start: Question<T>, attempts = ATTEMPTS): Promise<T> {
		const asked = this.#attempt(start, attempts);
		this.#underWay.add(asked);
		return asked.finally(() => this.#underWay.delete(asked));
	}

	async #attempt<T>(start: Question<T>, attempts: number): Promise<T> {
		for (let attempt = 1; ; attempt++) {
			const timeoutMs = Math.floor(Math.min(ATTEMPT_MS, this.#deadline - this.#clock.monotonic()));
			if (this.#isEnded || timeoutMs < LEAST_MS) throw new KafkaError("the client is closing", kafkaErrors.state);
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

/** node-rdkafka's error as ours. */
export function kafkaErrorOf(error: LibrdKafkaError): KafkaError {
	return error instanceof KafkaError ? error : new KafkaError(error.message, error.code ?? -1, { cause: error });
}
