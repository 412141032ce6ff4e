/**
 * What a partition worker needs of the thread that runs the user's handler, and the words the two exchange.
 * Declared beside its user: the real thread is worker-thread.ts (piscina), the tests and the simulation bring their own.
 */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import type { PackedRecords } from "../../core/messages/records.ts";
import type { RowBlock, RowFault } from "../../core/rows/rows.ts";

/** What went wrong in the thread while it stayed alive. `message` and `stack` are the user's, without values of messages. */
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

/** What the handler made of messages `from` (included) to `to` (excluded) of a batch. Indexes are those of the whole batch. */
export interface BatchOutcome {
	readonly from: number;
	readonly to: number;
	/** Just these of them, ascending (calls overlap and end in any order). Absent: all of them. */
	readonly handled?: ArrayLike<number>;
	/** By table and lane, of pockaffe:json two where some of its messages needed a closer look. */
	readonly blocks: readonly RowBlock[];
	/** Rows and deletes that the handler gave, counted one by one: what all blocks have to hold. */
	readonly rows: number;
	/** Rows that can't go to their table, found before they were sent. */
	readonly faults: readonly { readonly message: number; readonly fault: RowFault }[];
	/** Messages the handler rejected, with its words. */
	readonly rejected: readonly { readonly message: number; readonly why: string }[];
	/** What is to be produced. Absent: nothing. */
	readonly records?: PackedRecords;
	/**
	 * Counts for metrics, per message: `row` at least one upsert and no delete, `delete` at least one delete, `none` no row and no record.
	 * Those with records alone are in `records`.
	 */
	readonly counts: { readonly row: number; readonly delete: number; readonly none: number; readonly rejected: number };
	/**
	 * Duration of each handler call in ms, for the histogram: one entry per call (per message, or one for handleMessages; of pockaffe:json per
	 * group of messages).
	 */
	readonly durationsMs: Float64Array;
	/**
	 * handleMessages returned `finishedTo` (`to`; null: none) for the messages from index `from` on: those above it stay unfinished.
	 * Absent: all are finished.
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
			/** Of the files that were loaded (handler-version.ts); null where it is not known. */
			readonly version?: string | null;
	  }
	| { readonly ok: false; readonly failure: HandlerFailure };

/** How many messages an outcome is of. */
export function countHandled({ from, to, handled }: BatchOutcome): number {
	return handled?.length ?? to - from;
}

/**
 * The answer to `run`. `outcome` holds what was handled and not told before; of what the run came to nowhere nothing was handled. On
 * failure `failed` is the index of the message that failed alone, or where kind `init` says that a new state could not be made, the one
 * that comes next. `terminated` is what an old state's terminate threw.
 */
export type RunReply = {
	readonly outcome: BatchOutcome;
	readonly terminated?: HandlerFailure | null;
	/** MiB that the thread holds, where that is too much: it should be replaced. */
	readonly heldMb?: number;
} & (
	| { readonly ok: true }
	| {
			readonly ok: false;
			readonly failed: number;
			readonly failure: HandlerFailure;
			/**
			 * So many messages from `failed` on failed in one call, and the rule kept the thread from halving them. Absent: it failed
			 * alone.
			 */
			readonly together?: number;
			/** The handler takes several messages at once: shorter runs repeat less. */
			readonly batched: boolean;
	  }
);

/**
 * How a thread died; the value of the metric's `reason` label. `shared`: at another partition that it is shared with; nobody here is to
 * blame.
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

/** Why a worker ends; what `terminate(reason, state)` of the handler gets. */
export type ExitReason = "shutdown" | "revoked" | "failed" | "restart";

/**
 * What becomes of the handler's state in a run. `renew`: the run begins with a new one, made in the same thread by terminate(reason
 * `failed`) with the old one and init. `keep`: it holds messages that are not finished (`finishedTo`), and must live to the run's end.
 * `free`: it may be renewed on the way.
 */
export type StateRule = "renew" | "keep" | "free";

/** Where the thread is right now; read from shared memory without asking the thread. */
export interface ThreadProgress {
	/** Raised by one at the start and at the end of every call into the user's code. Same number later: the same call still runs. */
	readonly calls: number;
	/** What runs now. `running` is the count of messages given to the call (1 for handleMessage), 0 while none is in the handler. */
	readonly phase: "idle" | "load" | "init" | "handle" | "terminate";
	/**
	 * Index in the batch of the first message of the running call, of several calls the one begun first. Between two calls of the last
	 * one; -1 where no message came to the handler since the run was handed over, or a state was made or ended.
	 */
	readonly message: number;
	readonly running: number;
	/** Where calls overlap: those that run, each by a number that no other call of the thread has. */
	readonly overlapping?: readonly number[];
}

/**
 * One thread with one handler in it, or a partition's share of one. At most one of start, run and terminate is outstanding at a time.
 * After a death every call rejects with ThreadDiedError; the lease opens another.
 */
export interface HandlerThread {
	/** Node's id of the thread, as in its diagnostics; null before it runs. */
	readonly id: number | null;
	/** Loads the module and calls its init. */
	start(): Promise<StartReply>;
	/**
	 * Hands messages `from` (included) to `to` (excluded) of `batch` to the handler. The batch stays the caller's (bytes are copied).
	 * A run that takes long tells on its way what was `handled` so far. It may end early, with `ok`, where others wait for the thread or
	 * it is cut short.
	 */
	run(batch: PackedBatch, from: number, to: number, state: StateRule, handled: (part: BatchOutcome) => void): Promise<RunReply>;
	/** Calls the handler's terminate, if the thread is alive. Never rejects for what terminate throws; resolves to its failure. */
	terminate(reason: ExitReason): Promise<HandlerFailure | null>;
	/** `idle` while a call only waits for its turn. */
	progress(): ThreadProgress;
	/** Others have the thread: nothing of this one runs there. */
	readonly waits: boolean;
	/** Messages of other partitions have been in it. */
	readonly hadOthers: boolean;
	/** A run that only waits for its turn resolves with `ok` and nothing handled; one that has begun ends behind the calls under way. */
	cutShort(): void;
	/** What was asked is of no use any more: killed, as soon as that costs no other partition its state. Until then the call goes on. */
	abandon(): void;
	/**
	 * Ends the thread at once, whatever it does; a pending call rejects with ThreadDiedError(`death`). Idempotent. A share whose call isn't
	 * the one that runs ends alone. Resolves when the thread is gone, or after a grace where it can't be ended.
	 */
	kill(death?: ThreadDeath): Promise<void>;
	/** Called when the thread dies while no call is outstanding (an uncaught exception between batches). */
	onIdleDeath(listener: (death: ThreadDeath) => void): void;
}

/** A partition's claim on threads, from its assignment to its release. */
export interface ThreadLease {
	/** The thread to start, called for each (re)start; where threads are shared always a share of the same. */
	open(): HandlerThread;
	/**
	 * What `open` gives next has to load the module anew: a thread of this moment ends then, for all who share it, behind the call that
	 * runs.
	 */
	expire(): void;
	/** The partition was given away, and its last thread killed. */
	release(): void;
}

/** Where threads come from. */
export interface HandlerThreads {
	lease(partition: TopicPartition): ThreadLease;
}
