/**
 * A handler's thread that the test plays: each call waits until the test answers it. The partition worker can't tell it from a real
 * one: how threads live and die is one contract for all of them (test/contract).
 */
import type { PackedBatch } from "../../../src/core/messages/packed-batch.ts";
import type { RowBlock } from "../../../src/core/rows/rows.ts";
import {
	type BatchOutcome,
	type HandlerFailure,
	type HandlerThread,
	type RunReply,
	type StartReply,
	type StateRule,
	type ThreadDeath,
	ThreadDiedError,
	type ThreadLease,
	type ThreadProgress,
} from "../../../src/worker/thread/handler-thread.ts";
import { blockOf } from "./row-blocks.ts";

/** A call that the worker made and the test has not answered. */
export interface PendingCall {
	readonly type: "start" | "run" | "terminate";
	/** Offsets of a run. */
	readonly offsets: readonly number[];
	readonly from: number;
	readonly to: number;
	resolve(reply: never): void;
	reject(error: Error): void;
}

/** One thread. `calls` are all calls so far by their type and offsets, in order. */
export class FakeThread implements HandlerThread {
	readonly id = 1;
	readonly calls: string[] = [];
	pending: PendingCall | null = null;
	state: ThreadProgress = { calls: 0, phase: "idle", message: -1, running: 0 };
	killed: ThreadDeath | null = null;
	/** Calls wait for their turn on a shared thread. */
	isQueued = false;
	hadOthers = false;
	#idleDeath: (death: ThreadDeath) => void = () => {};
	#tellPart: (part: BatchOutcome) => void = () => {};

	start(): Promise<StartReply> {
		return this.#call("start");
	}

	run(batch: PackedBatch, from: number, to: number, state: StateRule, handled: (part: BatchOutcome) => void): Promise<RunReply> {
		if (state !== "free") this.calls.push(state);
		this.#tellPart = handled;
		return this.#call("run", Array.from(batch.offsets.subarray(from, to)), from, to);
	}

	terminate(reason: string): Promise<HandlerFailure | null> {
		this.calls.push(`terminate ${reason}`);
		return this.killed ? Promise.reject(new ThreadDiedError(this.killed)) : Promise.resolve(null);
	}

	progress(): ThreadProgress {
		return this.state;
	}

	get waits(): boolean {
		return this.isQueued;
	}

	/** As if the run waited for its turn, or a note that it is cut short. */
	cutShort(): void {
		if (this.pending?.type !== "run") return;
		const { from } = this.pending;
		if (!this.isQueued) {
			this.calls.push("cut short");
			return;
		}
		this.#take()?.resolve({ ok: true, outcome: nothing(from, from) } as never);
	}

	abandon(): void {
		void this.kill();
	}

	rest(): Promise<void> {
		return this.kill();
	}

	async kill(death: ThreadDeath = { reason: "exit", message: "the thread was ended", stack: null }): Promise<void> {
		if (this.killed) return;
		this.killed = death;
		this.#take()?.reject(new ThreadDiedError(death));
	}

	onIdleDeath(listener: (death: ThreadDeath) => void): void {
		this.#idleDeath = listener;
	}

	/** Answers a start. */
	ready(handles: "message" | "batch" = "message"): void {
		if (this.pending?.type === "start") this.#take()?.resolve({ ok: true, handles } as never);
	}

	failToStart(kind: "load" | "init", message = "no such file"): void {
		this.#take()?.resolve({ ok: false, failure: failure(kind, message) } as never);
	}

	/** The run was handled; `outcome` over "no rows". `finishedTo` as handleMessages returned it for the whole run. */
	handled({ finishedTo, ...outcome }: Partial<BatchOutcome> & { finishedTo?: number | null } = {}): void {
		const call = this.#take();
		if (!call) return;
		const finished = finishedTo === undefined ? {} : { finished: { from: call.from, to: finishedTo } };
		call.resolve({ ok: true, outcome: { ...nothing(call.from, call.to), ...finished, ...outcome } } as never);
	}

