/**
 * A clock for parts that work in real time, on threads or files: short waits (back-offs) pass as on the machine's clock, long ones
 * (deadlines) and the monotonic time only where the test lets them. A busy machine so never makes anybody late.
 */
import { type Clock, systemClock, type Timer } from "../../../src/core/clock.ts";
import { waitFor } from "../wait-for.ts";
import { ManualClock } from "./manual-clock.ts";

/** What is no longer passes by itself. */
const SHORT_MS = 50;
/** Small beside most deadlines. */
const STEP_MS = 50;

/** See the file's header. */
export class LongWaitsClock implements Clock {
	readonly #long = new ManualClock();

	now(): number {
		return systemClock.now();
	}

	monotonic(): number {
		return this.#long.monotonic();
	}

	after(delayMs: number, callback: () => void): Timer {
		return this.#clockFor(delayMs).after(delayMs, callback);
	}

	sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
		return this.#clockFor(delayMs).sleep(delayMs, signal);
	}

	/** Lets time pass until `isOver`, in steps that are small beside the deadline. */
	async passUntil(what: string, isOver: () => boolean, stepMs = STEP_MS): Promise<void> {
		await waitFor(what, async () => {
			if (!isOver()) await this.#long.advance(stepMs);
			return isOver();
		});
	}

	#clockFor(delayMs: number): Clock {
		return delayMs <= SHORT_MS ? systemClock : this.#long;
	}
}
