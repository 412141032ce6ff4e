/**
 * Knows whether the group may have removed this member: then revoked partitions already belong to somebody else. Either the client says so,
 * or the process was frozen for longer than a session and will hear it soon.
 */
import type { Clock } from "../../core/clock.ts";

/** How soon after waking up a frozen member hears from the coordinator that the group has removed it. */
const VERDICT_WITHIN_MS = 15_000;

/** Knows whether the group may have removed this member. */
export class SessionWatch {
	readonly timeoutMs: number;
	readonly #clock: Clock;
	#isLost = false;
	/** Monotonic time of the last poll; and of the last poll that began more than a session after the one before. */
	#polledAt = Number.POSITIVE_INFINITY;
	#outlivedAt = Number.NEGATIVE_INFINITY;

	constructor(clock: Clock, timeoutMs: number) {
		this.#clock = clock;
		this.timeoutMs = timeoutMs;
	}

	get isLost(): boolean {
		return this.#isLost || this.#clock.monotonic() - this.#outlivedAt < VERDICT_WITHIN_MS;
	}

	/** A poll begins. */
	polling(): void {
		const now = this.#clock.monotonic();
		if (now - this.#polledAt > this.timeoutMs) this.#outlivedAt = now;
		this.#polledAt = now;
	}

	/** The client itself gave up its membership. */
	lost(): void {
		this.#isLost = true;
	}

	/** A member that had no partitions was given some. */
	begun(): void {
		this.#isLost = false;
		this.#outlivedAt = Number.NEGATIVE_INFINITY;
	}
}
