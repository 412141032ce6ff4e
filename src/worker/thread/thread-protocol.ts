/** What the main thread and a worker thread say to each other, and the memory they share for progress. */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import type { BatchOutcome, ExitReason, HandlerFailure, RunReply, StartReply, StateRule, ThreadProgress } from "./handler-thread.ts";

/** Given to the thread when it is made. */
export interface ThreadData {
	readonly module: string;
	readonly options: unknown;
	/** Why the handler runs. */
	readonly purpose: "run" | "verify" | "reprocess";
	readonly tables: readonly TableLayout[];
	/** Lanes of the writer, by which rows are parted. */
	readonly lanes: number;
	readonly maxOutcomeBytes: number;
	/** `handler.produces`. */
	readonly produces: readonly string[];
	/** `workers.maxHeapMb`. */
	readonly maxHeapMb: number;
	/** `handler.concurrency`. */
	readonly concurrency: number;
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
	/** Asks for the next part of the run that goes on. `batch`: the run's messages once more, where its part asked for them. */
	| { readonly type: "more"; readonly batch: PackedBatch | null }
	| { readonly type: "terminate"; readonly reason: ExitReason }
	| { readonly type: "drop" }
);

/** What a run came to so far; it goes on, and waits to be asked for more. */
export interface PartReply {
	readonly goesOn: true;
	readonly outcome: BatchOutcome;
	/** The handler may have written to the messages, or given their memory away: they are to come as they are in the log. */
	readonly wantsMessages: boolean;
}

/** The answers, by request. */
export type ThreadReply = StartReply | RunReply | PartReply | { readonly terminated: HandlerFailure | null } | null;

const phases = ["idle", "load", "init", "handle", "terminate"] as const;
const phaseNumbers = { idle: 0, load: 1, init: 2, handle: 3, terminate: 4 } as const;
const PHASE = 0;
const CALLS = 1;
const MESSAGE = 2;
const RUNNING = 3;
const WANTED = 4;
const SLOTS = 5;
/** Cells of a call that overlaps others: its number (0: none), its message. */
const SLOT_CELLS = 2;

/** No message of the run has come to the handler. */
const NO_MESSAGE = -1;

/** What the main thread may want of a run (bits): to make room for others soon; to begin no more calls. */
const OTHERS_WAIT = 1;
const CUT_SHORT = 2;

/**
 * The numbers of progress, written by the thread and read by the main thread at any time; and one the other way. What is written before
 * CALLS is raised is seen by whoever sees it raised: one atomic operation for all of them, where each for itself took 0.1 µs of a message.
 */
export class SharedProgress {
	readonly #cells: Int32Array;

	constructor(memory: SharedArrayBuffer) {
		this.#cells = new Int32Array(memory);
	}

	/** For a thread that makes so many calls at a time. */
	static forCalls(atATime: number): SharedProgress {
		const cells = SLOTS + (atATime === 1 ? 0 : SLOT_CELLS * atATime);
		const progress = new SharedProgress(new SharedArrayBuffer(cells * Int32Array.BYTES_PER_ELEMENT));
		progress.handedOver();
		return progress;
	}

	get memory(): SharedArrayBuffer {
		return this.#cells.buffer as SharedArrayBuffer;
	}

	/** A run is handed over. */
	handedOver(): void {
		Atomics.store(this.#cells, MESSAGE, NO_MESSAGE);
	}

	/** A call into the user's code begins. */
	enter(phase: "load" | "init" | "handle" | "terminate", message = NO_MESSAGE, running = 0): void {
		const cells = this.#cells;
		cells[MESSAGE] = message;
		cells[RUNNING] = running;
		cells[PHASE] = phaseNumbers[phase];
		Atomics.add(cells, CALLS, 1);
	}

	/** Calls overlap from here to `leave`. */
	overlap(): void {
		Atomics.store(this.#cells, PHASE, phaseNumbers.handle);
		Atomics.add(this.#cells, CALLS, 1);
	}

	/** A call that may overlap others begins, in a slot that no other has. */
	begin(slot: number, message: number): void {
		const at = SLOTS + SLOT_CELLS * slot;
		Atomics.store(this.#cells, MESSAGE, message);
		Atomics.store(this.#cells, at + 1, message);
		Atomics.store(this.#cells, at, Atomics.add(this.#cells, CALLS, 1) + 1);
	}

	/** The call of the slot ended. */
	end(slot: number): void {
		Atomics.store(this.#cells, SLOTS + SLOT_CELLS * slot, 0);
		Atomics.add(this.#cells, CALLS, 1);
	}

	/** The call ended; `phase` stays `handle` between the messages of a run, so that a death there is seen as one of the run. */
	leave(phase: "idle" | "handle" = "idle"): void {
		const cells = this.#cells;
		cells[RUNNING] = 0;
		cells[PHASE] = phaseNumbers[phase];
		Atomics.add(cells, CALLS, 1);
	}

	/** Written by the main thread; 0: nothing is wanted, and the other two needn't be asked. */
	get wanted(): number {
		return Atomics.load(this.#cells, WANTED);
	}

	/** Others wait for the thread: a long run should end early. */
	get othersWait(): boolean {
		return (this.wanted & OTHERS_WAIT) !== 0;
	}

	set othersWait(doWait: boolean) {
		this.#want(OTHERS_WAIT, doWait);
	}

	/** The run should begin no more calls. */
	get isCutShort(): boolean {
		return (this.wanted & CUT_SHORT) !== 0;
	}

	set isCutShort(isCut: boolean) {
		this.#want(CUT_SHORT, isCut);
	}

	read(): ThreadProgress {
		const calls = Atomics.load(this.#cells, CALLS);
		const progress = {
			phase: phases[Atomics.load(this.#cells, PHASE)] ?? "idle",
			calls,
			message: Atomics.load(this.#cells, MESSAGE),
			running: Atomics.load(this.#cells, RUNNING),
		};
		return this.#cells.length > SLOTS && progress.phase === "handle" ? { ...progress, ...this.#readSlots() } : progress;
	}

	#readSlots(): Pick<ThreadProgress, "message" | "running" | "overlapping"> {
		const overlapping: number[] = [];
		let [first, message] = [Number.POSITIVE_INFINITY, 0];
		for (let at = SLOTS; at < this.#cells.length; at += SLOT_CELLS) {
			const call = Atomics.load(this.#cells, at);
			if (call === 0) continue;
			overlapping.push(call);
			if (call > first) continue;
			first = call;
			message = Atomics.load(this.#cells, at + 1);
		}
		return { message, running: overlapping.length, overlapping };
	}

	#want(what: number, isWanted: boolean): void {
		if (isWanted) Atomics.or(this.#cells, WANTED, what);
		else Atomics.and(this.#cells, WANTED, ~what);
	}
}
