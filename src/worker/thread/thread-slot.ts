/**
 * The thread that a partition worker has at the moment: made when it is needed, its state renewed after a failed attempt, every call
 * of it under `handler.timeoutMs`. Decides nothing about failures; the worker does.
 *
 *   empty -> starting -> ready <-> to be renewed;  any -> empty
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import type { Clock } from "../../core/clock.ts";
import type { Run } from "../message-queue.ts";
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

/** What a slot is made with. */
export interface ThreadSlotParts {
	readonly create: () => HandlerThread;
	/** `handler.timeoutMs`. */
	readonly timeoutMs: number;
	readonly clock: Clock;
	/** A new thread is ready. */
	readonly started: () => void;
	/** The handler's terminate failed or took too long; the thread goes its way all the same. */
	readonly terminateFailed: (failure: HandlerFailure) => void;
	/** The thread died while no call was under way. */
	readonly diedIdle: (death: ThreadDeath) => void;
}

const idle: ThreadProgress = { calls: 0, phase: "idle", message: -1, running: 0 };

/** The thread that a partition worker uses now. Calls reject with ThreadDiedError where the thread died or was killed at its deadline. */
export class ThreadSlot {
	readonly #parts: ThreadSlotParts;
	#thread: HandlerThread | null = null;
	#started = false;
	#stale = false;
	#takesBatches = false;
	#calls = 0;
	/** The one message that was handed over since the thread began; null before, -1 where there were several. */
	#only: number | null = null;
	#lastId: number | null = null;
	#version: string | null = null;

	constructor(parts: ThreadSlotParts) {
		this.#parts = parts;
	}

	/** True where a run may be handed over. */
	get ready(): boolean {
		return this.#started;
	}

	/** True where there is a thread, in whatever state. */
	get occupied(): boolean {
		return this.#thread !== null;
	}

	/** Node's id of the thread, or of the last one there was; null before the first. */
	get threadId(): number | null {
		return this.#thread?.id ?? this.#lastId;
	}

	/** Of the handler in the thread, or in the last one there was; null before the first. */
	get version(): string | null {
		return this.#version;
	}

	/** The next run begins with a new state. */
	get renews(): boolean {
		return this.#stale;
	}

	/** A run of several messages may make new states on its way: to find which of them fails. */
	get mayRenew(): boolean {
		return this.#takesBatches;
	}

	/** True while a call into the thread is under way. */
	get busy(): boolean {
		return this.#calls > 0;
	}

	/** Nothing but the message at `offset` has been in the thread since it began. */
	isNewFor(offset: number): boolean {
		return this.#thread?.hadOthers === false && (this.#only === null || this.#only === offset);
	}

	/** The handler's state is not to be trusted any more: the next run begins with a new one. */
	needsRenewal(): void {
		this.#stale = true;
	}

	/** Starts a thread where there is none; resolves to what the module or its init did wrong, null for ready. */
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
	 * Hands a run to the handler; only while `ready`. `keepState`: it holds messages that are not finished. `handled` is told what a long
	 * run came to on its way.
	 */
	async run({ held, from, to }: Run, keepState: boolean, handled: (part: BatchOutcome) => void): Promise<RunReply> {
		const thread = this.#thread as HandlerThread;
		const offset = held.batch.offsets[from] as number;
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

	/** A run that only waits for its turn is given back, one that has begun ends behind the calls under way. */
	cutShort(): void {
		this.#thread?.cutShort();
	}

	/** What was asked is of no use any more: cut off as soon as that harms nobody else. */
	abandon(): void {
		this.#thread?.abandon();
	}

	/** Where the thread is, or was when it died. */
	progress(): ThreadProgress {
		return this.#thread?.progress() ?? idle;
	}

	/** Calls the handler's terminate where the thread is alive, and ends the thread. Never rejects. */
	async end(reason: ExitReason): Promise<void> {
		const thread = this.#thread;
		if (thread && this.#started) {
			const ended = thread.terminate(reason).catch(failureByDeath);
			const failure = await this.#withDeadline(thread, ended);
			if (failure) this.#parts.terminateFailed(failure);
		}
		await this.discard();
	}

	/** Ends the thread without a word to the handler; the slot is empty at once. Resolves as `kill` of the thread does. */
	async discard(): Promise<void> {
		const thread = this.#thread;
		this.#lastId = thread?.id ?? this.#lastId;
		this.#thread = null;
		this.#started = false;
		this.#stale = false;
		await thread?.kill();
	}

	/** Ends the thread at once, without a word to the handler; a call under way rejects. */
	async kill(): Promise<void> {
		this.#started = false;
		await this.#thread?.kill();
	}

	#make(): HandlerThread {
		const thread = this.#parts.create();
		this.#thread = thread;
		this.#only = null;
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

/** A thread that died of its terminate, or was killed at its deadline; null where it died before, of another partition's call. */
function failureByDeath(error: Error): HandlerFailure | null {
	if (deathOf(error).reason === "shared") return null;
	return { kind: "exception", name: error.name, message: error.message, stack: null };
}
