/** What a group supervisor is made of and what it tells: its children, its neighbours, its listener. */

import type { Clock } from "../core/clock.ts";
import type { Suspicion } from "../core/messages/hand-note.ts";
import type { TopicPartition } from "../core/messages/message.ts";
import type { PackedBatch } from "../core/messages/packed-batch.ts";
import type { SkipAnswer } from "../core/messages/skip-outcome.ts";
import type { LogId } from "../core/offsets/log-identity.ts";

/** What the supervisor needs of a child; a PartitionWorker is one. */
export interface Child {
	/** `underway`: of those handed, what comes back by itself. */
	readonly queue: { readonly queued: number; readonly handed: number; readonly underway: number; readonly bytes: number };
	deliver(batch: PackedBatch): void;
	/** The consumer has read the partition to its end, for now; `offset` is the next that will be written. */
	readToEnd(offset: number): void;
	handlerChanged(): void;
	hold(): void;
	resume(): void;
	restart(): void;
	skip(offset: number, why: string): Promise<SkipAnswer>;
	drain(reason: "shutdown" | "revoked", rowsBlocked: () => boolean): Promise<void>;
	nudge(): void;
	stop(reason: "shutdown" | "revoked"): Promise<void>;
	kill(): Promise<void>;
}

/** What the supervisor needs of the consumer. */
export interface Valve {
	pause(partitions: readonly TopicPartition[]): void;
	resume(partitions: readonly TopicPartition[]): void;
}

/** What the supervisor needs of the offsets; an OffsetLedger is one. */
export interface Offsets {
	assign(partition: TopicPartition, offset: number, committed: number | null, logId: LogId): number;
	release(partition: TopicPartition): void;
	received(partition: TopicPartition, epoch: number, offsets: ArrayLike<number>, lastTimestamp: number): boolean;
	endOfPartition(partition: TopicPartition, offset: number): void;
	acknowledger(partition: TopicPartition, epoch: number): (offset: number) => boolean;
	of(partition: TopicPartition): OffsetsOf | undefined;
}

/** Where a partition stands. */
export interface OffsetsOf {
	readonly logId: LogId;
	readonly position: number;
	readonly committable: number;
	readonly unfinished: number;
}

/** A partition that was assigned, where to start in which log, and what the group has committed. */
export interface Assigned extends TopicPartition {
	readonly offset: number;
	readonly committed: number | null;
	readonly logId?: LogId;
	/** Why nothing is to be handled before somebody decides; null or left out where it may begin. */
	readonly parked?: ParkedPosition | null;
	/** Why it has to be careful; null or left out where nothing is suspected. */
	readonly suspicion?: Suspicion | null;
}

/** A partition that may not go on from where it stands. */
export interface ParkedPosition {
	/** A word for metrics: `out_of_range`, `not_taken`. */
	readonly code: string;
	/** What is wrong, and what there is to choose from. */
	readonly message: string;
}

/** A child and what goes with its partition. */
export interface Supervised<AChild> extends TopicPartition {
	readonly child: AChild;
	readonly epoch: number;
	/** Why it began carefully. */
	readonly suspicion: Suspicion | null;
	/** Its queue is full. */
	paused: boolean;
	/** A person paused it; lasts as long as the assignment. */
	held: boolean;
	/** It may not go on from where it stands: what comes is dropped. What it has in hand is finished. */
	parked: (ParkedPosition & { readonly sinceMs: number }) | null;
	/** It will be looked at whether it may be resumed. */
	resuming: boolean;
	/** Resolves when it may be given away; null while nobody wants it. */
	draining: Promise<boolean> | null;
	lastTimestamp: number;
}

/** What a child is made for. `logId`: the log whose messages it gets. */
export interface ChildSpec {
	readonly partition: TopicPartition;
	readonly logId: LogId;
	readonly epoch: number;
	/** Why it has to be careful; null where nothing is suspected. */
	readonly suspicion: Suspicion | null;
	readonly finished: (offset: number) => void;
	/** Asked by a child that has nothing in hand and needs more messages: true where no more come, because its queue is full. */
	readonly isFull: () => boolean;
}

/** One delivery: how much came, how often a timestamp went back, where it ends, and when its first message was made (ms). */
export interface ReceivedFact {
	readonly count: number;
	readonly bytes: number;
	readonly timestampRegressions: number;
	readonly nextOffset: number;
	readonly firstTimestamp: number;
}

/** Partitions are given away. */
export interface DrainedFact {
	readonly partitions: readonly TopicPartition[];
	readonly durationMs: number;
	/** The deadline passed. */
	readonly timedOut: boolean;
	/** What was finished is stored. */
	readonly committed: boolean;
	/**
	 * Messages that were handed to the handler and are not finished: by its `finishedTo`, or their rows or letters can't be stored, or the
	 * deadline passed.
	 */
	readonly unfinished: number;
}

/** Past facts of the supervisor. */
export interface SupervisorListener {
	received(fact: TopicPartition & ReceivedFact): void;
	/** The log went back below what was received (up to `from`); the partition goes on from `offset`. */
	rewound(fact: TopicPartition & { offset: number; from: number }): void;
	/** The partition stands until somebody decides. */
	positionParked(fact: TopicPartition & ParkedPosition): void;
	drained(fact: DrainedFact): void;
}

/** Most messages received and not finished, and their bytes. */
export interface QueueLimits {
	readonly maxQueuedMessages: number;
	readonly maxQueuedBytes: number;
}

/** What the supervisor is made of. Limits are for the whole daemon; drainTimeoutMs is `drain.timeoutMs`. */
export interface SupervisorParts<AChild extends Child> {
	readonly offsets: Offsets;
	readonly createChild: (spec: ChildSpec) => AChild;
	readonly valve: Valve;
	/** Commits what is finished of these partitions, within the time given: false where it couldn't; never rejects. */
	readonly commit: (partitions: readonly TopicPartition[], timeoutMs: number) => Promise<boolean>;
	/** A parked partition may go on, from its position, where nothing else is in its way. */
	readonly decideAgain: (partition: TopicPartition) => void;
	/** True while the database keeps rows from being written: a drain doesn't wait for it. */
	readonly rowsBlocked: (partition: TopicPartition) => boolean;
	readonly clock: Clock;
	readonly limits: QueueLimits & { readonly drainTimeoutMs: number };
	readonly listener: SupervisorListener;
}
