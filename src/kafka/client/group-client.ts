/** What the group consumer needs of a Kafka client. ConsumerClient is the real one; the simulation brings its own. */
import type { EventEmitter } from "eventemitter3";
import type { TopicPartition, TopicPartitionOffset } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import type { LogId, LogIdentity, Witness } from "../../core/offsets/log-identity.ts";
import type { KafkaError } from "./kafka-error.ts";

/** What the client says by itself. Codes are librdkafka's; -1 where it gives none. */
export interface GroupClientEvents {
	rebalance: (fact: { code: number; partitions: TopicPartition[] }) => void;
	/** `cause`: what is to be mended, where the broker was found and refused, or is not to be trusted. */
	"broker:error": (fact: { message: string; code: number; cause?: string | null }) => void;
	/** No answer of the coordinator for a session: the client revokes what it has, as if it had been told to, and joins anew. */
	"session:lost": (fact: { message: string }) => void;
	/** It did not poll for longer than `max.poll.interval.ms`, and left the group by itself. */
	"poll:late": () => void;
	/**
	 * It gave itself up, for this reason, and can do no more: told once, whichever way it shows (a poll, a commit, its log). What it had is
	 * lost: it neither commits nor keeps the group's answer.
	 */
	fatal: (fact: { message: string; code: number }) => void;
	stats: (fact: { json: string }) => void;
}

/** What one poll brought. */
export interface Polled {
	/** Messages by partition, each partition's in the order of its log. */
	readonly batches: readonly PolledBatch[];
	/** Partitions of which messages were taken from the client and are gone: they have to be fetched again. */
	readonly notTaken: readonly NotTaken[];
	/** Where partitions were read to their end, with the next offset that will be written; messages of the same poll may lie behind it. */
	readonly ends: readonly TopicPartitionOffset[];
	/** What went wrong meanwhile. */
	readonly errors: readonly KafkaError[];
}

/** Messages of one partition. */
export interface PolledBatch extends TopicPartition {
	readonly batch: PackedBatch;
}

/** A partition whose messages came and could not be handed on. */
export interface NotTaken extends TopicPartition {
	readonly reason: string;
}

/** A partition and the offset stored for it; null where none is. */
export interface StoredOffset extends TopicPartition {
	readonly offset: number | null;
	/** The log that it is an offset of, where the store knows. */
	readonly log?: LogIdentity;
}

/** How a client is closed. */
export interface CloseOptions {
	/** Longest wait. */
	readonly withinMs?: number;
	/** Not closed, and false, where the coordinator doesn't answer in that time: a close would hang until it does. */
	readonly onlyIfAnswered?: boolean;
}

/** A Kafka client as the group consumer needs it. Promises reject with KafkaError. */
export interface GroupClient extends EventEmitter<GroupClientEvents> {
	connect(timeoutMs: number): Promise<void>;
	subscribe(topics: readonly string[]): void;
	/** Gives the subscription up: what is assigned is revoked, and the member leaves, also a static one. */
	unsubscribe(): void;
	/** Waits up to `timeoutMs` for something, and brings what is there by then, up to `count` messages. One at a time. */
	poll(count: number, timeoutMs: number): Promise<Polled>;
	assign(partitions: readonly TopicPartitionOffset[], incremental: boolean): void;
	unassign(partitions: readonly TopicPartition[], incremental: boolean): void;
	/**
	 * A partition of an incremental assignment goes on at this offset, also one that is not fetched any more because its position was outside
	 * the log. What was polled before may still come.
	 */
	seek(position: TopicPartitionOffset): void;
	pause(partitions: readonly TopicPartition[]): void;
	resume(partitions: readonly TopicPartition[]): void;
	commit(offsets: readonly TopicPartitionOffset[]): Promise<void>;
	committed(partitions: readonly TopicPartition[]): Promise<StoredOffset[]>;
	watermarks(partition: TopicPartition): Promise<{ low: number; high: number }>;
	cachedHighWatermark(partition: TopicPartition): number | null;
	offsetForTime(partition: TopicPartition, timestampMs: number): Promise<number | null>;
	/** Kafka's ids of those of these topics that exist; null where an id can't be known. */
	topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, LogId>>;
	/** The first record at or behind this offset, read apart from what is assigned; null where there is none. */
	recordAt(position: TopicPartitionOffset): Promise<Witness | null>;
	metadata(): Promise<Map<string, number>>;
	/** Questions that are asked from here on are over by then (monotonic), answered or not: the end of the process waits for them. */
	endQueriesBy(deadline: number): void;
	/** True while a close is under way, and the process can't end by itself before it is over. */
	readonly hangs: boolean;
	/** True when the client closed in time. */
	close(options?: CloseOptions): Promise<boolean>;
}
