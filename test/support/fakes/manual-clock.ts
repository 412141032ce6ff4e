/** A clock that stands still until the test moves it. */
import type { Clock, Timer } from "../../../src/core/clock.ts";

interface Due {
	readonly at: number;
	readonly callback: () => void;
}

/** Wall and monotonic time begin at `startMs` and 0. */
export class ManualClock implements Clock {
	readonly #startMs: number;
	#elapsedMs = 0;
	#timers: Due[] = [];

	constructor(startMs = 1_700_000_000_000) {
		this.#startMs = startMs;
	}

	/** Delays of the timers that are set, soonest first. */
	get pending(): number[] {
		return this.#timers.map(({ at }) => at - this.#elapsedMs).sort((left, right) => left - right);
	}

	now(): number {
		return this.#startMs + this.#elapsedMs;
	}

	monotonic(): number {
		return this.#elapsedMs;
	}

	after(delayMs: number, callback: () => void): Timer {
		const timer = { at: this.#elapsedMs + Math.max(0, delayMs), callback };
		this.#timers.push(timer);
		return {
			cancel: () => {
				this.#timers = this.#timers.filter((each) => each !== timer);
			},
		};
	}

	sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			if (signal?.aborted) return reject(signal.reason);
			const aborted = () => {
				timer.cancel();
				reject(signal?.reason);
			};
			const timer = this.after(delayMs, () => {
				signal?.removeEventListener("abort", aborted);
				resolve();
			});
			signal?.addEventListener("abort", aborted, { once: true });
		});
	}

	/** Moves time, firing what is due in order and letting everything it started come to rest in between. */
	async advance(ms: number): Promise<void> {
		const end = this.#elapsedMs + ms;
		await settle();
		for (;;) {
			const [next] = this.#timers.filter(({ at }) => at <= end).sort((left, right) => left.at - right.at);
			if (!next) break;
			this.#elapsedMs = Math.max(this.#elapsedMs, next.at);
			this.#timers = this.#timers.filter((each) => each !== next);
			next.callback();
			await settle();
		}
		this.#elapsedMs = end;
		await settle();
	}
}

/** Lets promise chains that wait for nothing come to rest: a turn of the event loop runs every microtask. */
export async function settle(): Promise<void> {
	for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
