/**
 * Which message's last attempt needs a new thread: an earlier message may have changed built-ins, globals or the module's state, and then
 * good messages fail too. But a stream of bad messages must not start a stream of threads: if a message fails in the same way as another
 * one failed in a new thread a moment ago, it needs none. Pure.
 *
 * A side way of a message's way (docs/architecture.md).
 */
import { failureName, type NamedFailure } from "../../core/text/failure-name.ts";

/** A new thread takes some 50 ms of a processor: one a second is no load, and a thread that is out of order is found within a second. */
const BELIEVED_MS = 1_000;
/** More kinds of failures mean that they differ each time. */
const MOST_KINDS = 100;

/** Decides whether a message's last attempt needs a new thread. One per partition worker. */
export class LastAttempts {
	/** By the failure's name, when it was seen in a new thread last (monotonic). */
	readonly #believed = new Map<string, number>();
	/** The message that got a new thread. */
	#offset = -1;

	/** True where the next attempt, the last one of the message at `offset`, needs a new thread. */
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
