/**
 * How long a partition waits before its thread is restarted. The wait doubles, with jitter. It goes back to the shortest only after
 * progress for at least as long as the last wait. So a thread that dies right after its first message again and again spends at most half
 * of the time dying.
 * Pure: asked with the time.
 *
 * Beside a message's way (docs/architecture.md).
 */
import { equalJitter } from "../../core/exponential-back-off.ts";
import type { Random } from "../../core/random.ts";

/** Computes the wait before a restart. */
export class RestartBackOff {
	readonly #bounds: { readonly minMs: number; readonly maxMs: number };
	readonly #random: Random;
	#inARow = 0;
	#delayMs = 0;
	/** Monotonic time at which the last wait ended. */
	#wentOnAtMs = 0;
	#progressed = false;

	constructor(bounds: { readonly minMs: number; readonly maxMs: number }, random: Random) {
		this.#bounds = bounds;
		this.#random = random;
	}

	/** Returns the wait in ms before a restart that is due at `nowMs` (monotonic). */
	next(nowMs: number): number {
		if (this.#progressed && nowMs - this.#wentOnAtMs >= this.#delayMs) this.#inARow = 0;
		this.#inARow++;
		this.#delayMs = equalJitter(this.#inARow, this.#bounds, this.#random);
		this.#wentOnAtMs = nowMs + this.#delayMs;
		this.#progressed = false;
		return this.#delayMs;
	}

	/** Messages were handled or given up. */
	progressed(): void {
		this.#progressed = true;
	}

	/** A person or a changed file asked for a new beginning. */
	reset(): void {
		this.#inARow = 0;
	}
}
