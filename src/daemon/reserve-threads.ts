/**
 * The threads in reserve, with the handler's module loaded. They are begun before Postgres and Kafka are waited for, so a module that can't
 * be loaded is told at once, and not with the first message.
 */
import type { Clock } from "../core/clock.ts";
import type { Problem } from "../core/problem.ts";
import type { Turn } from "../core/waiting/turn.ts";
import type { HandlerThreads } from "../worker/thread/handler-thread.ts";

/** Delay before reserve threads are started again: an assignment's own threads come first. */
const AGAIN_AFTER_MS = 2_000;

/** What keeping threads in reserve needs. */
export interface ReserveThreadsParts {
	readonly threads: Pick<HandlerThreads, "warm">;
	readonly turn: Turn;
	readonly clock: Clock;
	/** How many threads there should be in reserve. */
	readonly count: () => number;
	/** `handler.timeoutMs`. */
	readonly withinMs: number;
	readonly stopping: AbortSignal;
}

/** Keeps threads in reserve, and knows whether the module can be loaded. One per daemon. */
export class ReserveThreads {
	readonly #parts: ReserveThreadsParts;
	#trouble: Problem<"handler_not_loaded"> | null = null;

	constructor(parts: ReserveThreadsParts) {
		this.#parts = parts;
	}

	/** The module can't be loaded; empty if it can, or if that is not known. */
	get problems(): readonly Problem<"handler_not_loaded">[] {
		return this.#trouble ? [this.#trouble] : [];
	}

	/** As any handler that begins: not while a message that may end the process is in hand. Never rejects. */
	async begin(): Promise<void> {
		const { threads, turn, count, withinMs, stopping } = this.#parts;
		const endTurn = await turn.together(stopping);
		try {
			if (!endTurn || stopping.aborted) return;
			const { isLoaded, failure } = await threads.warm(count(), withinMs);
			if (isLoaded) this.loaded();
			else if (failure) this.#failed(failure.message);
		} catch {
			// A partition that needs the thread makes its own, and tells what is wrong.
		} finally {
			endTurn?.();
		}
	}

	/** When those that wait for a thread have one. */
	beginLater(): void {
		this.#parts.clock.after(AGAIN_AFTER_MS, () => {
			if (!this.#parts.stopping.aborted) void this.begin();
		});
	}

	/**
	 * The handler's file changed, or one beside it. Makes no other thread, unless the module could not be loaded before: a handler that
	 * writes a file beside itself at each load would have one made for ever.
	 */
	handlerChanged(): void {
		if (this.#trouble) this.beginLater();
	}

	/** A thread has loaded the module. */
	loaded(): void {
		this.#trouble = null;
	}

	#failed(words: string): void {
		const message = `the handler can't be loaded: ${words}. Save the corrected file, and it is loaded without a restart`;
		this.#trouble = { code: "handler_not_loaded", where: null, message, sinceMs: this.#trouble?.sinceMs ?? this.#parts.clock.now() };
	}
}
