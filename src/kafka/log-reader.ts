/**
 * Reads a part of the log without joining a group and without committing: every message between two offsets of each partition, in the
 * partition's order.
 */
import type { EventEmitter } from "eventemitter3";
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import { partitionName, type ReceivedMessage, type TopicPartition } from "../core/messages/message.ts";
import type { LogId } from "../core/offsets/log-identity.ts";
import { unlessAborted } from "../core/waiting/unless-aborted.ts";
import { kafkaClientSettings } from "./client/client-settings.ts";
import { type Consumed, ConsumerClient } from "./client/consumer-client.ts";
import type { GroupClientEvents, StoredOffset } from "./client/group-client.ts";
import { KafkaError, kafkaErrors } from "./client/kafka-error.ts";
import { polledAnswer } from "./client/polled-answer.ts";
import { type ClusterMetadata, connectOrExplain } from "./connecting/connect.ts";
import { POLL_COUNT, POLL_TIMEOUT_MS } from "./polling/message-polls.ts";
import { groupMessages } from "./polling/poll-size.ts";

/** Offsets `from` (included) to `to` (excluded) of a partition. */
export interface LogRange extends TopicPartition {
	readonly from: number;
	readonly to: number;
}

/** What the reader needs from a client. */
export type LogClient = Pick<ConsumerClient, "assign" | "unassign" | "consume" | "watermarks" | "committed" | "topicIds" | "close"> &
	Pick<EventEmitter<GroupClientEvents>, "on">;

const CONNECT_TIMEOUT_MS = 10_000;
/** Maximum time without a record or an answer, whatever errors come meanwhile. A broker restarts in less. */
const SILENCE_MS = 30_000;
/** After this much silence the rest is fetched again, once: librdkafka may have dropped the start of a partition for good. */
const FETCH_AGAIN_MS = 10_000;
const RETRY_MS = 250;
/** Maximum prefetch of a partition; the client's default of 64 MiB is meant for a consumer that keeps up. */
const FETCH_AHEAD_KBYTES = 1_024;
/** Errors that waiting does not help. */
const HOPELESS: readonly number[] = [kafkaErrors.fatal, kafkaErrors.topicAuthorizationFailed, kafkaErrors.groupAuthorizationFailed];

/** Reads a part of the log without a group. */
export class LogReader implements AsyncDisposable {
	readonly #client: LogClient;
	readonly #clock: Clock;
	readonly #signal: AbortSignal;
	readonly metadata: ClusterMetadata;
	/** The client's last error since the last record or answer; null if there was none. */
	#complaint: string | null = null;

	/** `client` must be connected. Once `signal` is aborted, every wait rejects with its reason. */
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

	/** The partition's first offset, and the one that its next message gets. */
	watermarks(partition: TopicPartition): Promise<{ low: number; high: number }> {
		return this.#insist(() => this.#client.watermarks(partition));
	}

	/** Kafka's ids of those of these topics that exist; null if an id can't be known. */
	topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, LogId>> {
		return this.#insist(() => this.#client.topicIds(topics));
	}

	/** Committed offsets of the reader's group; null if nothing is committed. */
	committed(partitions: readonly TopicPartition[]): Promise<StoredOffset[]> {
		return this.#insist(() => polledAnswer(this.#client, this.#client.committed(partitions)));
	}

	/**
	 * Messages by partition, as they arrive; one reading at a time. Messages that retention removes meanwhile are left out. Rejects with
	 * KafkaError if a log goes back, because it is another log then, or if nothing arrives for half a minute, not counting the time that the
	 * caller takes.
	 */
	async *read(ranges: readonly LogRange[]): AsyncGenerator<[TopicPartition, ReceivedMessage[]]> {
		const open = new Map(ranges.filter(({ from, to }) => from < to).map((range) => [partitionName(range), range]));
		if (open.size === 0) return;
		const next = new Map([...open].map(([name, { from }]) => [name, from]));
		const fetchRest = () =>
			this.#client.assign(
				[...open].map(([name, { topic, partition }]) => ({ topic, partition, offset: next.get(name) as number })),
				false,
			);
		fetchRest();
		let isFetchedAgain = false;
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
				isFetchedAgain = false;
				this.#complaint = null;
			}
			for (const end of ends) {
				const range = open.get(partitionName(end));
				if (range && end.offset >= range.to) this.#finish(open, range);
			}
			const silentMs = this.#clock.monotonic() - heardAt;
			if (silentMs > SILENCE_MS) throw this.#silence([...open.values()]);
			if (silentMs <= FETCH_AGAIN_MS || isFetchedAgain || open.size === 0) continue;
			isFetchedAgain = true;
			fetchRest();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#client.close();
	}

	/** Polls once. Returns nothing if the client fails; it tries again by itself. */
	async #poll(): Promise<Consumed> {
		try {
			return await this.#client.consume(POLL_COUNT, POLL_TIMEOUT_MS);
		} catch (error) {
			// Reading needs no right to the group, which is only a name here.
			const isOfGroup = error instanceof KafkaError && error.kafkaCode === kafkaErrors.groupAuthorizationFailed;
			this.#complaint = isOfGroup ? error.message : complaintOf(error);
			await this.#clock.sleep(RETRY_MS, this.#signal);
			return { messages: [], ends: [] };
		}
	}

	/** Repeats a request until there is an answer, for half a minute at most. */
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

	/**
	 * Unassigns the partition instead of pausing it. librdkafka keeps a pause beyond the assignment, and a resume together with the next
	 * assignment may lose its start.
	 */
	#finish(open: Map<string, LogRange>, range: LogRange): void {
		open.delete(partitionName(range));
		this.#client.unassign([range], true);
	}

	#silence(left: readonly LogRange[]): KafkaError {
		const [first] = left as [LogRange];
		const last = this.#complaint === null ? "" : `; the last error: ${this.#complaint}`;
		return new KafkaError(`${partitionName(first)} can't be read up to offset ${first.to}: nothing came for ${SILENCE_MS} ms${last}`, -1);
	}
}

/** The error for a log that went back: further messages would be of another log. */
function wentBack(partition: TopicPartition, offset: number): KafkaError {
	return new KafkaError(
		`${partitionName(partition)} went back to offset ${offset} while it was read: the topic was made again, or lost its end`,
		-1,
	);
}

/** The words of an error that may pass; throws an error that will not. */
function complaintOf(error: unknown): string {
	if (!(error instanceof KafkaError) || HOPELESS.includes(error.kafkaCode)) throw error;
	return error.message;
}
