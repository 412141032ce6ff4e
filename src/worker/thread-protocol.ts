/** What the main thread and a worker thread say to each other, and the memory they share for progress. */
import type { TopicPartition } from "../core/message.ts";
import type { PackedBatch } from "../core/packed-batch.ts";
import type { TableLayout } from "../core/rows.ts";
import type { ExitReason, HandlerFailure, RunReply, StartReply, StateRule, ThreadProgress } from "./handler-thread.ts";

/** Given to the thread when it is made. */
export interface ThreadData {
	readonly module: string;
	readonly options: unknown;
	/** Why the handler runs. */
	readonly purpose: "run" | "verify";
	readonly tables: readonly TableLayout[];
	/** Lanes of the writer, by which rows are parted. */
	readonly lanes: number;
	readonly maxOutcomeBytes: number;
	/** `handler.concurrency`. */
	readonly concurrency: number;
	readonly timestampType: "create" | "append" | "undefined";
	readonly progress: SharedArrayBuffer;
	/** Where printed lines go; null: to the process's own output. */
	readonly output: string | null;
}

/**
 * A request to the thread; one is outstanding at a time. `share` numbers the partitions' shares of the thread: each has a state of its
 * own, from `start` to `terminate` or `drop` (without a word to the handler).
 */
export type ThreadRequest = { readonly share: number } & (
	| { readonly type: "start"; readonly partition: TopicPartition }
	/** `batch` holds just the run; `from` is the index its first message has in the whole batch. */
	| { readonly type: "run"; readonly batch: PackedBatch; readonly from: number; readonly state: StateRule }
	| { readonly type: "terminate"; readonly reason: ExitReason }
	| { readonly type: "drop" }
);

/** The answers, by request. */
export type ThreadReply = StartReply | RunReply | { readonly terminated: HandlerFailure | null } | null;

const phases = ["idle", "load", "init", "handle", "terminate"] as const;
const PHASE = 0;
const CALLS = 1;
const MESSAGE = 2;
const RUNNING = 3;
const AWAITED = 4;
const CELLS = 5;

/** The four numbers of progress, written by the thread and read by the main thread at any time; and one the other way. */
export class SharedProgress {
	readonly #cells: Int32Array;

	constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT)) {
		this.#cells = new Int32Array(memory);
	}

	get memory(): SharedArrayBuffer {
		return this.#cells.buffer as SharedArrayBuffer;
	}

	/** A call into the user's code begins. */
	enter(phase: "load" | "init" | "handle" | "terminate", message = 0, running = 0): void {
		Atomics.store(this.#cells, MESSAGE, message);
		Atomics.store(this.#cells, RUNNING, running);
		Atomics.store(this.#cells, PHASE, phases.indexOf(phase));
		Atomics.add(this.#cells, CALLS, 1);
	}

	/** Calls overlap: the one that has run longest, by a number no other call has (`callBase` + its own), and how many run. */
	overlapping(call: number, message: number, running: number): void {
		Atomics.store(this.#cells, MESSAGE, message);
		Atomics.store(this.#cells, RUNNING, running);
		Atomics.store(this.#cells, PHASE, phases.indexOf("handle"));
		Atomics.store(this.#cells, CALLS, call);
	}

	/** The number of the last call; overlapping ones count on from it. */
	get callBase(): number {
		return Atomics.load(this.#cells, CALLS);
	}

	/** The call ended; `phase` stays `handle` between the messages of a run, so that a death there is seen as one of the run. */
	leave(phase: "idle" | "handle" = "idle"): void {
		Atomics.store(this.#cells, RUNNING, 0);
		Atomics.store(this.#cells, PHASE, phases.indexOf(phase));
		Atomics.add(this.#cells, CALLS, 1);
	}

	/** Others wait for the thread: a long run should end early. Written by the main thread. */
	get awaited(): boolean {
		return Atomics.load(this.#cells, AWAITED) === 1;
	}

	set awaited(isAwaited: boolean) {
		Atomics.store(this.#cells, AWAITED, isAwaited ? 1 : 0);
	}

	read(): ThreadProgress {
		return {
			phase: phases[Atomics.load(this.#cells, PHASE)] ?? "idle",
			calls: Atomics.load(this.#cells, CALLS),
			message: Atomics.load(this.#cells, MESSAGE),
			running: Atomics.load(this.#cells, RUNNING),
		};
	}
}
