/**
 * Replaces the thread of a partition, or the handler's state in it. What only the old state held is queued again: those messages are
 * handled once more, before everything else.
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import type { FailurePolicy } from "./failures/failure-policy.ts";
import { firstOffset, type MessageQueue, type Run } from "./message-queue.ts";
import type { ThreadSlot } from "./thread/thread-slot.ts";
import type { RestartReason, WorkerParts } from "./worker-parts.ts";
import type { WorkerWaits } from "./worker-waits.ts";

/** What replacing needs from its worker. */
export interface ThreadReplacementParts {
	readonly slot: ThreadSlot;
	readonly queue: MessageQueue;
	readonly waits: WorkerWaits;
	readonly policy: FailurePolicy;
}

/** Replaces threads and states of one partition. Call it only while no message is in hand. */
export class ThreadReplacement {
	readonly #parts: WorkerParts;
	readonly #with: ThreadReplacementParts;

	constructor(parts: WorkerParts, own: ThreadReplacementParts) {
		this.#parts = parts;
		this.#with = own;
	}

	/** Carries out the requests to begin anew. If a person only resumed the partition, it keeps its thread. */
	async asAsked(): Promise<void> {
		const { slot, waits } = this.#with;
		const why = (["admin", "file_changed", "out_of_memory"] as const).find((each) => waits.anew.has(each)) ?? null;
		waits.anew.clear();
		if (!why || !slot.occupied) return;
		await slot.end("restart");
		this.replaced(why);
	}

	/** Not a failure: the thread is replaced between two runs, before V8 ends the process because of it. */
	holdsTooMuch(heldMb: number): void {
		this.#parts.listener.heldTooMuch(this.#parts.partition, heldMb);
		this.#with.waits.anew.add("out_of_memory");
		this.#parts.threads.expire();
	}

	/** A new state before the next message. */
	async withNewState(): Promise<void> {
		await this.#with.slot.end("failed");
		this.replaced("last_attempt");
	}

	/**
	 * A new thread for the last attempt of `run`, so that what other messages left behind in the old one can't be the cause. Not a failure,
	 * and no restart that the intensity counts.
	 */
	async forLastAttempt(run: Run): Promise<void> {
		const { slot, waits } = this.#with;
		// Stopped meanwhile, or replaced for another reason.
		if (waits.stopReason || waits.anew.size > 0 || !slot.ready) return;
		if (slot.isNewFor(firstOffset(run))) return;
		this.#parts.threads.expire();
		await this.withNewState();
	}

	/** The thread was replaced, and no message of this partition is to blame. */
	replaced(why: RestartReason): void {
		this.#with.policy.replaced();
		this.#parts.listener.restarted(this.#parts.partition, why);
		this.stateEnded();
	}

	/** The handler's state was renewed, or is gone with its thread. */
	stateEnded(): void {
		const last = this.#with.queue.requeueUnconfirmed();
		if (last !== null) this.#with.policy.repeated(last);
	}
}