	/** The run goes on, and these messages of it (by index in the batch) were handled; `outcome` over "no rows". */
	handledSoFar(messages: readonly number[], outcome: Partial<BatchOutcome> = {}): void {
		const [from, to] = [messages[0] as number, (messages.at(-1) as number) + 1];
		this.#tellPart({ ...nothing(from, to), handled: messages, ...outcome });
	}

	/**
	 * What is left of the run from index `from` on was handled as far as index `to`, and no more of it will be. `calledTo`: a call that failed
	 * had the messages before this index.
	 */
	handledTo(to: number, from = this.pending?.from ?? 0, calledTo?: number): void {
		this.#take()?.resolve({ ok: true, outcome: nothing(from, to), calledTo } as never);
	}

	/** The handler threw at the message with index `at` of the batch (the first of the run by default), all before it were handled. */
	threw(message = "boom", at?: number, batched = false, stack: string | null = null): void {
		const call = this.#take();
		if (!call) return;
		const failed = at ?? call.from;
		const reply = {
			ok: false,
			outcome: nothing(call.from, failed),
			failed,
			batched,
			failure: { ...failure("exception", message), stack },
		};
		call.resolve(reply as never);
	}

	/** The handler threw with all messages of the run, and the thread may not renew its state to halve them. */
	threwTogether(message = "boom"): void {
		const call = this.#take();
		if (!call) return;
		const { from, to } = call;
		const reply = { ok: false, outcome: nothing(from, from), failed: from, together: to - from, batched: true };
		call.resolve({ ...reply, failure: failure("exception", message) } as never);
	}

	/** Calls overlapped: the one at index `at` threw, `unhandled` (it included) are left, everything else was handled. */
	threwAmong(unhandled: readonly number[], at: number): void {
		const call = this.#take();
		if (!call) return;
		const all = Array.from({ length: call.to - call.from }, (_, index) => call.from + index);
		const outcome = { ...nothing(call.from, call.to), handled: all.filter((index) => !unhandled.includes(index)) };
		call.resolve({ ok: false, outcome, failed: at, batched: false, failure: failure("exception", "boom") } as never);
	}

	/** The thread dies with `running` messages in the handler, the first at index `at`. */
	died(running: number, at = 0, reason: ThreadDeath["reason"] = "exception"): void {
		this.state = { calls: this.state.calls + 1, phase: running > 0 ? "handle" : "idle", message: running > 0 ? at : -1, running };
		void this.kill({ reason, message: "it died", stack: null });
	}

	diedIdle(reason: ThreadDeath["reason"] = "exception"): void {
		this.killed = { reason, message: "it died between runs", stack: null };
		this.#idleDeath(this.killed);
	}

	#call<T>(type: PendingCall["type"], offsets: readonly number[] = [], from = 0, to = 0): Promise<T> {
		if (this.killed) return Promise.reject(new ThreadDiedError(this.killed));
		if (this.pending) throw new Error(`${type} while ${this.pending.type} is outstanding`);
		this.calls.push(type === "run" ? `run ${offsets.join(" ")}` : type);
		return new Promise((resolve, reject) => {
			this.pending = { type, offsets, from, to, resolve, reject };
		});
	}

	#take(): PendingCall | null {
		const call = this.pending;
		this.pending = null;
		return call;
	}
}

/** A lease that makes these threads; `told` hears the rest. */
export function fakeLease(open: () => FakeThread, told: (what: "expired" | "released") => void = () => {}): ThreadLease {
	return { open, expire: () => told("expired"), release: () => told("released") };
}

/** A block of one upsert per message index, id `id-<index>`. */
export function rowsFor(messages: readonly number[], table = "events"): RowBlock {
	return blockOf({ table, messages, ids: messages.map((message) => `id-${message}`), columns: [messages.map(String)], bytes: 10 });
}

/** An outcome without rows. */
export function nothing(from: number, to: number): BatchOutcome {
	const counts = { row: 0, delete: 0, none: to - from, rejected: 0 };
	return { from, to, blocks: [], rows: 0, faults: [], rejected: [], counts, durationsMs: new Float64Array(0), warnings: [] };
}

function failure(kind: HandlerFailure["kind"], message: string): HandlerFailure {
	return { kind, name: "Error", message, stack: null };
}
