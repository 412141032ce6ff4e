/**
 * Threads that were told to end and don't. `worker.terminate()` ends no native call (a child process that is waited for, a read from a
 * mount that hangs) and no built-in that walks a list of billions of holes. After a grace such a thread is left behind, and the next one
 * begins beside it. Whatever it still answers is not used, but it holds its memory, and maybe a processor, until it ends by itself. So
 * those that live are told, and past a limit the process has to end.
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { Problem } from "../../core/problem.ts";
import type { ThreadProgress } from "./handler-thread.ts";

/** Terminating takes milliseconds; so long only where it does not work. */
const GRACE_MS = 1_000;

/** A thread that was told to end, and what it did then. */
export interface EndedThread {
	/** Node's id. */
	readonly id: number | null;
	readonly module: string;
	readonly phase: ThreadProgress["phase"];
	/** Whose call ran; null where none did. */
	readonly partition: TopicPartition | null;
	/** The message that was in the handler, of several the one begun first; null where none was. */
	readonly offset: number | null;
	/** Why it had to end. */
	readonly why: string;
}

/** Keeps threads that were told to end and have not ended. */
export class StuckThreads {
	readonly #clock: Clock;
	readonly #limit: number;
	readonly #tooMany: (reason: string) => void;
	/** With when each had to end, by the wall clock. */
	readonly #living = new Map<EndedThread, number>();

	/** More than `limit` of them at a time are told to `tooMany`. */
	constructor({ clock = systemClock, limit = Number.POSITIVE_INFINITY, tooMany = () => {} }: StuckThreadsParts = {}) {
		this.#clock = clock;
		this.#limit = limit;
		this.#tooMany = tooMany;
	}

	/** How many live. */
	get count(): number {
		return this.#living.size;
	}

	/** Resolves when `thread` is `gone`, or when its grace is over: then it is one of them for as long as it lives. */
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
		return `${whatOf(thread)}, and can't be ended (${thread.why}): ${cost}${limit}; look in that module for what waits or computes without a limit (execSync, a read from a hung mount, a walk over a sparse list)`;
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
