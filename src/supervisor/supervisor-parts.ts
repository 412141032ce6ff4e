/** What a group supervisor needs, and the events it reports: its children, its neighbours, its listener. */

import type { Clock } from "../core/clock.ts";
import type { Suspicion } from "../core/messages/hand-note.ts";
import type { TopicPartition } from "../core/messages/message.ts";
import type { PackedBatch } from "../core/messages/packed-batch.ts";
import type { SkipAnswer } from "../core/messages/skip-outcome.ts";
import type { LogId } from "../core/offsets/log-identity.ts";

/** What the supervisor needs from a child; a PartitionWorker is one. */
export interface Child {
	readonly queue: {
		readonly queued: number;
		readonly handed: number;
		/** The offset after the last message that the handler had or may have had. */
		readonly handedTo: number;
		/** Handed messages that go on by themselves. */
		readonly underway: number;
		readonly bytes: number;
	};
	deliver(batch: PackedBatch): void;
	/** The consumer has read the partition to its end for now; `offset` is the next one that will be written. */
	readToEnd(offset: number): void;
	handlerChanged(): void;
	pause(): void;
	resume(): void;
	restart(): void;
	skip(offset: number, why: string): Promise<SkipAnswer>;
	drain(reason: "shutdown" | "revoked", rowsBlocked: () => boolean): Promise<void>;
	nudge(): void;
	stop(reason: "shutdown" | "revoked"): Promise<void>;
	kill(): Promise<void>;
}

/** What the supervisor needs from the consumer. */
export interface Valve {
	pause(partitions: readonly TopicPartition[]): void;
	resume(partitions: readonly TopicPartition[]): void;
}

/** What the supervisor needs from the offsets; an OffsetLedger is one. */
export interface Offsets {
	assign(partition: TopicPartition, offset: number, committed: number | null, logId: LogId): number;
	release(partition: TopicPartition): void;
	received(partition: TopicPartition, epoch: number, offsets: ArrayLike<number>, lastTimestamp: number): boolean;
	endOfPartition(partition: TopicPartition, offset: number): void;
	acknowledger(partition: TopicPartition, epoch: number): (offset: number) => boolean;
	of(partition: TopicPartition): OffsetsOf | undefined;
}

/** The positions of a partition. */
export interface OffsetsOf {
	readonly logId: LogId;
	readonly position: number;
	readonly committable: number;
	readonly unfinished: number;
}

/** An assigned partition: where it starts in which log, and what the group has committed. */
export interface Assigned extends TopicPartition {
	readonly offset: number;
	readonly committed: number | null;
	readonly logId?: LogId;
	/** Why nothing may be handled until somebody decides; null or absent if it may begin. */
	readonly parked?: ParkedPosition | null;
	/** Why it has to be handled carefully; null or absent if nothing is suspected. */
	readonly suspicion?: Suspicion | null;
}

/** Why a partition may not go on from its position. */
export interface ParkedPosition {
	/** A code for metrics: `out_of_range`, `not_taken`. */
	readonly code: string;
	/** What is wrong, and what can be chosen. */
	readonly message: string;
}

/** A child, and the state of its partition. */
export interface Supervised<AChild> extends TopicPartition {
	readonly child: AChild;
	readonly epoch: number;
	/** Why it began carefully. */
	readonly suspicion: Suspicion | null;
	/** Its queue is full. */
	paused: boolean;
	/** A person paused it. Lasts until a person resumes it, another member has the partition, or this member lost it. */
	pausedByHand: boolean;
	/** Set if it may not go on from its position: new messages are dropped; what it has in hand is finished. */
	parked: (ParkedPosition & { readonly sinceMs: number }) | null;
	/** A check is scheduled whether it may be resumed. */
	resuming: boolean;
	/** Resolves when it may be given away; null while no drain runs. */
	draining: Promise<boolean> | null;
	lastTimestamp: number;
}

/** What a child is created for. `logId`: the log that its messages are from. */
export interface ChildSpec {
	readonly partition: TopicPartition;
	readonly logId: LogId;
	readonly epoch: number;
	/** Why it has to be handled carefully; null if nothing is suspected. */
	readonly suspicion: Suspicion | null;
	readonly finished: (offset: number) => void;
	/** For a child that has nothing in hand and needs more messages: true if no more arrive because its queue is full. */
	readonly isFull: () => boolean;
}

/** One delivery: number of messages, how often a timestamp went back, its end, and its first message's timestamp (ms). */
export interface ReceivedFact {
	readonly count: number;
	readonly bytes: number;
	readonly timestampRegressions: number;
	readonly nextOffset: number;
	readonly firstTimestamp: number;
}

/** Partitions were drained to be given away. */
export interface DrainedFact {
	readonly partitions: readonly TopicPartition[];
	readonly durationMs: number;
	/** The deadline passed before all was finished. */
	readonly timedOut: boolean;
	/** True if everything finished is committed. */
	readonly committed: boolean;
	/**
	 * Messages handed to the handler and not finished: because of its `finishedTo`, because their rows or letters can't be stored, or because
	 * the deadline passed.
	 */
	readonly unfinished: number;
}

/** Events of the supervisor: past facts. */
export interface SupervisorListener {
	received(fact: TopicPartition & ReceivedFact): void;
	/** The log went back below what was received (up to `from`); the partition goes on from `offset`. */
	rewound(fact: TopicPartition & { offset: number; from: number }): void;
	/** The partition is stopped until somebody decides. */
	positionParked(fact: TopicPartition & ParkedPosition): void;
	/** Such a partition goes on from `offset`. */
	positionUnparked?(fact: TopicPartition & { offset: number }): void;
	drained(fact: DrainedFact): void;
}

/** Maximum messages received and not finished, and their bytes. */
export interface QueueLimits {
	readonly maxQueuedMessages: number;
	readonly maxQueuedBytes: number;
}

/** What the supervisor needs. Limits are for the whole daemon; drainTimeoutMs is `drain.timeoutMs`. */
export interface SupervisorParts<AChild extends Child> {
	readonly offsets: Offsets;
	readonly createChild: (spec: ChildSpec) => AChild;
	readonly valve: Valve;
	/** Commits what is finished of these partitions within the given time. False if it could not; never rejects. */
	readonly commit: (partitions: readonly TopicPartition[], timeoutMs: number) => Promise<boolean>;
	/** Decides again about a parked partition: it goes on if nothing else is in its way. */
	readonly decideAgain: (partition: TopicPartition) => void;
	/** True while the database prevents rows from being written: a drain doesn't wait for it. */
	readonly rowsBlocked: (partition: TopicPartition) => boolean;
	readonly clock: Clock;
	readonly limits: QueueLimits & { readonly drainTimeoutMs: number };
	readonly listener: SupervisorListener;
}
