/**
 * What a partition worker needs from the other rooms. The daemon passes the real parts in (as brod passes its workers a commit function);
 * tests and the simulation pass their own.
 */
import type { DeadLetter } from "../core/dead-letters/dead-letter.ts";
import type { TopicPartition } from "../core/messages/message.ts";
import type { PackedBatch } from "../core/messages/packed-batch.ts";
import type { RecordBlock } from "../core/messages/records.ts";
import type { RowBlock, RowFault } from "../core/rows/rows.ts";

/** Rows of one handled batch, and the callbacks that report what became of them. `batch` gives offsets and timestamps by message index. */
export interface RowSubmission extends TopicPartition {
	readonly batch: PackedBatch;
	readonly blocks: readonly RowBlock[];
	/** True once the partition was released: later reports are ignored. */
	readonly released: boolean;
	/** The row is durable, stale, or superseded by a row that is. Called once per row, with its message's index. */
	settled(message: number): void;
	/** The same for several rows, by their messages' indexes. */
	settledAll(messages: ArrayLike<number>): void;
	/** The row can never be written. Called once per row, instead of `settled`. */
	refused(message: number, fault: RowFault): void;
}

/** Where rows go. Takes everything: the caller's queue limits bound what is outstanding. */
export interface RowSink {
	write(submission: RowSubmission): void;
	/** Sends what lingers at once, without waiting for more rows (drain). */
	flush(): void;
}

/** Records of one handled batch, and the callbacks that report what became of them. `batch` gives offsets by message index. */
export interface RecordSubmission extends TopicPartition {
	readonly batch: PackedBatch;
	readonly blocks: readonly RecordBlock[];
	/** When their messages were received; monotonic clock, ms. */
	readonly receivedAtMs: number;
	/** True once the partition was released: records not yet sent are dropped, and later reports are ignored. */
	readonly released: boolean;
	/** The broker acknowledged these records, by their messages' indexes. Called once per record. */
	settledAll(messages: ArrayLike<number>): void;
	/**
	 * The broker will never take the record. Called once per record, instead of `settledAll`. The fault's `sqlstate` is `kafka_` and Kafka's
	 * error code.
	 */
	refused(message: number, fault: RowFault): void;
}

/** Where records go. Takes everything it is given: the caller checks `isFull` first. */
export interface RecordSink {
	produce(submission: RecordSubmission): void;
	/** True while as much as is allowed waits for the broker: hand over no messages until there is room. */
	readonly isFull: boolean;
	/** Calls `listener` once when there is room again, even if the same listener is passed several times. */
	whenRoom(listener: () => void): void;
}

/** For runs that produce nothing: records are checked in the thread and dropped. */
export const noRecords: RecordSink = {
	produce: ({ topic, partition }) => {
		throw new Error(`records of ${topic}/${partition} came where nothing is produced`);
	},
	isFull: false,
	whenRoom: () => {},
};

/** Where dead letters go. */
export interface DeadLetterSink {
	/** Resolves once the letter is durable. While the target is away it keeps trying until `signal` is aborted. */
	store(letter: DeadLetter, signal: AbortSignal): Promise<void>;
}
