/**
 * At most `workers.maxThreads` threads for all partitions. At its first start a partition gets the place with the fewest partitions, and
 * keeps it as long as it is assigned, whatever dies. The thread of a place begins with the first start there and ends with its last share.
 * Without a limit every partition has its own place.
 *
 * A thread takes 50 ms of CPU to make, and a partition stands still meanwhile. So some stand in reserve with their module loaded. An
 * eager group gives most partitions back at once. So if every partition has a thread of its own, the thread of a partition that is given
 * away is kept for a while. It is used only if the partition goes on where it left off: otherwise the module's variables would not fit
 * its messages.
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import { type Clock, systemClock, type Timer } from "../../core/clock.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import {
	deathOf,
	type HandlerFailure,
	type HandlerThread,
	type HandlerThreads,
	type ThreadLease,
	type WarmReply,
} from "./handler-thread.ts";
import { type SharedDeath, SharedThread, type ThreadHost } from "./shared-thread.ts";
import { ThreadShare } from "./thread-share.ts";

/** What placing partitions on threads needs. */
export interface SharedThreadsParts {
	/** `workers.maxThreads`; 0: no limit. */
	readonly maxThreads: number;
	readonly createHost: () => ThreadHost;
	/** A thread ended for partitions that had no part in its end. */
	readonly endedForOthers?: (fact: SharedDeath) => void;
	/** Whether the thread of a partition that is given away is kept for a while. Default: true. */
	readonly keepsRevoked?: boolean;
	/** Default: the machine's. */
	readonly clock?: Clock;
}

/** A rebalance is over by then, even if a member drains for a while. */
const KEPT_MS = 10_000;

const unknown: WarmReply = { kind: "unknown" };

function tooLate(withinMs: number): HandlerFailure {
	return { kind: "load", name: "TimeoutError", message: `the module did not load within ${withinMs} ms`, stack: null };
}

/** Places partitions on at most `workers.maxThreads` threads. */
export class SharedThreads implements HandlerThreads {
	readonly #parts: SharedThreadsParts;
	readonly #places: Place[] = [];
	/** By partition. */
	readonly #kept = new Map<string, { readonly place: Place; readonly timer: Timer }>();
	/** The newest lease of each partition. The thread of an older lease may not fit the partition's messages. */
	readonly #newest = new Map<string, Lease>();
	/** Places in reserve. Each has a thread, unless it died, and no partition. */
	#reserves: Place[] = [];
	/** Resolves when the threads of all ended reserves are gone. */
	#reserveGone: Promise<unknown> = Promise.resolve();
	#isDisposed = false;

	constructor(parts: SharedThreadsParts) {
		this.#parts = parts;
	}

	lease(partition: TopicPartition, goesOn = false): ThreadLease {
		const name = partitionName(partition);
		const kept = this.#takeKept(name);
		if (!goesOn) void kept?.end();
		const place = goesOn && kept?.hasThread ? kept : null;
		const lease: Lease = new Lease(partition, place, {
			choose: () => this.#choose(),
			// The module on disk may have changed, even if no watcher saw it.
			expired: () => this.expire(),
			released: (left) => {
				const isNewest = this.#newest.get(name) === lease;
				if (isNewest) this.#newest.delete(name);
				if (left) this.#released(name, left, isNewest);
			},
		});
		this.#newest.set(name, lease);
		return lease;
	}

