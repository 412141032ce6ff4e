/**
 * Reads a piece of the log as it is, without joining a group and without committing: every message between two offsets of each partition,
 * in the partition's order.
 */
import type { EventEmitter } from "eventemitter3";
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import { partitionName, type ReceivedMessage, type TopicPartition } from "../core/messages/message.ts";
import type { LogId } from "../core/offsets/log-identity.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import { kafkaClientSettings } from "./client/client-settings.ts";
import { type ClusterMetadata, connectOrExplain } from "./client/connect.ts";
import { type Consumed, ConsumerClient } from "./client/consumer-client.ts";
import type { GroupClientEvents, StoredOffset } from "./client/group-client.ts";
import { KafkaError, kafkaErrors } from "./client/kafka-error.ts";
import { polledAnswer } from "./client/polled-answer.ts";
import { POLL_COUNT, POLL_TIMEOUT_MS } from "./polling/message-polls.ts";
import { groupMessages } from "./polling/poll-size.ts";

/** Offsets `from` (included) to `to` (excluded) of a partition. */
export interface LogRange extends TopicPartition {
	readonly from: number;
	readonly to: number;
}

/** What the reader needs of a client. */
export type LogClient = Pick<
	ConsumerClient,
	"assign" | "pause" | "resume" | "consume" | "watermarks" | "committed" | "topicIds" | "close"
> &
	Pick<EventEmitter<GroupClientEvents>, "on">;

const CONNECT_TIMEOUT_MS = 10_000;
/** No record or answer for so long, whatever the errors meanwhile, and it can't be had: a broker takes less to start again. */
const SILENCE_MS = 30_000;
const RETRY_MS = 250;
/** Of each partition at most so much is fetched ahead; the client's default of 64 MiB is meant for one that keeps up. */
const FETCH_AHEAD_KBYTES = 1_024;
/** Errors that time doesn't mend. */
const HOPELESS: readonly number[] = [kafkaErrors.fatal, kafkaErrors.topicAuthorizationFailed, kafkaErrors.groupAuthorizationFailed];

/** Reads a part of the log without a group. */
export class LogReader implements AsyncDisposable {
	readonly #client: LogClient;
	readonly #clock: Clock;
	readonly #signal: AbortSignal;
	readonly metadata: ClusterMetadata;
	/** What the client last complained about since something was heard. */
	#complaint: string | null = null;

	/** Over a client that is connected. Where `signal` is aborted every wait rejects with its reason. */
	constructor(client: LogClient, metadata: ClusterMetadata, clock: Clock, signal: AbortSignal) {
		this.#client = client;
		this.#clock = clock;
		this.#signal = signal;
		this.metadata = metadata;
		client.on("broker:error", ({ message }) => {
			this.#complaint = message;
		});
	}

	/** Connects; `group` is only a name for quotas and access rights. Rejects with `kafka_connect`, or the signal's reason. */
	static async connect(kafka: Config["kafka"], clock: Clock, group: string, signal: AbortSignal): Promise<LogReader> {
		const settings = {
			...kafkaClientSettings(kafka),
			"group.id": group,
			"enable.auto.commit": false,
			"enable.auto.offset.store": false,
			"enable.partition.eof": true,
			"fetch.wait.max.ms": 100,
			"fetch.queue.backoff.ms": 5,
			"queued.max.messages.kbytes": FETCH_AHEAD_KBYTES,
		};
		const client = new ConsumerClient(settings, { "auto.offset.reset": "earliest" }, clock, kafka.timestampType || "undefined");
		try {
			const metadata = await unlessAborted(connectOrExplain(client.raw, kafka, CONNECT_TIMEOUT_MS), signal);
			return new LogReader(client, metadata, clock, signal);
		} catch (error) {
			void client.close();
			throw error;
		}
	}

	/** First and next offset of a partition. */
	watermarks(partition: TopicPartition): Promise<{ low: number; high: number }> {
		return this.#insist(() => this.#client.watermarks(partition));
	}

	/** Kafka's ids of those of these topics that exist; null where an id can't be known. */
	topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, LogId>> {
		return this.#insist(() => this.#client.topicIds(topics));
	}

