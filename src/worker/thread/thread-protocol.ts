/** The requests and answers between the main thread and a worker thread, and the memory they share for progress. */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import type { BatchOutcome, ExitReason, HandlerFailure, RunReply, StartReply, StateRule, ThreadProgress } from "./handler-thread.ts";

/** Data that the thread gets when it is created. */
export interface ThreadData {
	readonly module: string;
	readonly options: unknown;
	/** Why the handler runs. */
	readonly purpose: "run" | "verify" | "reprocess";
	readonly tables: readonly TableLayout[];
	/** Number of the writer's lanes: rows are separated by lane. */
	readonly lanes: number;
	readonly maxOutcomeBytes: number;
	/** `handler.produces`. */
	readonly produces: readonly string[];
	/** `workers.maxHeapMb`. */
	readonly maxHeapMb: number;
	/** `handler.concurrency`. */
	readonly concurrency: number;
	readonly progress: SharedArrayBuffer;
	/** Channel for printed lines; null: the process's own output. */
	readonly output: string | null;
}

/**
 * A request to the thread; one is outstanding at a time. `share` says which partition's share of the thread is meant, by number. Each
 * share has a handler state of its own, from `start` until `terminate`, or until `drop` (without calling the handler).
 */
export type ThreadRequest = { readonly share: number } & (
	| { readonly type: "start"; readonly partition: TopicPartition }
	/** `batch` holds only the run; `from` is the index of its first message in the whole batch. */
	| { readonly type: "run"; readonly batch: PackedBatch; readonly from: number; readonly state: StateRule }
	/** Asks for the run's next part. `batch`: the run's messages again, if the last part asked for them. */
	| { readonly type: "more"; readonly batch: PackedBatch | null }
	| { readonly type: "terminate"; readonly reason: ExitReason }
	| { readonly type: "drop" }
	/** Loads the module, before any share is there. */
	| { readonly type: "load" }
);

/** The result of a run so far. The run goes on, and waits until it is asked for more. */
export interface PartReply {
	readonly goesOn: true;
	readonly outcome: BatchOutcome;
	/** The handler may have written to the messages or transferred them away: send them again as they are in the log. */
	readonly wantsMessages: boolean;
}

/** The answers, by request. */
export type ThreadReply =
	| StartReply
	| RunReply
	| PartReply
	| { readonly terminated: HandlerFailure | null }
	| { readonly loadFailure: HandlerFailure | null }
	| null;

const phases = ["idle", "load", "init", "handle", "terminate"] as const;
const phaseNumbers = { idle: 0, load: 1, init: 2, handle: 3, terminate: 4 } as const;
const PHASE = 0;
const CALLS = 1;
const MESSAGE = 2;
const RUNNING = 3;
const WANTED = 4;
const SLOTS = 5;
/** Cells per overlapping call: its number (0: none), its message. */
const SLOT_CELLS = 2;

/** No message of the run has reached the handler. */
const NO_MESSAGE = -1;

/** What the main thread may ask of a run (bits): make room for others soon; begin no more calls. */
const OTHERS_WAIT = 1;
const CUT_SHORT = 2;

/**
 * The progress numbers, which the thread writes and the main thread may read at any time, and one number in the other direction. Whoever
 * sees CALLS raised also sees everything written before. So one atomic operation covers all numbers; one for each would cost 0.1 µs per
 * message.
 */
export class SharedProgress {
	readonly #cells: Int32Array;

	constructor(memory: SharedArrayBuffer) {
		this.#cells = new Int32Array(memory);
	}

	/** Progress for a thread that makes up to `atATime` calls at a time. */
	static forCalls(atATime: number): SharedProgress {
		const cells = SLOTS + (atATime === 1 ? 0 : SLOT_CELLS * atATime);
		const progress = new SharedProgress(new SharedArrayBuffer(cells * Int32Array.BYTES_PER_ELEMENT));
		progress.handedOver();
		return progress;
	}

	get memory(): SharedArrayBuffer {
		return this.#cells.buffer as SharedArrayBuffer;
	}

	/** A run was handed over. */
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

	/** Calls overlap from now until `leave`. */
	overlap(): void {
		Atomics.store(this.#cells, PHASE, phaseNumbers.handle);
		Atomics.add(this.#cells, CALLS, 1);
	}

	/** A call that may overlap others begins, in a free slot. */
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

	/** The call ended. `phase` stays `handle` between the messages of a run: a death between two of them is a death of the run. */
	leave(phase: "idle" | "handle" = "idle"): void {
		const cells = this.#cells;
		cells[RUNNING] = 0;
		cells[PHASE] = phaseNumbers[phase];
		Atomics.add(cells, CALLS, 1);
	}

	/** What the main thread asks (bits); 0: nothing, so the two below need not be asked. */
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
