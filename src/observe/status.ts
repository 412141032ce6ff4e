/**
 * The document of `/status`: the supervision tree for people and scripts, built from a snapshot of the daemon's parts. Pure. Keys are API.
 */
import type { TopicPartition } from "../core/messages/message.ts";
import type { partitionStates } from "./metrics/metric-catalogue.ts";
import type { ReadinessReason } from "./readiness.ts";

/** What a partition is doing, for people. */
export type PartitionState = (typeof partitionStates)[number];

/** What the daemon is doing. */
export type DaemonState = "starting" | "running" | "draining" | "stopped";

/** A failure as a worker reports it; `time` is the wall clock in ms. */
export interface FailureSnapshot {
	readonly time: number;
	readonly threadId: number | null;
	readonly kind: string;
	readonly coordinates: { readonly offset: number; readonly key: string | null } | null;
	/** Failed attempts of that message; 0 if it was not charged. */
	readonly attempt: number;
	/** Restarts of the worker so far. */
	readonly restarts: number;
	readonly error: { readonly name: string; readonly message: string; readonly stack: string | null };
	readonly next: { readonly action: string; readonly delayMs: number };
}

/** One assigned partition, as its parts know it. */
export interface PartitionSnapshot extends TopicPartition {
	/** The worker's state; `parked` has a message for people and a code for metrics. */
	readonly worker:
		| { readonly name: "waiting" | "starting" | "running" | "backing-off" | "draining" | "stopped" }
		| { readonly name: "parked"; readonly reason: string; readonly code: string };
	/** Why fetching is paused, null while it is not. */
	readonly pauseReason: "queue_full" | "database" | "admin" | null;
	readonly assignmentEpoch: number;
	/** The next offset to be received. */
	readonly position: number | null;
	readonly committed: number | null;
	readonly highWatermark: number | null;
	/** Record timestamp (ms) of the oldest unfinished message; null if there is none or it is not known. */
	readonly oldestUnfinishedTimestamp: number | null;
	readonly queued: number;
	readonly inFlight: number;
	/** Node's id of its worker thread, the same for all that share one; null while it has none. */
	readonly thread: number | null;
	/** The name or hash of the handler's version; null before it is loaded. */
	readonly handlerVersion: string | null;
	readonly restarts: number;
	readonly attempts: number;
	/** True while its messages are noted before the handler gets them, because the process died at one before. */
	readonly careful: boolean;
	readonly breakerOpen: boolean;
	/** Number of offsets that the group has committed and the database does not know. */
	readonly restoredOffsets: number;
	/** Newest first. */
	readonly failures: readonly FailureSnapshot[];
}

/** A connection to the outside; `target` without credentials. */
export interface ConnectionSnapshot {
	readonly name: string;
	readonly target: string;
	readonly state: "connecting" | "connected" | "away";
	readonly message: string | null;
}

/** The version of the handler that runs. */
export interface HandlerStatus {
	readonly module: string;
	/** `handler.version`, or else a hash of the files that were there at the start; null if they could not be read. */
	readonly version: string | null;
	/** True if partitions run different files: they changed since, and only some threads loaded them. */
	readonly mixed: boolean;
}

/** The data behind `/status` and the gauges of `/metrics`. Times are wall clock, ms. */
export interface StatusSnapshot {
	readonly version: string;
	/** Broker and database are the daemon's own: a demo or a trial. */
	readonly embedded: boolean;
	readonly handler: HandlerStatus;
	readonly now: number;
	readonly startedAt: number;
	readonly state: DaemonState;
	/** Why it is not ready; empty if it is. */
	readonly notReady: readonly Pick<ReadinessReason, "code">[];
	readonly group: string;
	readonly protocol: string;
	/** The member's state in the group: `connecting`, `joining`, then librdkafka's words: `up/steady`, `wait-coord/init`, … */
	readonly memberState: string;
	readonly rebalances: number;
	readonly partitions: readonly PartitionSnapshot[];
	/** Handler threads that can't be ended and still run while others replace them. */
	readonly threadsStuck: number;
	readonly writer: {
		readonly queuedRows: number;
		readonly queuedBytes: number;
		/** When the oldest row arrived; null if there is none. */
		readonly oldestSince: number | null;
		/** Rows that wait for their parents, for tables with `references`. */
		readonly awaitingParents: ReadonlyMap<string, number>;
		/** The writer's present tuning per table; linger in ms. */
		readonly choices: readonly {
			readonly table: string;
			readonly statementRows: number;
			readonly lanes: number;
			readonly lingerMs: number;
		}[];
		/** Batches sent to the database and not yet answered. */
		readonly inFlight: number;
		readonly lastError: {
			readonly time: number;
			readonly table: string | null;
			readonly sqlstate: string | null;
			readonly message: string;
		} | null;
	};
	readonly connections: readonly ConnectionSnapshot[];
}

