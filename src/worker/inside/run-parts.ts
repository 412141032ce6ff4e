/**
 * The answer to a run, in parts: outcomes of a slow handler leave the thread before the run ends, so that they are written and committed
 * meanwhile. A part is due some time after the main thread has asked. A timer sends it while calls wait for something, else the loop that
 * makes the calls.
 *
 *   asked -> (told -> asked) … -> ended
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import { performance } from "node:perf_hooks";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import type { BatchOutcome, RunReply } from "../thread/handler-thread.ts";
import type { PartReply, SharedProgress } from "../thread/thread-protocol.ts";

/** Time after which handled messages leave the thread, ms: each crossing costs about 0.1 ms. */
const PART_MS = 200;
/** Time after which a run gives the thread away if others wait for it, ms. */
const TURN_MS = 20;
/** Interval between two checks of the memory, ms: a check takes 0.5 µs, and little is gathered in between. */
const LOOK_MS = 2;

/** Not core's Clock, which lives on the main thread. Taken before the user's module is loaded, which may replace them. */
const { setTimeout, clearTimeout } = globalThis;
const now = performance.now.bind(performance);

/** Sends the answer to a run in parts while the run goes on. One per run. */
export class RunParts {
	readonly #progress: SharedProgress;
	readonly #take: () => BatchOutcome | null;
	readonly #looksFull: () => boolean;
	readonly #endOfTurn = now() + TURN_MS;
	#lookAt = now() + LOOK_MS;
	#dueAt = 0;
	#timer: NodeJS.Timeout | undefined;
	#asked: ((reply: RunReply | PartReply | Promise<RunReply>) => void) | null = null;
	#goOn: (batch: PackedBatch | null) => void = () => {};
	#ended: Promise<RunReply> | null = null;

	/** `take` returns what was handled and not sent yet; null if there is nothing. `looksFull`: the thread may use too much memory. */
	constructor({ progress, looksFull }: { progress: SharedProgress; looksFull: () => boolean }, take: () => BatchOutcome | null) {
		this.#progress = progress;
		this.#looksFull = looksFull;
		this.#take = take;
	}

	/** Makes the run, and resolves to the first part. The run's own reply is the last part. */
	begin(run: () => Promise<RunReply>): Promise<RunReply | PartReply> {
		const first = this.ask();
		const last = run();
		const ended = () => {
			clearTimeout(this.#timer);
			this.#ended = last;
			this.#asked?.(last);
		};
		last.then(ended, ended);
		return first;
	}

	/** Resolves to the next part. `batch`: the run's messages again, if the last part asked for them. */
	ask(batch: PackedBatch | null = null): Promise<RunReply | PartReply> {
		return new Promise((resolve) => {
			if (this.#ended) return resolve(this.#ended);
			this.#asked = resolve;
			this.#dueAt = now() + PART_MS;
			this.#waitUntilDue();
			this.#goOn(batch);
		});
	}

	/** True if no more calls should begin. `begun`: how many of the run's calls have begun; `nowMs`: the time by `performance.now`. */
	mustEnd(begun: number, nowMs: number): boolean {
		if (begun > 0 && nowMs >= this.#lookAt) {
			this.#lookAt = nowMs + LOOK_MS;
			if (this.#looksFull()) return true;
		}
		if (this.#progress.wanted === 0) return false;
		return this.#progress.isCutShort || (begun > 0 && nowMs >= this.#endOfTurn);
	}

	isDue(nowMs: number): boolean {
		return nowMs >= this.#dueAt;
	}

	/**
	 * Sends what was handled, and resolves when the next part was asked for. A loop that never waits would otherwise keep its answers in the
	 * thread.
	 */
	async passOn(): Promise<void> {
		if (this.#asked) this.#tell();
		if (!this.#asked) await this.#nextAsked();
	}

	/** Fetches the run's messages as they are in the log, whatever the handler did to its copy. */
	async messagesAgain(outcome: () => BatchOutcome): Promise<PackedBatch> {
		// First wait until the part that was just sent is answered.
		if (!this.#asked) await this.#nextAsked();
		this.#answer({ goesOn: true, outcome: this.#take() ?? outcome(), wantsMessages: true });
		return (await this.#nextAsked()) as PackedBatch;
	}

	#nextAsked(): Promise<PackedBatch | null> {
		return new Promise((resolve) => {
			this.#goOn = resolve;
		});
	}

	#waitUntilDue(): void {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#tell(), PART_MS);
	}

	#tell(): void {
		if (!this.#asked) return;
		const outcome = this.#take();
		if (!outcome) {
			this.#dueAt = now() + PART_MS;
			this.#waitUntilDue();
			return;
		}
		this.#answer({ goesOn: true, outcome, wantsMessages: false });
	}

	#answer(part: PartReply): void {
		clearTimeout(this.#timer);
		const asked = this.#asked;
		this.#asked = null;
		asked?.(part);
	}
}
