/**
 * What a partition worker needs of the rest of the house; the daemon hands the real parts in (brod hands its workers a commit
 * function in the same way), the tests and the simulation their own.
 */
import type { DeadLetter } from "../core/dead-letters/dead-letter.ts";
import type { TopicPartition } from "../core/messages/message.ts";
import type { PackedBatch } from "../core/messages/packed-batch.ts";
import type { RecordBlock } from "../core/messages/records.ts";
import type { RowBlock, RowFault } from "../core/rows/rows.ts";

/** Rows of one handled batch, and the way back for their fate. `batch` gives offsets and timestamps by message index. */
export interface RowSubmission extends TopicPartition {
	readonly batch: PackedBatch;
	readonly blocks: readonly RowBlock[];
	/** True once the partition was released: nothing that is told from here on counts. */
	readonly released: boolean;
	/** The row is durable, stale, or coalesced behind a survivor that is. Called once per row. `message` is its message's index. */
	settled(message: number): void;
	/** The same of several rows, by their messages. */
	settledAll(messages: ArrayLike<number>): void;
	/** The row can't be written, now or ever. Called instead of settled, once per row. */
	refused(message: number, fault: RowFault): void;
}

/** Where rows go. Never refuses work: the caller's queue limits bound what is outstanding. */
export interface RowSink {
	write(submission: RowSubmission): void;
	/** Cuts what lingers now, without waiting for more rows (drain). */
	flush(): void;
}

/** Records of one handled batch, and the way back for their fate. `batch` gives offsets by message index. */
export interface RecordSubmission extends TopicPartition {
	readonly batch: PackedBatch;
	readonly blocks: readonly RecordBlock[];
	/** When their messages were received, by the monotonic clock. */
	readonly receivedAtMs: number;
	/** True once the partition was released: what was not sent by then is not sent any more, and nothing that is told counts. */
	readonly released: boolean;
	/** The broker has these, by their messages. Called once per record. */
	settledAll(messages: ArrayLike<number>): void;
	/** The broker never takes it. Called instead, once per record; `sqlstate` is `kafka_` and its code. */
	refused(message: number, fault: RowFault): void;
}

/** Where records go. Takes all that it is given: who gives looks whether it is full. */
export interface RecordSink {
	produce(submission: RecordSubmission): void;
	/** As much waits for the broker as may: whoever produces hands over nothing until there is room. */
	readonly isFull: boolean;
	/** Called once, when there is room again, also where it is handed in more than once. */
	whenRoom(listener: () => void): void;
}

/** Where nothing is produced: records are checked in the thread, and not kept. */
export const noRecords: RecordSink = {
	produce: ({ topic, partition }) => {
		throw new Error(`records of ${topic}/${partition} came where nothing is produced`);
	},
	isFull: false,
	whenRoom: () => {},
};

/** Where dead letters go. */
export interface DeadLetterSink {
	/** Resolves once the letter is durable; while the target is away it waits and tries again, until `signal` is aborted. */
	store(letter: DeadLetter, signal: AbortSignal): Promise<void>;
}
