/**
 * Threads that were told to end and do not. `worker.terminate()` does not end a native call (waiting for a child process, a read from a
 * mount that hangs), nor a built-in that walks a list of billions of holes. After a grace period such a thread is left behind, and the next
 * one begins beside it. Its later answers are ignored, but it holds its memory, and maybe a processor, until it ends by itself. So stuck
 * threads are reported, and beyond a limit the process has to end.
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { Problem } from "../../core/problem.ts";
import type { ThreadProgress } from "./handler-thread.ts";

/** Terminating takes milliseconds; after this time it does not work. */
const GRACE_MS = 1_000;

/** A thread that was told to end, and what it was doing. */
export interface EndedThread {
	/** Node's id. */
	readonly id: number | null;
	readonly module: string;
	readonly phase: ThreadProgress["phase"];
	/** The partition whose call ran; null if none did. */
	readonly partition: TopicPartition | null;
	/** Offset of the message in the handler, or of the earliest of several; null if there was none. */
	readonly offset: number | null;
	/** Why it had to end. */
	readonly why: string;
}

/** Keeps threads that were told to end and have not ended. */
export class StuckThreads {
	readonly #clock: Clock;
	readonly #limit: number;
	readonly #tooMany: (reason: string) => void;
	/** The stuck threads, with the wall-clock time at which each had to end. */
	readonly #living = new Map<EndedThread, number>();

	/** Calls `tooMany` when more than `limit` threads are stuck at a time. */
	constructor({ clock = systemClock, limit = Number.POSITIVE_INFINITY, tooMany = () => {} }: StuckThreadsParts = {}) {
		this.#clock = clock;
		this.#limit = limit;
		this.#tooMany = tooMany;
	}

	/** Number of stuck threads. */
	get count(): number {
		return this.#living.size;
	}

	/** Resolves when `thread` is `gone`, or after the grace period: then the thread counts as stuck until it ends. */
	async leave(thread: EndedThread, gone: Promise<void>): Promise<void> {
		const sinceMs = this.#clock.now();
		await new Promise<void>((resolve) => {
			const grace = this.#clock.after(GRACE_MS, () => {
				this.#add(thread, sinceMs);
				resolve();
			});
			void gone.then(() => {
				grace.cancel();
				this.#living.delete(thread);
				resolve();
			});
		});
	}

	get problems(): Problem<"thread_stuck">[] {
		return [...this.#living].map(([thread, sinceMs]) => ({
			code: "thread_stuck",
			where: thread.partition,
			message: this.#wordsOf(thread),
			sinceMs,
		}));
	}

	#add(thread: EndedThread, sinceMs: number): void {
		this.#living.set(thread, sinceMs);
		if (this.count <= this.#limit) return;
		this.#tooMany(`${this.count} handler threads can't be ended, more than ${this.#limit}; the last one: ${whatOf(thread)}`);
	}

	#wordsOf(thread: EndedThread): string {
		const cost = "it holds its memory, and maybe a processor, beside the thread that took its place";
		const limit = Number.isFinite(this.#limit) ? `; with more than ${this.#limit} of them the daemon ends by itself` : "";
		return `${whatOf(thread)}, and can't be ended (${thread.why}): ${cost}${limit}; look in that module for code that waits or computes without a limit (execSync, a read from a hung mount, a walk over a sparse list)`;
	}
}

interface StuckThreadsParts {
	readonly clock?: Clock;
	readonly limit?: number;
	readonly tooMany?: (reason: string) => void;
}

function whatOf({ id, module, phase, offset }: EndedThread): string {
	const where = phase === "idle" ? "between two calls" : `in ${phaseWords[phase]}${offset === null ? "" : ` of offset ${offset}`}`;
	return `thread ${id ?? "?"} of ${module} stands ${where}`;
}

const phaseWords = { load: "the load", init: "init", handle: "the handler's call", terminate: "terminate" } as const;
