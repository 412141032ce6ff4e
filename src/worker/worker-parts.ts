/** What a partition worker is made of and what it tells: its settings, its listener, its states. */
import type { Clock } from "../core/clock.ts";
import type { DeadLetter } from "../core/dead-letters/dead-letter.ts";
import type { TopicPartition } from "../core/messages/message.ts";
import type { LogId } from "../core/offsets/log-identity.ts";
import type { Random } from "../core/random.ts";
import type { Turn } from "../core/turn.ts";
import type { HandNotes } from "./failures/careful-hand.ts";
import type { CrashReport } from "./failures/crash-report.ts";
import type { BreakerLimits } from "./outcomes/breaker.ts";
import type { DeadLetterSink, RecordSink, RowSink } from "./ports.ts";
import type { BatchOutcome, HandlerFailure, ThreadLease } from "./thread/handler-thread.ts";

/** The settings a worker lives by: `handler` and `supervisor` of the configuration. Times in ms. */
export interface WorkerSettings {
	readonly timeoutMs: number;
	readonly maxAttempts: number;
	readonly retryBackoffMs: number;
	readonly maxRetryBackoffMs: number;
	/** `handler.module`, for what is said. */
	readonly module: string;
	/** `handler.version`; empty: the hash of the files that were loaded. */
	readonly version: string;
	readonly onPoison: "dead-letter" | "park" | "skip" | "stop";
	readonly onExceeded: "park" | "stop";
	readonly minBackoffMs: number;
	readonly maxBackoffMs: number;
	/** Tables guarded by the timestamp, with their `maxFutureMs`. */
	readonly futureLimits: ReadonlyMap<string, number>;
	/** Tables whose rows of one message are refused together. */
	readonly atomic: ReadonlySet<string>;
	/** `handler.dropRepeats`; default: false. */
	readonly dropRepeats?: boolean;
	/** `deadLetters.breaker`. */
	readonly breaker: BreakerLimits;
}

/** Counts restarts and failures; the worker asks it whether to go on. */
export interface Intensity {
	readonly failuresInARow: number;
	restarted(nowMs: number): boolean;
	failed(): void;
	progressed(): void;
	reset(): void;
}

/** Past facts of a worker, told per run and never per message. */
export interface WorkerListener {
	started(partition: TopicPartition): void;
	handled(partition: TopicPartition, outcome: BatchOutcome): void;
	crashed(report: CrashReport): void;
	/** A thread was replaced; the value of `worker_restarts_total{reason}`. */
	restarted(partition: TopicPartition, reason: RestartReason): void;
	/** The handler's terminate threw or took too long. What it ended goes on or ends all the same. */
	terminateFailed(partition: TopicPartition, failure: HandlerFailure): void;
	/** Its thread holds so many MiB, garbage aside, and is replaced. */
	heldTooMuch(partition: TopicPartition, heldMb: number): void;
	/** It hands over carefully, because the process died before; told with the first message. */
	carefulBegan(partition: TopicPartition, why: string): void;
	/** Nobody is suspected any more. */
	carefulEnded(partition: TopicPartition): void;
	parked(partition: TopicPartition, reason: ParkReason): void;
	resumed(partition: TopicPartition): void;
	deadLettered(letter: DeadLetter): void;
	/** A message was passed over: `why`, where a person wanted it; null: handler.onPoison says so. */
	skipped(partition: TopicPartition, offset: number, why: string | null): void;
	/** So many messages were produced again, and are finished by that. */
	repeated?(partition: TopicPartition, count: number): void;
	/** Policy says that the daemon has to stop: drain the others, leave the group, exit 3. */
	stopRequested(partition: TopicPartition, reason: ParkReason): void;
}

/**
 * Why a thread was replaced. `shared`: it ended at another partition that it is shared with. `last_attempt`: earlier messages may have put
 * it out of order.
 */
export type RestartReason =
	| "load"
	| "init"
	| "exception"
	| "exit"
	| "out_of_memory"
	| "timeout"
	| "shared"
	| "last_attempt"
	| "file_changed"
	| "admin";

/** What a worker is made of. */
export interface WorkerParts {
	readonly partition: TopicPartition;
	/** The log whose messages it gets: Kafka's id of the topic, null where it is not known. */
	readonly logId: LogId;
	readonly settings: WorkerSettings;
	readonly threads: ThreadLease;
	readonly rows: RowSink;
	readonly records: RecordSink;
	readonly deadLetters: DeadLetterSink;
	readonly intensity: Intensity;
	/** Where it has to be careful, because the process died before; null or left out where nothing is suspected. */
	readonly hand?: HandNotes | null;
	/**
	 * The same for all partitions of the process: who is suspected of having ended it is alone, and a module or an init may end it too.
	 */
	readonly turn: Turn;
	readonly clock: Clock;
	readonly random: Random;
	readonly listener: WorkerListener;
	/** The message at `offset` is finished: durable, without rows, dead-lettered or skipped. */
	readonly finished: (offset: number) => void;
	/** True where no more messages come before some are finished. That a handler then leaves all it has open by `finishedTo` is a crash. */
	readonly isFull: () => boolean;
}

/** Why a partition is parked, or the daemon stops: a word that code and dashboards go by, and a sentence for people. */
export interface ParkReason {
	readonly code: "poison" | "restart_intensity" | "breaker";
	readonly message: string;
}

/** What a worker is doing. */
export type WorkerState =
	| { readonly name: "waiting" | "starting" | "running" | "draining" | "stopped" }
	| { readonly name: "backing-off"; readonly untilMs: number }
	| { readonly name: "parked"; readonly code: ParkReason["code"]; readonly reason: string; readonly sinceMs: number };

/** Why a partition is not as it should be. Times are the wall clock's. */
export interface WorkerTrouble {
	readonly code: "crash_loop" | "parked";
	readonly message: string;
	readonly sinceMs: number;
}
