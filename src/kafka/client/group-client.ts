/** What the group consumer needs from a Kafka client. ConsumerClient is the real one; the simulation has its own. */
import type { EventEmitter } from "eventemitter3";
import type { TopicPartition, TopicPartitionOffset } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import type { LogId, LogIdentity, Witness } from "../../core/offsets/log-identity.ts";
import type { KafkaError } from "./kafka-error.ts";

/** Events of the client. Codes are librdkafka's; -1 if there is none. */
export interface GroupClientEvents {
	rebalance: (fact: { code: number; partitions: TopicPartition[] }) => void;
	/** `cause`: what to correct, if the broker was found and refused the client, or is not trusted. */
	"broker:error": (fact: { message: string; code: number; cause?: string | null }) => void;
	/** The coordinator did not answer for a session: the client revokes its partitions, as if told to, and joins again. */
	"session:lost": (fact: { message: string }) => void;
	/** It did not poll for longer than `max.poll.interval.ms`, and left the group. */
	"poll:late": () => void;
	/**
	 * The client gave up for good, for this reason. Emitted once, whichever way it shows (a poll, a commit, its log). Its partitions are
	 * lost: it neither commits nor answers the group.
	 */
	fatal: (fact: { message: string; code: number }) => void;
	stats: (fact: { json: string }) => void;
}

/** The result of one poll. */
export interface Polled {
	/** Messages by partition, each in the order of its log. */
	readonly batches: readonly PolledBatch[];
	/** Partitions whose messages were taken from the client and lost: they have to be fetched again. */
	readonly notTaken: readonly NotTaken[];
	/**
	 * Partitions that were read to their end, with the next offset that will be written. Messages of the same poll may come after that end.
	 */
	readonly ends: readonly TopicPartitionOffset[];
	/** Errors of the poll. */
	readonly errors: readonly KafkaError[];
}

/** Messages of one partition. */
export interface PolledBatch extends TopicPartition {
	readonly batch: PackedBatch;
}

/** A partition whose messages arrived and could not be delivered. */
export interface NotTaken extends TopicPartition {
	readonly reason: string;
}

/** A partition and its stored offset; null if there is none. */
export interface StoredOffset extends TopicPartition {
	readonly offset: number | null;
	/** The log that the offset belongs to, if the store knows. */
	readonly log?: LogIdentity;
}

/** Options of a close. */
export interface CloseOptions {
	/** Maximum wait. */
	readonly withinMs?: number;
	/**
	 * True: if the coordinator doesn't answer in time, the client is not closed and the result is false. A close would hang until it does.
	 */
	readonly onlyIfAnswered?: boolean;
}

/** A Kafka client, as the group consumer needs it. Promises reject with KafkaError. */
export interface GroupClient extends EventEmitter<GroupClientEvents> {
	connect(timeoutMs: number): Promise<void>;
	subscribe(topics: readonly string[]): void;
	/** Ends the subscription: the partitions are revoked, and the member leaves, even a static one. */
	unsubscribe(): void;
	/** Waits up to `timeoutMs` for something, and returns what has arrived, up to `count` messages. One poll at a time. */
	poll(count: number, timeoutMs: number): Promise<Polled>;
	/** Ends the wait of a poll under way; it brings what it has. Without the addon the poll waits for its time. */
	wake(): void;
	assign(partitions: readonly TopicPartitionOffset[], incremental: boolean): void;
	unassign(partitions: readonly TopicPartition[], incremental: boolean): void;
	/**
	 * Moves a partition of an incremental assignment to this offset, also one that is no longer fetched because its position was outside the
	 * log. Messages polled before may still arrive.
	 */
	seek(position: TopicPartitionOffset): void;
	pause(partitions: readonly TopicPartition[]): void;
	resume(partitions: readonly TopicPartition[]): void;
	commit(offsets: readonly TopicPartitionOffset[]): Promise<void>;
	committed(partitions: readonly TopicPartition[]): Promise<StoredOffset[]>;
	watermarks(partition: TopicPartition): Promise<{ low: number; high: number }>;
	cachedHighWatermark(partition: TopicPartition): number | null;
	offsetForTime(partition: TopicPartition, timestampMs: number): Promise<number | null>;
	/** Kafka's ids of those of these topics that exist; null if an id can't be known. */
	topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, LogId>>;
	/** The first record at or after this offset, read without disturbing the assignment; null if there is none. */
	recordAt(position: TopicPartitionOffset): Promise<Witness | null>;
	metadata(): Promise<Map<string, number>>;
	/** A setting of the broker that gave the last metadata; null if nobody can tell. Rejects without the right to see it. */
	brokerSetting(setting: string): Promise<string | null>;
	/** From now on every request ends by `deadline` (monotonic), answered or not: the end of the process waits for them. */
	endQueriesBy(deadline: number): void;
	/** True while a close is under way, and the process can't end by itself before it is over. */
	readonly hangs: boolean;
	/** Closes the client; true if it closed in time. */
	close(options?: CloseOptions): Promise<boolean>;
}
