/**
 * The current thread of a partition worker: created when needed, its handler state renewed after a failed attempt, every call limited by
 * `handler.timeoutMs`. Decides nothing about failures; the worker does.
 *
 *    empty -> starting -> ready <-> to be renewed; any -> empty
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import type { Clock } from "../../core/clock.ts";
import { firstOffset, type Run } from "../message-queue.ts";
import { withCallDeadline } from "./call-deadline.ts";
import {
	type BatchOutcome,
	countHandled,
	deathOf,
	type ExitReason,
	type HandlerFailure,
	type HandlerThread,
	type RunReply,
	type ThreadDeath,
	type ThreadProgress,
} from "./handler-thread.ts";

/** What a slot needs. */
export interface ThreadSlotParts {
	readonly create: () => HandlerThread;
	/** `handler.timeoutMs`. */
	readonly timeoutMs: number;
	readonly clock: Clock;
	/** A new thread is ready. */
	readonly started: () => void;
	/** The handler's terminate failed or took too long. The thread ends all the same. */
	readonly terminateFailed: (failure: HandlerFailure) => void;
	/** The thread died while no call was under way. */
	readonly diedIdle: (death: ThreadDeath) => void;
}

const idle: ThreadProgress = { calls: 0, phase: "idle", message: -1, running: 0 };

/** The thread that a partition worker uses now. Calls reject with ThreadDiedError if the thread died or was killed at its deadline. */
export class ThreadSlot {
	readonly #parts: ThreadSlotParts;
	#thread: HandlerThread | null = null;
	#started = false;
	#stale = false;
	#isCodeOld = false;
	#takesBatches = false;
	#calls = 0;
	/** Offset of the only message handed over since the thread began; null before, -1 after several. */
	#only: number | null = null;
	#lastId: number | null = null;
	#version: string | null = null;

	constructor(parts: ThreadSlotParts) {
		this.#parts = parts;
	}

	/** True if a run may be handed over. */
	get ready(): boolean {
		return this.#started;
	}

	/** True if there is a thread, in whatever state. */
	get occupied(): boolean {
		return this.#thread !== null;
	}

	/** Node's id of the current or last thread; null before the first. */
	get threadId(): number | null {
		return this.#thread?.id ?? this.#lastId;
	}

	/** Version of the handler in the current or last thread; null before the first. */
	get version(): string | null {
		return this.#version;
	}

	/** The same, while that thread is there and has loaded the handler. */
	get loadedVersion(): string | null {
		return this.#started ? this.#version : null;
	}

	/** The next run begins with a new state. */
	get renews(): boolean {
		return this.#stale;
	}

	/** A run of several messages may make new states on its way, to find which message fails. */
	get mayRenew(): boolean {
		return this.#takesBatches;
	}

	/** True while a call into the thread is under way. */
	get busy(): boolean {
		return this.#calls > 0;
	}

	/** The thread runs code that is no longer on disk. */
	get isCodeOld(): boolean {
		return this.#isCodeOld;
	}

	/** The handler's files changed. */
	codeChanged(): void {
		this.#isCodeOld = this.occupied;
	}

	/** True if no other message than the one at `offset` has been in this thread. */
	isNewFor(offset: number): boolean {
		return this.#thread?.hadOthers === false && (this.#only === null || this.#only === offset);
	}

	/** The handler's state can't be trusted any more: the next run begins with a new one. */
	needsRenewal(): void {
		this.#stale = true;
	}

	/** Starts a thread if there is none. Resolves to the failure of the module or its init; null if the thread is ready. */
	async makeReady(): Promise<HandlerFailure | null> {
		const thread = this.#thread ?? this.#make();
		const reply = await this.#withDeadline(thread, thread.start());
		if (!reply.ok) return reply.failure;
		this.#started = true;
		this.#stale = false;
		this.#takesBatches = reply.handles === "batch";
		this.#version = reply.version ?? null;
		this.#parts.started();
		return null;
	}

	/**
	 * Hands a run to the handler. Call it only while `ready`. `keepState`: the state holds unfinished messages. `handled` gets the results so
	 * far of a long run.
	 */
	async run(run: Run, keepState: boolean, handled: (part: BatchOutcome) => void): Promise<RunReply> {
		const thread = this.#thread as HandlerThread;
		const { held, from, to } = run;
		const offset = firstOffset(run);
		this.#only = to - from === 1 && (this.#only === null || this.#only === offset) ? offset : -1;
		const rule = this.#stale ? "renew" : keepState ? "keep" : "free";
		const told = (part: BatchOutcome) => {
			this.#stale = false;
			handled(part);
		};
		const reply = await this.#withDeadline(thread, thread.run(held.batch, from, to, rule, told));
		if (!reply.ok || countHandled(reply.outcome) > 0) this.#stale = false;
		if (reply.terminated) this.#parts.terminateFailed(reply.terminated);
		return reply;
	}

	/** Ends the run soon. One that only waits for its turn is given back; one that has begun ends after the calls under way. */
	cutShort(): void {
		this.#thread?.cutShort();
	}

	/** The call's result is no longer needed: the call is cut off as soon as that harms no other partition. */
	abandon(): void {
		this.#thread?.abandon();
	}

	/** What the thread is doing, or was doing when it died. */
	progress(): ThreadProgress {
		return this.#thread?.progress() ?? idle;
	}

	/**
	 * Calls the handler's terminate if the thread is alive, and ends the thread. If the partition is given away, a healthy thread may be
	 * kept. Never rejects.
	 */
	async end(reason: ExitReason): Promise<void> {
		const thread = this.#thread;
		let isWell = !this.#stale;
		if (thread && this.#started) {
			const ended = thread.terminate(reason).catch(failureByDeath);
			const failure = await this.#withDeadline(thread, ended);
			if (failure) this.#parts.terminateFailed(failure);
			isWell &&= failure === null;
		} else isWell = false;
		if (isWell && reason === "revoked") await this.#empty()?.rest();
		else await this.discard();
	}

	/** Ends the thread without calling the handler; the slot is empty at once. Resolves when the thread's `kill` does. */
	async discard(): Promise<void> {
		await this.#empty()?.kill();
	}

	/** Empties the slot, and returns the thread that it had. */
	#empty(): HandlerThread | null {
		const thread = this.#thread;
		this.#lastId = thread?.id ?? this.#lastId;
		this.#thread = null;
		this.#started = false;
		this.#stale = false;
		return thread;
	}

	/** Ends the thread at once, without calling the handler; a call under way rejects. */
	async kill(): Promise<void> {
		this.#started = false;
		await this.#thread?.kill();
	}

	#make(): HandlerThread {
		const thread = this.#parts.create();
		this.#thread = thread;
		this.#only = null;
		this.#isCodeOld = false;
		thread.onIdleDeath((death) => {
			if (this.#thread === thread) this.#parts.diedIdle(death);
		});
		return thread;
	}

	async #withDeadline<T>(thread: HandlerThread, call: Promise<T>): Promise<T> {
		this.#calls++;
		try {
			return await withCallDeadline(call, thread, this.#parts.timeoutMs, this.#parts.clock);
		} finally {
			this.#calls--;
		}
	}
}

/**
 * The failure of a thread that died in its terminate or was killed at its deadline; null if another partition's call had killed it before.
 */
function failureByDeath(error: Error): HandlerFailure | null {
	if (deathOf(error).reason === "shared") return null;
	return { kind: "exception", name: error.name, message: error.message, stack: null };
}