	async warm(count: number, withinMs: number): Promise<WarmReply> {
		const { maxThreads, clock = systemClock } = this.#parts;
		// One that died is made again.
		this.#dropDead();
		if (this.#isDisposed) return unknown;
		if (this.#reserves.length >= count) return { kind: "enough" };
		if (maxThreads > 0 && this.#reserves.length + this.#places.length >= maxThreads) return { kind: "full" };
		const place = this.#emptyPlace();
		this.#reserves.push(place);
		const giveUp = () => {
			if (this.#reserves.includes(place)) void this.#endReserves([place]);
		};
		let isLate = false;
		const timer = clock.after(withinMs, () => {
			isLate = this.#reserves.includes(place);
			giveUp();
		});
		const ended = await place.warm();
		timer.cancel();
		const failure = isLate ? tooLate(withinMs) : ended;
		// If a partition took the thread, it reports by itself what is wrong.
		const isReserve = isLate || this.#reserves.includes(place);
		if (failure) giveUp();
		return failure === null ? { kind: "loaded" } : isReserve ? { kind: "failed", failure } : unknown;
	}

	expire(): void {
		void this.#endIdle();
	}

	async dispose(): Promise<void> {
		this.#isDisposed = true;
		await this.#endIdle();
	}

	async #endIdle(): Promise<void> {
		const kept = [...this.#kept.keys()].flatMap((name) => this.#takeKept(name) ?? []);
		await Promise.all([this.#endReserves(this.#reserves), ...kept.map((place) => place.end())]);
	}

	async #endReserves(places: readonly Place[]): Promise<void> {
		this.#reserves = this.#reserves.filter((place) => !places.includes(place));
		this.#reserveGone = Promise.all([this.#reserveGone, ...places.map((place) => place.end())]);
		await this.#reserveGone;
	}

	#choose(): Place {
		const { maxThreads } = this.#parts;
		if (maxThreads === 0) return this.#newPlace();
		if (this.#places.length < maxThreads) this.#places.push(this.#newPlace());
		return this.#places.reduce((least, place) => (place.leases.size < least.leases.size ? place : least));
	}

	#newPlace(): Place {
		// Threads that are ending count towards the limit.
		this.#dropDead();
		return this.#reserves.shift() ?? this.#emptyPlace();
	}

	#emptyPlace(): Place {
		return new Place(this.#parts, this.#parts.maxThreads > 0 ? this.#reserveGone : undefined);
	}

	#dropDead(): void {
		const dead = this.#reserves.filter((place) => !place.hasThread);
		if (dead.length > 0) void this.#endReserves(dead);
	}

	/** Keeps the thread that the partition left in its place, if it left one. */
	#released(name: string, place: Place, isNewest: boolean): void {
		const { maxThreads, clock = systemClock } = this.#parts;
		if (maxThreads > 0 || !place.hasThread) return;
		if (this.#isDisposed || !isNewest) return void place.end();
		void this.#takeKept(name)?.end();
		const timer = clock.after(KEPT_MS, () => void this.#takeKept(name)?.end());
		this.#kept.set(name, { place, timer });
	}

	#takeKept(name: string): Place | null {
		const kept = this.#kept.get(name);
		kept?.timer.cancel();
		this.#kept.delete(name);
		return kept?.place ?? null;
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
	#gone: Promise<unknown>;

	constructor(parts: SharedThreadsParts, before: Promise<unknown> = Promise.resolve()) {
		this.#parts = parts;
		this.#gone = before;
	}

	get hasThread(): boolean {
		return this.#thread !== null;
	}

	/** The thread to start on: one that has not expired. */
	open(): SharedThread {
		if (this.#isExpired) this.#retire();
		this.#thread ??= this.#begin(this.#parts.createHost(), this.#gone);
		return this.#thread;
	}

	/** Begins a thread; resolves to why it could not load its module, or null. */
	warm(): Promise<HandlerFailure | null> {
		const host = this.#parts.createHost();
		// If there is a limit, threads that are ending count towards it.
		const begun = this.#parts.maxThreads > 0 ? this.#gone.then(() => host.load()) : host.load();
		const loaded = begun.catch((error: unknown) => {
			const { message, stack } = deathOf(error);
			return { kind: "load", name: "ThreadDied", message, stack } as const;
		});
		this.#thread = this.#begin(host, loaded);
		return loaded;
	}

	expire(): void {
		this.#isExpired = true;
	}

	/** Ends the thread of a place without partitions. Resolves when it is gone. */
	async end(): Promise<void> {
		this.#retire();
		await this.#gone;
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

	#begin(host: ThreadHost, before: Promise<unknown>): SharedThread {
		const { maxThreads, keepsRevoked = true, endedForOthers } = this.#parts;
		const thread: SharedThread = new SharedThread(host, before, {
			ended: () => {
				if (this.#thread === thread) this.#forget();
			},
			keeps: () => keepsRevoked && maxThreads === 0 && this.#thread === thread && !this.#isExpired,
			endedForOthers: (fact) => endedForOthers?.(fact),
		});
		this.#gone = Promise.all([this.#gone, thread.gone]).then(() => {});
		return thread;
	}
}

interface LeaseParts {
	readonly choose: () => Place;
	readonly expired: () => void;
	/** Gets the place that the lease had, if it had one. */
	readonly released: (place: Place | null) => void;
}

class Lease implements ThreadLease {
	readonly #partition: TopicPartition;
	readonly #parts: LeaseParts;
	#place: Place | null;

	constructor(partition: TopicPartition, place: Place | null, parts: LeaseParts) {
		this.#partition = partition;
		this.#parts = parts;
		this.#place = place;
		place?.leases.add(this);
	}

	open(): HandlerThread {
		this.#place ??= this.#parts.choose();
		this.#place.leases.add(this);
		return new ThreadShare(this.#place.open(), this.#partition);
	}

	expire(): void {
		this.#place?.expire();
		this.#parts.expired();
	}

	release(): void {
		const place = this.#place;
		this.#place = null;
		place?.leases.delete(this);
		this.#parts.released(place);
	}
}
