/**
 * Reads a piece of the log as it is, without joining a group and without committing: every message between two offsets of each partition,
 * in the partition's order.
 */
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import { partitionName, type ReceivedMessage, type TopicPartition } from "../core/message.ts";
import { kafkaClientSettings } from "./client-settings.ts";
import { type ClusterMetadata, connectOrExplain } from "./connect.ts";
import { ConsumerClient } from "./consumer-client.ts";
import { KafkaError } from "./kafka-error.ts";
import { groupMessages } from "./poll-size.ts";

/** Offsets `from` (included) to `to` (excluded) of a partition. */
export interface LogRange extends TopicPartition {
	readonly from: number;
	readonly to: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** No record for so long, and the rest can't be read. */
const SILENCE_MS = 30_000;
const POLL = { count: 1_000, timeoutMs: 50 };

/** See the file's header. */
export class LogReader implements AsyncDisposable {
	readonly #client: ConsumerClient;
	readonly #clock: Clock;
	readonly metadata: ClusterMetadata;
	readonly #ends: (TopicPartition & { readonly offset: number })[] = [];

	private constructor(client: ConsumerClient, metadata: ClusterMetadata, clock: Clock) {
		this.#client = client;
		this.#clock = clock;
		this.metadata = metadata;
		client.on("endOfPartition", (end) => this.#ends.push(end));
	}

	/** Connects; `group` is only a name for quotas and access rights. Rejects with `kafka_connect`. */
	static async connect(kafka: Config["kafka"], clock: Clock, group: string): Promise<LogReader> {
		const settings = {
			...kafkaClientSettings(kafka),
			"group.id": group,
			"enable.auto.commit": false,
			"enable.auto.offset.store": false,
			"enable.partition.eof": true,
			"fetch.wait.max.ms": 100,
			"fetch.queue.backoff.ms": 5,
		};
		const client = new ConsumerClient(settings, { "auto.offset.reset": "earliest" }, clock);
		try {
			return new LogReader(client, await connectOrExplain(client.raw, kafka, CONNECT_TIMEOUT_MS), clock);
		} catch (error) {
			void client.close();
			throw error;
		}
	}

	/** First and next offset of a partition. */
	watermarks(partition: TopicPartition): Promise<{ low: number; high: number }> {
		return this.#client.watermarks(partition);
	}

	/** What the reader's own group has committed; null where nothing is. */
	committed(partitions: readonly TopicPartition[]): Promise<(TopicPartition & { readonly offset: number | null })[]> {
		return this.#client.committed(partitions);
	}

	/**
	 * Messages by partition as they come; one reading at a time. What retention takes away meanwhile is left out. Rejects with KafkaError
	 * where nothing comes for half a minute.
	 */
	async *read(ranges: readonly LogRange[]): AsyncGenerator<[TopicPartition, ReceivedMessage[]]> {
		const open = new Map(ranges.filter(({ from, to }) => from < to).map((range) => [partitionName(range), range]));
		if (open.size === 0) return;
		this.#ends.length = 0;
		this.#client.assign(
			[...open.values()].map(({ topic, partition, from }) => ({ topic, partition, offset: from })),
			false,
		);
		for (let heardAt = this.#clock.monotonic(); open.size > 0; ) {
			const messages = await this.#client.consume(POLL.count, POLL.timeoutMs);
			for (const [partition, group] of groupMessages(messages)) {
				const name = partitionName(partition);
				const range = open.get(name);
				if (!range) continue;
				heardAt = this.#clock.monotonic();
				const wanted = group.filter(({ offset }) => offset < range.to);
				if (wanted.length > 0) yield [partition, wanted];
				if ((group.at(-1) as ReceivedMessage).offset + 1 >= range.to) this.#finish(open, range);
			}
			for (const end of this.#ends.splice(0)) {
				const range = open.get(partitionName(end));
				if (range && end.offset >= range.to) this.#finish(open, range);
			}
			if (this.#clock.monotonic() - heardAt > SILENCE_MS) throw silence([...open.values()]);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#client.close();
	}

	#finish(open: Map<string, LogRange>, range: LogRange): void {
		open.delete(partitionName(range));
		this.#client.pause([range]);
	}
}

function silence(left: readonly LogRange[]): KafkaError {
	const [first] = left as [LogRange];
	return new KafkaError(`${partitionName(first)} can't be read up to offset ${first.to}: nothing came for ${SILENCE_MS} ms`, -1);
}
