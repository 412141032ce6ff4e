/**
 * Decides whether a message's last attempt needs a new thread. Earlier messages may have changed built-ins, globals or the module's state,
 * so that good messages fail too. But a stream of bad messages must not cause a stream of new threads: a message that fails in the same way
 * as another one did in a new thread a moment ago needs none. Pure.
 */
import { failureName, type NamedFailure } from "../../core/text/failure-name.ts";

/** A new thread costs about 50 ms of CPU: one a second is no load, and a broken thread is found within a second. */
const BELIEVED_MS = 1_000;
/** More kinds than this mean that every failure is different. */
const MOST_KINDS = 100;

/** Decides whether a message's last attempt needs a new thread. One per partition worker. */
export class LastAttempts {
	/** By the failure's name: when it was last seen in a new thread (monotonic). */
	readonly #believed = new Map<string, number>();
	/** Offset of the last message that got a new thread. */
	#offset = -1;

	/** True if the last attempt of the message at `offset`, which comes next, needs a new thread. */
	needsNewThread(offset: number, failure: NamedFailure, nowMs: number): boolean {
		const seenAt = this.#believed.get(failureName(failure));
		if (seenAt !== undefined && nowMs - seenAt < BELIEVED_MS) return false;
		this.#offset = offset;
		return true;
	}

	/** The last attempt of the message at `offset` failed. */
	failed(offset: number, failure: NamedFailure, nowMs: number): void {
		if (offset !== this.#offset) return;
		if (this.#believed.size >= MOST_KINDS) this.#believed.clear();
		this.#believed.set(failureName(failure), nowMs);
	}
}
