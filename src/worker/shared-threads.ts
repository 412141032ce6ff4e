/**
 * At most so many threads for all partitions. A partition gets its place with its first start, where the fewest are, and keeps it as long
 * as it is assigned, whatever dies; the thread of a place begins with the first start there and ends with the last share of it. Without a
 * limit every partition has a place of its own.
 *
 * Step 4 of a message's way (README).
 */
import type { TopicPartition } from "../core/message.ts";
import type { PackedBatch } from "../core/packed-batch.ts";
import {
	type ExitReason,
	type HandlerFailure,
	type HandlerThread,
	type HandlerThreads,
	type RunReply,
	type StartReply,
	type StateRule,
	type ThreadDeath,
	ThreadDiedError,
	type ThreadLease,
	type ThreadProgress,
} from "./handler-thread.ts";
import { type Share, type SharedDeath, SharedThread, type ThreadHost } from "./shared-thread.ts";

/** What shared threads are made with. */
export interface SharedThreadsParts {
	/** `workers.maxThreads`; 0: no limit. */
	readonly maxThreads: number;
	readonly createHost: () => ThreadHost;
	/** A thread ended for partitions that had no part in it. */
	readonly endedForOthers?: (fact: SharedDeath) => void;
}

/** See the file's header. */
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

/** One of the threads there may be: the thread of the moment, and the partitions that belong to it. */
class Place {
	readonly leases = new Set<Lease>();
	readonly #parts: SharedThreadsParts;
	#thread: SharedThread | null = null;
	#isExpired = false;
	/** Resolves when no earlier thread of this place is left, so that there are never more than allowed. */
	#gone: Promise<unknown> = Promise.resolve();

	constructor(parts: SharedThreadsParts) {
		this.#parts = parts;
	}

	/** The thread to start on, which has not expired. */
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
		this.#gone = Promise.all([this.#gone, thread.gone]);
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

/** Shares made so far: each has a number of its own in its thread. */
let shares = 0;

/** A partition's share of a thread, from a start to its end: all that its worker sees. */
class ThreadShare implements HandlerThread, Share {
	readonly number = ++shares;
	readonly partition: TopicPartition;
	readonly #thread: SharedThread;
	#death: ThreadDeath | null = null;
	#progress: ThreadProgress = { calls: 0, phase: "idle", message: 0, running: 0 };
	#idleDeath: (death: ThreadDeath) => void = () => {};
	/** Where the last run began. */
	#from = 0;

	constructor(thread: SharedThread, partition: TopicPartition) {
		this.#thread = thread;
		this.partition = partition;
		thread.join(this);
	}

	get id(): number | null {
		return this.#thread.id;
	}

	async start(): Promise<StartReply> {
		return this.#ask("start", (host) => host.start(this.number, this.partition));
	}

	async run(batch: PackedBatch, from: number, to: number, state: StateRule): Promise<RunReply> {
		this.#from = from;
		return this.#ask("run", (host) => host.run(this.number, batch, from, to, state));
	}

	async terminate(reason: ExitReason): Promise<HandlerFailure | null> {
		return this.#ask("terminate", (host) => host.terminate(this.number, reason));
	}

	progress(): ThreadProgress {
		return this.#thread.progressOf(this) ?? this.#progress;
	}

	withdraw(): void {
		this.#thread.withdraw(this, { ok: true, outcome: nothingHandled(this.#from) });
	}

	abandon(): void {
		this.#thread.abandon(this);
	}

	kill(death?: ThreadDeath): Promise<void> {
		return this.#thread.leave(this, death ?? null);
	}

	onIdleDeath(listener: (death: ThreadDeath) => void): void {
		this.#idleDeath = listener;
	}

	stoodAt(progress: ThreadProgress): void {
		this.#progress = progress;
	}

	died(death: ThreadDeath, isIdle: boolean): void {
		if (this.#death) return;
		this.#death = death;
		if (isIdle) this.#idleDeath(death);
	}

	#ask<T>(type: "start" | "run" | "terminate", call: (host: ThreadHost) => Promise<T>): Promise<T> {
		if (this.#death) return Promise.reject(new ThreadDiedError(this.#death));
		return this.#thread.ask(this, type, call);
	}
}

function nothingHandled(from: number): RunReply["outcome"] {
	const counts = { row: 0, delete: 0, none: 0, rejected: 0 };
	return { from, to: from, blocks: [], faults: [], rejected: [], counts, durationsMs: new Float64Array(0), warnings: [] };
}
