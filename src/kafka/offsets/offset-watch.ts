/**
 * Regularly checks whether the stored offsets are still what this member stored. A partition without messages stores nothing, so nothing
 * else would find out.
 */
import type { Clock, Timer } from "../../core/clock.ts";

/** A restored backup should be noticed within a minute. */
const LOOK_EVERY_MS = 5_000;
/** Failures in a row that are reported: one lost connection is not worth it. */
const TOLD_FAILURES = 2;

/** Checks from time to time that stored offsets are unchanged. Idempotent to dispose. */
export class OffsetWatch {
	readonly #clock: Clock;
	readonly #look: () => Promise<void>;
	#timer: Timer | null = null;
	#disposed = false;
	#failures = 0;
	#failing: { readonly error: unknown; readonly sinceMs: number } | null = null;

	/** `look` may reject: then nothing is known, and it is called again. */
	constructor(clock: Clock, look: () => Promise<void>) {
		this.#clock = clock;
		this.#look = look;
	}

	start(): void {
		if (this.#disposed) return;
		this.#timer = this.#clock.after(LOOK_EVERY_MS, () => {
			void this.#look()
				.then(
					() => this.#answered(),
					(error: unknown) => this.#failed(error),
				)
				.finally(() => this.start());
		});
	}

	/**
	 * Why checks have failed, twice in a row or more; null if the last one did not. The only sign of trouble from a daemon without messages.
	 */
	get failing(): { readonly error: unknown; readonly sinceMs: number } | null {
		return this.#failures >= TOLD_FAILURES ? this.#failing : null;
	}

	dispose(): void {
		this.#disposed = true;
		this.#timer?.cancel();
	}

	#answered(): void {
		this.#failures = 0;
		this.#failing = null;
	}

	#failed(error: unknown): void {
		this.#failures++;
		this.#failing = { error, sinceMs: this.#failing?.sinceMs ?? this.#clock.now() };
	}
}
