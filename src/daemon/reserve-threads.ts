/**
 * Threads in reserve, which have loaded the handler's module. The first ones begin while the daemon still waits for Postgres and Kafka:
 * so a module that can't be loaded is reported at once, and not with the first message.
 */
import type { Clock, Timer } from "../core/clock.ts";
import type { Problem } from "../core/problem.ts";
import { withoutValues } from "../core/text/without-values.ts";
import type { Turn } from "../core/waiting/turn.ts";
import type { HandlerThreads } from "../worker/thread/handler-thread.ts";

/** Delay before threads are made after an assignment or a changed file: the partitions' own threads come first. */
const AGAIN_AFTER_MS = 2_000;
/** Delay before a module that could not be loaded is tried again. */
const RETRY_MS = 10_000;
/**
 * Number of threads in reserve, 10 MB each. `empty`: for a member without partitions, which will get several at once. `eager` (maximum): a
 * rebalance may give a member entirely new partitions. `incremental`: a rebalance mostly gives one more.
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
	/** How long a thread may take to load the module. */
	readonly withinMs: number;
	readonly stopping: AbortSignal;
}

/** Keeps threads in reserve, and knows whether the module can be loaded. One per daemon. */
export class ReserveThreads {
	readonly #parts: ReserveThreadsParts;
	#trouble: Problem<"handler_not_loaded"> | null = null;
	/** A thread has loaded the module. From then on partitions report what is wrong: a missing reserve harms nobody. */
	#hasLoaded = false;
	#isWanted = false;
	#isAtWork = false;
	#retry: Timer | null = null;

	constructor(parts: ReserveThreadsParts) {
		this.#parts = parts;
	}

	/** The problem that the module can't be loaded; empty if it can, or if that is not known. */
	get problems(): readonly Problem<"handler_not_loaded">[] {
		return this.#trouble ? [this.#trouble] : [];
	}

	/** Makes the missing threads one after the other, so that busy partitions keep their processors. Never rejects. */
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

	/** Makes one thread; true if another may be made. As every start of a handler: not while a message in hand may end the process. */
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
			// A partition that needs a thread makes its own, and reports what is wrong.
			return false;
		} finally {
			endTurn?.();
		}
	}

	/** Begins after a moment: partitions that wait for a thread get theirs first. */
	beginLater(): void {
		this.#parts.clock.after(AGAIN_AFTER_MS, () => {
			if (!this.#parts.stopping.aborted) void this.begin();
		});
	}

	/**
	 * The handler's file changed, or one beside it. Makes threads only if the module could not be loaded before: a handler that writes a file
	 * beside itself at each load would otherwise get new threads for ever.
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
		// What it misses may come without a change of a file here: a package, a service.
		this.#retry?.cancel();
		this.#retry = clock.after(RETRY_MS, () => {
			if (this.#trouble && !stopping.aborted) void this.begin();
		});
	}
}
