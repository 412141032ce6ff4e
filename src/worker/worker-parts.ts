/** What a partition worker is built from, the events it reports, and its states. */
import type { Clock } from "../core/clock.ts";
import type { DeadLetter } from "../core/dead-letters/dead-letter.ts";
import type { TopicPartition } from "../core/messages/message.ts";
import type { LogId } from "../core/offsets/log-identity.ts";
import type { Random } from "../core/random.ts";
import type { Turn } from "../core/waiting/turn.ts";
import type { HandNotes } from "./failures/careful-hand.ts";
import type { CrashReport } from "./failures/crash-report.ts";
import type { Recovery } from "./failures/standstill.ts";
import type { BreakerLimits } from "./outcomes/breaker.ts";
import type { DeadLetterSink, RecordSink, RowSink } from "./ports.ts";
import type { BatchOutcome, HandlerFailure, ThreadLease } from "./thread/handler-thread.ts";

/** The worker's settings: `handler` and `supervisor` of the configuration. Times in ms. */
export interface WorkerSettings {
	readonly timeoutMs: number;
	readonly maxAttempts: number;
	readonly retryBackoffMs: number;
	readonly maxRetryBackoffMs: number;
	/** `handler.module`, for messages to people. */
	readonly module: string;
	/** `handler.version`; empty: the hash of the loaded files is used. */
	readonly version: string;
	readonly onPoison: "dead-letter" | "park" | "skip" | "stop";
	readonly onExceeded: "park" | "stop";
	readonly minBackoffMs: number;
	readonly maxBackoffMs: number;
	/** Tables with `cas.version: timestamp`, and their `maxFutureMs`. */
	readonly futureLimits: ReadonlyMap<string, number>;
	/** Tables whose rows of one message are refused together. */
	readonly atomic: ReadonlySet<string>;
	/** `handler.dropRepeats`; default: false. */
	readonly dropRepeats?: boolean;
	/** `deadLetters.breaker`. */
	readonly breaker: BreakerLimits;
}

/** Counts restarts and failures, and decides whether the worker may go on. */
export interface Intensity {
	readonly failuresInARow: number;
	restarted(nowMs: number): boolean;
	failed(): void;
	progressed(): void;
	reset(): void;
}

/** What a worker reports: past facts, once per run and never per message. */
export interface WorkerListener {
	started(partition: TopicPartition): void;
	handled(partition: TopicPartition, outcome: BatchOutcome): void;
	crashed(report: CrashReport): void;
	/** A thread was replaced; the value of `worker_restarts_total{reason}`. */
	restarted(partition: TopicPartition, reason: RestartReason): void;
	/** The handler's terminate threw or took too long. The worker goes on, or ends, all the same. */
	terminateFailed(partition: TopicPartition, failure: HandlerFailure): void;
	/** The thread holds `heldMb` MiB after garbage collection, too much, and is replaced. */
	heldTooMuch(partition: TopicPartition, heldMb: number): void;
	/** Messages are handed over carefully, because the process died before. Reported with the first message. */
	carefulBegan(partition: TopicPartition, why: string): void;
	/** Nobody is suspected any more. */
	carefulEnded(partition: TopicPartition): void;
	parked(partition: TopicPartition, reason: ParkReason): void;
	/** It is no longer parked, and tries again; whether that works is told by `recovered` or `breakerClosed`. */
	resumed(partition: TopicPartition): void;
	/** The messages that failed are handled. */
	recovered?(partition: TopicPartition, recovery: Recovery): void;
	/** The message at `offset` was finished on trial: dead letters may be made again. */
	breakerClosed?(partition: TopicPartition, offset: number): void;
	deadLettered(letter: DeadLetter): void;
	/** A message was skipped. `why`: the reason that a person gave; null: handler.onPoison says so. */
	skipped(partition: TopicPartition, offset: number, why: string | null): void;
	/** `count` messages were produced a second time; they are finished without the handler. */
	repeated?(partition: TopicPartition, count: number): void;
	/** The policy decided that the daemon has to stop: drain the others, leave the group, exit 3. */
	stopRequested(partition: TopicPartition, reason: ParkReason): void;
}

/**
 * Why a thread was replaced. `shared`: it ended because of another partition that shares it. `last_attempt`: earlier messages may have
 * broken it.
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
	/** The log that its messages are from: Kafka's topic id, or null if it is not known. */
	readonly logId: LogId;
	readonly settings: WorkerSettings;
	readonly threads: ThreadLease;
	readonly rows: RowSink;
	readonly records: RecordSink;
	readonly deadLetters: DeadLetterSink;
	readonly intensity: Intensity;
	/** What makes the worker careful because the process died before; null or absent if nothing is suspected. */
	readonly hand?: HandNotes | null;
	/**
	 * Shared by all partitions of the process: while a suspect runs, no other module or init may run, because that might end the process too.
	 */
	readonly turn: Turn;
	readonly clock: Clock;
	readonly random: Random;
	readonly listener: WorkerListener;
	/** The message at `offset` is finished: durable, without rows, dead-lettered or skipped. */
	readonly finished: (offset: number) => void;
	/**
	 * True if no more messages arrive until some are finished. If the handler then leaves every message open by `finishedTo`, that is a
	 * crash.
	 */
	readonly isFull: () => boolean;
}

/** Why a partition is parked or the daemon stops: a code for programs and dashboards, and a sentence for people. */
export interface ParkReason {
	readonly code: "poison" | "restart_intensity" | "breaker";
	readonly message: string;
}

/** What a worker is doing. */
export type WorkerState =
	| { readonly name: "waiting" | "starting" | "running" | "draining" | "stopped" }
	| { readonly name: "backing-off"; readonly untilMs: number }
	| { readonly name: "parked"; readonly code: ParkReason["code"]; readonly reason: string; readonly sinceMs: number };

/** A problem of a partition. Times are by the wall clock. */
export interface WorkerTrouble {
	readonly code: "crash_loop" | "parked";
	readonly message: string;
	readonly sinceMs: number;
}
