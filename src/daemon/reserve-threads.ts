/**
 * The threads in reserve, with the handler's module loaded. They begin beside the wait for Postgres and Kafka, so a module that can't be
 * loaded is told at once, and not with the first message.
 */
import type { Clock, Timer } from "../core/clock.ts";
import type { Problem } from "../core/problem.ts";
import { withoutValues } from "../core/text/without-values.ts";
import type { Turn } from "../core/waiting/turn.ts";
import type { HandlerThreads } from "../worker/thread/handler-thread.ts";

/** Delay before reserve threads are started again: an assignment's own threads come first. */
const AGAIN_AFTER_MS = 2_000;
/** Until a module that could not be loaded is tried again. */
const RETRY_MS = 10_000;
/**
 * Threads in reserve, of 10 MB each. `empty`: a member without partitions gets several at once. `eager`, at most: after a rebalance a
 * member may have all others than before. `incremental`: a member that has some mostly gets one more.
 */
const RESERVES = { empty: 2, eager: 4, incremental: 1 };

/** What keeping threads in reserve needs. */
export interface ReserveThreadsParts {
	readonly threads: Pick<HandlerThreads, "warm">;
	readonly turn: Turn;
	readonly clock: Clock;
	/** Partitions that this member has now. */
	readonly assigned: () => number;
	/** True if assignments come as differences (cooperative, KIP-848). */
	readonly incremental: boolean;
	/** `handler.timeoutMs`. */
	readonly withinMs: number;
	readonly stopping: AbortSignal;
}

/** Keeps threads in reserve, and knows whether the module can be loaded. One per daemon. */
export class ReserveThreads {
	readonly #parts: ReserveThreadsParts;
	#trouble: Problem<"handler_not_loaded"> | null = null;
	/** Some thread has loaded the module. From then on partitions tell what is wrong: a spare thread that can't be made harms nobody. */
	#hasLoaded = false;
	#isWanted = false;
	#isAtWork = false;
	#retry: Timer | null = null;

	constructor(parts: ReserveThreadsParts) {
		this.#parts = parts;
	}

	/** The module can't be loaded; empty if it can, or if that is not known. */
	get problems(): readonly Problem<"handler_not_loaded">[] {
		return this.#trouble ? [this.#trouble] : [];
	}

	/** Makes those that are missing, one after the other: each needs a processor, which partitions want that are at work. Never rejects. */
	async begin(): Promise<void> {
		this.#isWanted = true;
		if (this.#isAtWork) return;
		this.#isAtWork = true;
		while (this.#isWanted) {
			this.#isWanted = false;
			for (let left = this.#count(); left > 0; left--) if (!(await this.#oneMore())) break;
		}
		this.#isAtWork = false;
	}

	/** True if another may be made. As any handler that begins: not while a message that may end the process is in hand. */
	async #oneMore(): Promise<boolean> {
		const { threads, turn, withinMs, stopping } = this.#parts;
		const endTurn = await turn.together(stopping);
		try {
			if (!endTurn || stopping.aborted) return false;
			const reply = await threads.warm(this.#count(), withinMs);
			if (reply.kind === "loaded" || reply.kind === "enough") this.loaded();
			else if (reply.kind === "full") this.#trouble = null;
			else if (reply.kind === "failed" && !this.#hasLoaded) this.#failed(reply.failure.message);
			return reply.kind === "loaded";
		} catch {
			// A partition that needs the thread makes its own, and tells what is wrong.
			return false;
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
		this.#hasLoaded = true;
		this.#trouble = null;
	}

	#count(): number {
		const assigned = this.#parts.assigned();
		if (assigned === 0) return RESERVES.empty;
		return this.#parts.incremental ? RESERVES.incremental : Math.min(RESERVES.eager, Math.max(RESERVES.empty, assigned));
	}

	#failed(words: string): void {
		const { clock, stopping } = this.#parts;
		const message = `the handler can't be loaded: ${withoutValues(words)}. Save the corrected file, and it is loaded without a restart`;
		this.#trouble = { code: "handler_not_loaded", where: null, message, sinceMs: this.#trouble?.sinceMs ?? clock.now() };
		// What it needs may come without a file that changes: a package, a service.
		this.#retry?.cancel();
		this.#retry = clock.after(RETRY_MS, () => {
			if (this.#trouble && !stopping.aborted) void this.begin();
		});
	}
}
