/**
 * What a partition worker needs of the thread that runs the user's handler, and the types that the two exchange. Declared beside its user:
 * the real thread is worker-thread.ts (piscina); tests and the simulation have their own.
 */

import type { TopicPartition } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import type { PackedRecords } from "../../core/messages/records.ts";
import type { RowBlock, RowFault } from "../../core/rows/rows.ts";
import type { ExitReason } from "../../handler-api.ts";

/** A failure that the thread survived. `message` and `stack` are the user's, without values of messages. */
export interface HandlerFailure {
	/**
	 * `load`: module missing, does not parse, a dependency missing, no handler exported. `init`: init threw.
	 * `exception`: the handler threw or rejected. `bad_outcome`: what it returned breaks the contract.
	 */
	readonly kind: "load" | "init" | "exception" | "bad_outcome";
	readonly name: string;
	readonly message: string;
	readonly stack: string | null;
}

/** The outcome of messages `from` (included) to `to` (excluded) of a batch. Indexes are those of the whole batch. */
export interface BatchOutcome {
	readonly from: number;
	readonly to: number;
	/** Only these messages, ascending (overlapping calls end in any order). Absent: all of them. */
	readonly handled?: ArrayLike<number>;
	/** Rows by table and lane. pockaffe:json may give two blocks for the same lane, if some messages needed a closer look. */
	readonly blocks: readonly RowBlock[];
	/** Number of rows and deletes that the handler gave, counted apart from the packing: all blocks together have to hold as many. */
	readonly rows: number;
	/** Rows that can't be written to their table, found before they were sent. */
	readonly faults: readonly { readonly message: number; readonly fault: RowFault }[];
	/** Messages that the handler rejected, and why. */
	readonly rejected: readonly { readonly message: number; readonly why: string }[];
	/** Records to be produced. Absent: none. */
	readonly records?: PackedRecords;
	/** True if the handler gave records in this thread, and they were only checked (`verify`, `reprocess`). */
	readonly recordsLeftOut?: boolean;
	/**
	 * Counts of messages, for metrics. `row`: at least one upsert and no delete; `delete`: at least one delete; `none`: neither row nor
	 * record. Messages with records alone are counted in `records`.
	 */
	readonly counts: { readonly row: number; readonly delete: number; readonly none: number; readonly rejected: number };
	/**
	 * Duration of each handler call in ms, for the histogram. One entry per message, per call of handleMessages, or per group of messages of
	 * pockaffe:json.
	 */
	readonly durationsMs: Float64Array;
	/**
	 * The `finishedTo` that handleMessages returned (`to`; null: none), for the messages from index `from` on: those above `to` stay
	 * unfinished. Absent: all are finished.
	 */
	readonly finished?: { readonly from: number; readonly to: number | null };
	/** Warnings to log once, e.g. fields that no column takes. */
	readonly warnings: readonly string[];
}

/** The answer to `start`. */
export type StartReply =
	| {
			readonly ok: true;
			readonly handles: "message" | "batch";
			/** Hash of the loaded files (handler-version.ts); null if it is not known. */
			readonly version?: string | null;
	  }
	| { readonly ok: false; readonly failure: HandlerFailure };

/** Number of messages in an outcome. */
export function countHandled({ from, to, handled }: BatchOutcome): number {
	return handled?.length ?? to - from;
}

/**
 * The answer to `run`. `outcome` covers what was handled and not reported before; a message that no part covers was not handled. On failure
 * `failed` is the index of the message that failed alone, or, if a new state could not be made (kind `init`), of the next message.
 * `terminated` is what an old state's terminate threw.
 */
export type RunReply = {
	readonly outcome: BatchOutcome;
	readonly terminated?: HandlerFailure | null;
	/** MiB that the thread holds, if that is too much: it should be replaced. */
	readonly heldMb?: number;
} & (
	| {
			readonly ok: true;
			/**
			 * The handler had all messages before this index, perhaps in a call that failed and whose first half went well then. Absent: those of
			 * the outcome.
			 */
			readonly calledTo?: number;
	  }
	| {
			readonly ok: false;
			readonly failed: number;
			readonly failure: HandlerFailure;
			/**
			 * This many messages from `failed` on failed in one call, and the state rule kept the thread from halving them. Absent: one message
			 * failed alone.
			 */
			readonly together?: number;
			/** The handler takes several messages per call: then shorter runs repeat less. */
			readonly batched: boolean;
	  }
);

/**
 * How a thread died; the value of the metric's `reason` label. `shared`: it died because of another partition that shares it, so this one
 * is not to blame.
 */
export type ThreadDeath = {
	readonly reason: "exception" | "exit" | "out_of_memory" | "timeout" | "shared";
	readonly message: string;
	readonly stack: string | null;
};

/** `start`, `run` and `terminate` reject with this when the thread died before it answered. */
export class ThreadDiedError extends Error {
	readonly death: ThreadDeath;
	constructor(death: ThreadDeath) {
		super(death.message);
		this.name = "ThreadDiedError";
		this.death = death;
	}
}

