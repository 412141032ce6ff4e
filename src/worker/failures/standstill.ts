/**
 * How long failing messages have held up a partition. The standstill ends when they are handled, not merely when a new thread begins. If a
 * message is given up, it ends without a report, because the letter says so. Pure.
 *
 * Beside a message's way (docs/architecture.md).
 */
import { firstOffset, type Run } from "../message-queue.ts";
import type { FailureKind } from "./crash-report.ts";

/** A partition goes on after failures. */
export interface Recovery {
	/** The last message that it stood at. */
	readonly offset: number;
	/** Failures until then, each of them reported. */
	readonly failures: number;
	/** From the first failure until the message was handled. */
	readonly stoodMs: number;
}

interface Standing {
	readonly sinceMs: number;
	/** The message of the last failure. */
	at: number;
	/** The last message that has to be handled before the failures are over. */
	through: number;
	failures: number;
}

/** The standstill of one partition, if there is one. Times are monotonic. */
export class Standstill {
	#standing: Standing | null = null;

	/** `run` is the message that failed, or all that may have; null if there was none: then nothing stands. */
	failed(kind: FailureKind, run: Run | null, nowMs: number): void {
		if (!run) return;
		const { offsets } = run.held.batch;
		const at = firstOffset(run);
		// A module that does not load, or an init that fails, had no message. Once the next one is handled, it is known that they work.
		const last = kind === "load" || kind === "init" ? at : (offsets[run.to - 1] as number);
		this.#standing ??= { sinceMs: nowMs, at, through: last, failures: 0 };
		this.#standing.failures++;
		this.#standing.at = at;
		this.#standing.through = Math.max(this.#standing.through, last);
	}

	/** Messages up to `offset` were handled. Returns the standstill that is over now, if one is. */
	handled(offset: number, nowMs: number): Recovery | null {
		if (!this.#standing || offset < this.#standing.through) return null;
		const { sinceMs, through, failures } = this.#standing;
		this.#standing = null;
		return { offset: through, failures, stoodMs: nowMs - sinceMs };
	}

	/** The message at `offset` was given up. */
	gaveUp(offset: number): void {
		if (this.#standing?.at === offset) this.#standing = null;
	}
}
