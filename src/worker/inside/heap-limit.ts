/**
 * Whether a thread uses too much memory: its heap, and the Buffers outside it, which V8's own limit does not count. Checked after each run.
 * Near its limit V8 may end the whole process instead of the thread, so the thread is replaced before. Garbage is collected first and
 * doesn't count.
 */

import { performance } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { max, round } from "./built-ins.ts";

/** Share of `workers.maxHeapMb` at which the thread is replaced. */
const SHARE = 0.75;
/**
 * Memory that a handler holds since its init is its own: a thread is replaced only for what it gathered afterwards, beyond this multiple.
 */
const GROWTH = 1.5;
/** The next collection comes when this share of the memory that was free after the last one is used up. */
const STEP = 0.5;
/** But it comes no sooner than this many times the last collection's duration (about 100 ms for a full heap). */
const PAUSE = 10;
/** Above this share of the limit it does not wait for PAUSE: V8 would soon collect by itself, or end the thread. */
const NEAR = 0.9;
const MIB = 2 ** 20;

/** Taken before the user's module is loaded, which may replace them. */
const now = performance.now.bind(performance);
const { setImmediate } = globalThis;

/** Queries about the thread's memory. */
export interface HeapQueries {
	/** Bytes in and outside the heap, including garbage. Costs 0.5 µs. */
	readonly held: () => number;
	/** Resolves when garbage is collected. */
	readonly collect: () => Promise<void>;
	/** Monotonic, ms. */
	readonly now: () => number;
}

/** Tells whether the thread uses too much memory. One per thread. */
export class HeapLimit {
	readonly #queries: HeapQueries;
	#baseBytes = 0;
	/** Bytes left after the last collection. */
	#leftBytes = 0;
	#restsUntil = Number.NEGATIVE_INFINITY;
	readonly #maxBytes: number;

	/** `maxHeapMb` is `workers.maxHeapMb`. */
	constructor(maxHeapMb: number, queries: HeapQueries = ofThisThread) {
		this.#queries = queries;
		this.#maxBytes = maxHeapMb * MIB;
	}

	/** Bytes held now, including garbage. */
	get held(): number {
		return this.#queries.held();
	}

	/**
	 * The module is loaded (`heldBefore` 0), or a partition has begun: the memory that was added is expected to stay. Returns its bytes, for
	 * `ended`. Do not call this when a new state replaces an old one: the memory gathered until then would count as the state's own.
	 */
	begun(heldBefore = 0): number {
		const bytes = max(0, this.#queries.held() - heldBefore);
		this.#baseBytes += bytes;
		return bytes;
	}

	/** A partition has ended; `bytes` is what `begun` returned for it. */
	ended(bytes: number): void {
		this.#baseBytes -= bytes;
	}

	/** True if a closer look is worth its cost. */
	get looksFull(): boolean {
		const lookFrom = max(this.#limit, this.#leftBytes + STEP * (this.#maxBytes - this.#leftBytes));
		const held = this.#queries.held();
		return held > lookFrom && (held > NEAR * this.#maxBytes || this.#queries.now() >= this.#restsUntil);
	}

	/** MiB that the thread holds after garbage collection; null if that is within the limit. */
	async tooMuch(): Promise<number | null> {
		const startedAt = this.#queries.now();
		await this.#queries.collect();
		const endedAt = this.#queries.now();
		this.#restsUntil = endedAt + PAUSE * (endedAt - startedAt);
		this.#leftBytes = this.#queries.held();
		return this.#leftBytes > this.#limit ? round(this.#leftBytes / MIB) : null;
	}

	get #limit(): number {
		return max(SHARE * this.#maxBytes, GROWTH * this.#baseBytes);
	}
}

let collectGarbage: (() => void) | null = null;

const ofThisThread: HeapQueries = {
	held: () => {
		const { used_heap_size: inside, external_memory: outside } = getHeapStatistics();
		return inside + outside;
	},
	async collect() {
		setFlagsFromString("--expose-gc");
		collectGarbage ??= runInNewContext("gc") as () => void;
		// Buffers are freed only after the collection that found them unused.
		for (let times = 0; times < 2; times++) {
			collectGarbage();
			await new Promise<void>((resolve) => setImmediate(resolve));
		}
	},
	now,
};