	/** What the reader's own group has committed; null where nothing is. */
	committed(partitions: readonly TopicPartition[]): Promise<StoredOffset[]> {
		return this.#insist(() => polledAnswer(this.#client, this.#client.committed(partitions)));
	}

	/**
	 * Messages by partition as they come; one reading at a time. What retention takes away meanwhile is left out. Rejects with KafkaError
	 * where a log goes back, for it is another one by then, or where nothing comes for half a minute; the time that the caller takes with
	 * what came doesn't count.
	 */
	async *read(ranges: readonly LogRange[]): AsyncGenerator<[TopicPartition, ReceivedMessage[]]> {
		const open = new Map(ranges.filter(({ from, to }) => from < to).map((range) => [partitionName(range), range]));
		if (open.size === 0) return;
		const next = new Map([...open].map(([name, { from }]) => [name, from]));
		this.#client.assign(
			[...open.values()].map(({ topic, partition, from }) => ({ topic, partition, offset: from })),
			false,
		);
		// A pause outlives the assignment.
		this.#client.resume([...open.values()]);
		for (let heardAt = this.#clock.monotonic(); open.size > 0; ) {
			this.#signal.throwIfAborted();
			const { messages, ends } = await this.#poll();
			for (const [partition, group] of groupMessages(messages)) {
				const range = open.get(partitionName(partition));
				if (!range) continue;
				const [first, last] = [group[0], group.at(-1)] as [ReceivedMessage, ReceivedMessage];
				if (first.offset < (next.get(partitionName(partition)) as number)) throw wentBack(partition, first.offset);
				next.set(partitionName(partition), last.offset + 1);
				const wanted = group.filter(({ offset }) => offset < range.to);
				if (wanted.length > 0) yield [partition, wanted];
				if (last.offset + 1 >= range.to) this.#finish(open, range);
				heardAt = this.#clock.monotonic();
				this.#complaint = null;
			}
			for (const end of ends) {
				const range = open.get(partitionName(end));
				if (range && end.offset >= range.to) this.#finish(open, range);
			}
			if (this.#clock.monotonic() - heardAt > SILENCE_MS) throw this.#silence([...open.values()]);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#client.close();
	}

	/** What there is; nothing where the client fails, which tries again by itself. */
	async #poll(): Promise<Consumed> {
		try {
			return await this.#client.consume(POLL_COUNT, POLL_TIMEOUT_MS);
		} catch (error) {
			// To read takes no right to the group, which is only a name.
			const isOfGroup = error instanceof KafkaError && error.kafkaCode === kafkaErrors.groupAuthorizationFailed;
			this.#complaint = isOfGroup ? error.message : complaintOf(error);
			await this.#clock.sleep(RETRY_MS, this.#signal);
			return { messages: [], ends: [] };
		}
	}

	/** Asks until there is an answer, for half a minute. */
	async #insist<T>(ask: () => Promise<T>): Promise<T> {
		for (const startedAt = this.#clock.monotonic(); ; ) {
			try {
				return await unlessAborted(ask(), this.#signal);
			} catch (error) {
				complaintOf(error);
				if (this.#clock.monotonic() - startedAt > SILENCE_MS) throw error;
				await this.#clock.sleep(RETRY_MS, this.#signal);
			}
		}
	}

	#finish(open: Map<string, LogRange>, range: LogRange): void {
		open.delete(partitionName(range));
		this.#client.pause([range]);
	}

	#silence(left: readonly LogRange[]): KafkaError {
		const [first] = left as [LogRange];
		const last = this.#complaint === null ? "" : `; the last error: ${this.#complaint}`;
		return new KafkaError(`${partitionName(first)} can't be read up to offset ${first.to}: nothing came for ${SILENCE_MS} ms${last}`, -1);
	}
}

/** What comes from here on is not what was asked for. */
function wentBack(partition: TopicPartition, offset: number): KafkaError {
	return new KafkaError(
		`${partitionName(partition)} went back to offset ${offset} while it was read: the topic was made again, or lost its end`,
		-1,
	);
}

/** The words of an error that may pass; throws what will not. */
function complaintOf(error: unknown): string {
	if (!(error instanceof KafkaError) || HOPELESS.includes(error.kafkaCode)) throw error;
	return error.message;
}
