/**
 * The clock, and the only home of timers. Parts that wait are given a Clock and an AbortSignal, so that tests and the simulation can move
 * time by hand.
 */
import { setTimeout as delay } from "node:timers/promises";

/** A pending timer; cancelling twice, or after it fired, does nothing. */
export interface Timer {
	cancel(): void;
}

/** Wall time, monotonic time and timers. All figures are milliseconds. */
export interface Clock {
	/** Wall clock, ms since the epoch; may jump. For timestamps that people read and for comparing with record timestamps. */
	now(): number;
	/** Monotonic, fractional ms; for durations and deadlines. */
	monotonic(): number;
	/** Calls `callback` once after `delayMs`; the timer doesn't keep the process alive. */
	after(delayMs: number, callback: () => void): Timer;
	/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it is aborted. */
	sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** Node fires a longer timer after one millisecond. So a longer wait is made of several timers. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's clock. */
export const systemClock: Clock = {
	now: () => Date.now(),
	monotonic: () => performance.now(),
	after(delayMs, callback) {
		let timeout: NodeJS.Timeout;
		const wait = (leftMs: number) => {
			const isLast = !(leftMs > LONGEST_TIMER_MS);
			timeout = setTimeout(isLast ? callback : () => wait(leftMs - LONGEST_TIMER_MS), Math.min(leftMs, LONGEST_TIMER_MS));
			timeout.unref();
		};
		wait(delayMs);
		return { cancel: () => clearTimeout(timeout) };
	},
	async sleep(delayMs, signal) {
		try {
			let leftMs = delayMs;
			for (; leftMs > LONGEST_TIMER_MS; leftMs -= LONGEST_TIMER_MS) await delay(LONGEST_TIMER_MS, undefined, signal ? { signal } : {});
			await delay(leftMs, undefined, signal ? { signal } : {});
		} catch (cause) {
			throw signal?.aborted ? signal.reason : cause;
		}
	},
};