/** A failure as `/status` shows it. */
export interface FailureStatus {
	readonly time: string;
	/** Node's id of the thread; null if none had run yet. */
	readonly thread: number | null;
	readonly kind: string;
	readonly coordinates: {
		readonly topic: string;
		readonly partition: number;
		readonly offset: number;
		readonly key: string | null;
	} | null;
	readonly message: string;
	readonly stack: string | null;
	readonly attempt: number;
	readonly restarts: number;
	readonly next: string;
	readonly delayMs: number;
}

/** A partition in the document. */
export interface PartitionStatus
	extends Omit<PartitionSnapshot, "worker" | "pauseReason" | "oldestUnfinishedTimestamp" | "breakerOpen" | "restoredOffsets" | "failures"> {
	readonly state: PartitionState;
	readonly reason: string | null;
	readonly lag: number | null;
	readonly lastFailure: FailureStatus | null;
	/** The last failures, newest first. */
	readonly failures: readonly FailureStatus[];
}

/** The document. `uptime` in seconds; times as ISO text; `writer.queue` in rows. */
export interface Status {
	readonly version: string;
	/** Broker and database are the daemon's own: a demo or a trial. */
	readonly embedded: boolean;
	readonly handler: HandlerStatus;
	readonly uptime: number;
	readonly state: DaemonState;
	readonly ready: boolean;
	readonly group: string;
	readonly protocol: string;
	readonly memberState: string;
	readonly rebalances: number;
	readonly partitions: readonly PartitionStatus[];
	readonly writer: {
		readonly queue: number;
		readonly queueBytes: number;
		readonly inFlight: number;
		readonly lastError: {
			readonly time: string;
			readonly table: string | null;
			readonly sqlstate: string | null;
			readonly message: string;
		} | null;
	};
	readonly connections: readonly ConnectionSnapshot[];
}

/** Builds the document; partitions by topic and number. */
export function buildStatus(snapshot: StatusSnapshot): Status {
	const { version, embedded, handler, now, startedAt, state, notReady, group, protocol, memberState, rebalances, writer, connections } =
		snapshot;
	const partitions = snapshot.partitions.map(partitionStatus).sort(byName);
	const lastError = writer.lastError && { ...writer.lastError, time: isoTime(writer.lastError.time) };
	return {
		version,
		embedded,
		handler,
		uptime: Math.max(0, Math.round(now - startedAt) / 1000),
		state,
		ready: notReady.length === 0,
		group,
		protocol,
		memberState,
		rebalances,
		partitions,
		writer: { queue: writer.queuedRows, queueBytes: writer.queuedBytes, inFlight: writer.inFlight, lastError },
		connections,
	};
}

/** The state of a partition in one word: a drain hides all others, parked and backing-off hide a pause. */
export function partitionState({ worker, pauseReason }: Pick<PartitionSnapshot, "worker" | "pauseReason">): PartitionState {
	switch (worker.name) {
		case "draining":
		case "stopped":
			return "draining";
		case "parked":
		case "backing-off":
			return worker.name;
		default:
			if (pauseReason !== null) return "paused";
			// A worker that waits for its first message has no thread yet, and is healthy.
			return worker.name === "starting" ? "starting" : "running";
	}
}

/** High watermark minus committed offset, never negative; null if one of them is not known. */
export function lagOf({ highWatermark, committed }: Pick<PartitionSnapshot, "highWatermark" | "committed">): number | null {
	return highWatermark === null || committed === null ? null : Math.max(0, highWatermark - committed);
}

function partitionStatus(snapshot: PartitionSnapshot): PartitionStatus {
	const {
		topic,
		partition,
		assignmentEpoch,
		position,
		committed,
		highWatermark,
		queued,
		inFlight,
		thread,
		handlerVersion,
		restarts,
		attempts,
		careful,
	} = snapshot;
	const state = partitionState(snapshot);
	const reason =
		snapshot.worker.name === "parked" && state === "parked" ? snapshot.worker.reason : state === "paused" ? snapshot.pauseReason : null;
	const lag = lagOf(snapshot);
	const failures = snapshot.failures.map((failure) => failureStatus(snapshot, failure));
	return {
		topic,
		partition,
		state,
		reason,
		assignmentEpoch,
		position,
		committed,
		highWatermark,
		lag,
		queued,
		inFlight,
		thread,
		handlerVersion,
		restarts,
		attempts,
		careful,
		lastFailure: failures[0] ?? null,
		failures,
	};
}

function failureStatus({ topic, partition }: TopicPartition, failure: FailureSnapshot): FailureStatus {
	const { time, threadId, kind, coordinates, attempt, restarts, error, next } = failure;
	const at = coordinates && { topic, partition, offset: coordinates.offset, key: coordinates.key };
	const message = error.name && !error.message.startsWith(error.name) ? `${error.name}: ${error.message}` : error.message;
	return {
		time: isoTime(time),
		thread: threadId,
		kind,
		coordinates: at,
		message,
		stack: error.stack,
		attempt,
		restarts,
		next: next.action,
		delayMs: Math.round(next.delayMs),
	};
}

function byName(left: TopicPartition, right: TopicPartition): number {
	if (left.topic !== right.topic) return left.topic < right.topic ? -1 : 1;
	return left.partition - right.partition;
}

function isoTime(ms: number): string {
	return new Date(ms).toISOString();
}