/** The death that a call rejected with. */
export function deathOf(error: unknown): ThreadDeath {
	if (error instanceof ThreadDiedError) return error.death;
	const message = error instanceof Error ? error.message : String(error);
	return { reason: "exception", message, stack: error instanceof Error ? (error.stack ?? null) : null };
}

/** Why a worker ends; the argument of the handler's `terminate(reason, state)`. */
export type { ExitReason };

/**
 * What may happen to the handler's state in a run. `renew`: the run begins with a new one, made in the same thread by terminate(reason
 * `failed`) and init. `keep`: it holds unfinished messages (`finishedTo`) and must live until the run ends. `free`: it may be renewed
 * during the run.
 */
export type StateRule = "renew" | "keep" | "free";

/** What the thread is doing right now, read from shared memory without asking the thread. */
export interface ThreadProgress {
	/**
	 * Raised by one at the start and the end of every call into the user's code. The same number later means that the same call still runs.
	 */
	readonly calls: number;
	/** What runs now. `running`: number of messages given to the call (1 for handleMessage); 0 while no message is in the handler. */
	readonly phase: "idle" | "load" | "init" | "handle" | "terminate";
	/**
	 * Batch index of the first message of the running call, or of the earliest of several calls. Between two calls: of the last one. -1 if no
	 * message reached the handler since the run was handed over, or since a state was made or ended.
	 */
	readonly message: number;
	readonly running: number;
	/** The running calls if calls overlap, each by a number that is unique in the thread. */
	readonly overlapping?: readonly number[];
}

/**
 * One thread with a handler, or a partition's share of one. At most one of start, run and terminate is outstanding at a time. After a death
 * every call rejects with ThreadDiedError; the lease opens another thread.
 */
export interface HandlerThread {
	/** Node's id of the thread, as in its diagnostics; null before it runs. */
	readonly id: number | null;
	/** Loads the module and calls its init. */
	start(): Promise<StartReply>;
	/**
	 * Hands messages `from` (included) to `to` (excluded) of `batch` to the handler. The batch stays the caller's: bytes are copied. A long
	 * run reports on its way what was `handled` so far. The run may end early, with `ok`, if others wait for the thread or it is cut short.
	 */
	run(batch: PackedBatch, from: number, to: number, state: StateRule, handled: (part: BatchOutcome) => void): Promise<RunReply>;
	/**
	 * Calls the handler's terminate if the thread is alive. Never rejects because of what terminate throws; resolves to that failure, or
	 * null.
	 */
	terminate(reason: ExitReason): Promise<HandlerFailure | null>;
	/** Current progress; `idle` while a call only waits for its turn. */
	progress(): ThreadProgress;
	/** True while other partitions use the thread and nothing of this one runs. */
	readonly waits: boolean;
	/** True if messages of other partitions have been in the thread. */
	readonly hadOthers: boolean;
	/**
	 * Ends the run soon. One that only waits for its turn resolves with `ok` and nothing handled; one that has begun ends after the calls
	 * under way.
	 */
	cutShort(): void;
	/**
	 * The call's result is no longer needed: the thread is killed as soon as that costs no other partition its state. Until then the call
	 * goes on.
	 */
	abandon(): void;
	/**
	 * Ends the thread at once, whatever it is doing; a pending call rejects with ThreadDiedError(`death`). Idempotent. If the running call is
	 * another share's, only this share ends. Resolves when the thread is gone, or after a grace period if it can't be ended.
	 */
	kill(death?: ThreadDeath): Promise<void>;
	/**
	 * Leaves the thread after `terminate`, when the partition is given away. The thread may be kept in case the partition comes back;
	 * otherwise this resolves when it is gone.
	 */
	rest(): Promise<void>;
	/** Calls the listener when the thread dies while no call is outstanding (an uncaught exception between two batches). */
	onIdleDeath(listener: (death: ThreadDeath) => void): void;
}

/** A partition's claim on threads, from its assignment to its release. */
export interface ThreadLease {
	/** Returns the thread to use, for each start and restart. With shared threads it is always a share of the same place. */
	open(): HandlerThread;
	/** The next `open` must load the module again. The present thread then ends, for all who share it, after the running call. */
	expire(): void;
	/** The partition was given away, and its last thread is killed. */
	release(): void;
}

/**
 * The result of `warm`. `enough`: as many as wanted are in reserve. `full`: partitions have all the threads that there may be. `unknown`:
 * it took too long, a partition took the thread meanwhile, or the module changed.
 */
export type WarmReply =
	| { readonly kind: "loaded" | "enough" | "full" | "unknown" }
	| { readonly kind: "failed"; readonly failure: HandlerFailure };

/** Where threads come from. */
export interface HandlerThreads {
	/** `goesOn`: the partition comes back as it was given away, and may have the thread that it had. */
	lease(partition: TopicPartition, goesOn?: boolean): ThreadLease;
	/**
	 * Puts one more thread in reserve, with the module loaded, unless there are `count` already. Gives up after `withinMs`. Never rejects.
	 */
	warm(count: number, withinMs: number): Promise<WarmReply>;
	/** The module on disk has changed: threads that no partition has are not used any more. */
	expire(): void;
	/** Ends the threads that no partition has, and keeps none from now on. */
	dispose(): Promise<void>;
}
