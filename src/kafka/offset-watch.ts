/**
 * Looks now and then whether stored offsets are still what this member stored: a partition without messages stores nothing that would find
 * out.
 */
import type { Clock, Timer } from "../core/clock.ts";

/** A restored backup is to be noticed within a minute. */
const LOOK_EVERY_MS = 5_000;

/** See the file's header. Idempotent to dispose. */
export class OffsetWatch {
	readonly #clock: Clock;
	readonly #look: () => Promise<void>;
	#timer: Timer | null = null;
	#disposed = false;

	/** `look` may reject: then nothing is known, and it is asked again. */
	constructor(clock: Clock, look: () => Promise<void>) {
		this.#clock = clock;
		this.#look = look;
	}

	start(): void {
		if (this.#disposed) return;
		this.#timer = this.#clock.after(LOOK_EVERY_MS, () => {
			void this.#look()
				.catch(() => {})
				.finally(() => this.start());
		});
	}

	dispose(): void {
		this.#disposed = true;
		this.#timer?.cancel();
	}
}
