/**
 * At most `workers.maxThreads` threads for all partitions. At its first start a partition gets the place with the fewest partitions, and
 * keeps it as long as it is assigned, whatever dies. The thread of a place begins with the first start there and ends with its last share.
 * Without a limit every partition has its own place.
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { HandlerThread, HandlerThreads, ThreadLease } from "./handler-thread.ts";
import { type SharedDeath, SharedThread, type ThreadHost } from "./shared-thread.ts";
import { ThreadShare } from "./thread-share.ts";

/** What placing partitions on threads needs. */
export interface SharedThreadsParts {
	/** `workers.maxThreads`; 0: no limit. */
	readonly maxThreads: number;
	readonly createHost: () => ThreadHost;
	/** A thread ended for partitions that had no part in its end. */
	readonly endedForOthers?: (fact: SharedDeath) => void;
}

/** Places partitions on at most `workers.maxThreads` threads. */
export class SharedThreads implements HandlerThreads {
	readonly #parts: SharedThreadsParts;
	readonly #places: Place[] = [];

	constructor(parts: SharedThreadsParts) {
		this.#parts = parts;
	}

	lease(partition: TopicPartition): ThreadLease {
		return new Lease(partition, () => this.#choose());
	}

	#choose(): Place {
		const { maxThreads } = this.#parts;
		if (maxThreads === 0) return new Place(this.#parts);
		if (this.#places.length < maxThreads) this.#places.push(new Place(this.#parts));
		return this.#places.reduce((least, place) => (place.leases.size < least.leases.size ? place : least));
	}
}

/** One of at most `maxThreads` places: its current thread, and the partitions that belong to it. */
class Place {
	readonly leases = new Set<Lease>();
	readonly #parts: SharedThreadsParts;
	#thread: SharedThread | null = null;
	#isExpired = false;
	/**
	 * Resolves when no earlier thread of this place is left, except one that can't be ended. So there are never more threads than allowed.
	 */
	#gone: Promise<unknown> = Promise.resolve();

	constructor(parts: SharedThreadsParts) {
		this.#parts = parts;
	}

	/** The thread to start on: one that has not expired. */
	open(): SharedThread {
		if (this.#isExpired) this.#retire();
		this.#thread ??= this.#begin();
		return this.#thread;
	}

	expire(): void {
		this.#isExpired = true;
	}

	#retire(): void {
		const thread = this.#thread;
		this.#forget();
		thread?.retire();
	}

	#forget(): void {
		this.#thread = null;
		this.#isExpired = false;
	}

	#begin(): SharedThread {
		const { createHost, endedForOthers } = this.#parts;
		const thread: SharedThread = new SharedThread(createHost(), this.#gone, {
			ended: () => {
				if (this.#thread === thread) this.#forget();
			},
			endedForOthers: (fact) => endedForOthers?.(fact),
		});
		this.#gone = Promise.all([this.#gone, thread.gone]).then(() => {});
		return thread;
	}
}

class Lease implements ThreadLease {
	readonly #partition: TopicPartition;
	readonly #choose: () => Place;
	#place: Place | null = null;

	constructor(partition: TopicPartition, choose: () => Place) {
		this.#partition = partition;
		this.#choose = choose;
	}

	open(): HandlerThread {
		this.#place ??= this.#choose();
		this.#place.leases.add(this);
		return new ThreadShare(this.#place.open(), this.#partition);
	}

	expire(): void {
		this.#place?.expire();
	}

	release(): void {
		this.#place?.leases.delete(this);
		this.#place = null;
	}
}
