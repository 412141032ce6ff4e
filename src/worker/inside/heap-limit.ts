/**
 * Whether a thread uses too much memory: its heap, and the Buffers outside it, which V8's own limit does not count. Checked after each run.
 * Near its limit V8 may end the whole process instead of the thread, so the thread is replaced before. Garbage is collected first and
 * doesn't count.
 */

import { performance } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { max, round } from "./built-ins.ts";

/** Of `workers.maxHeapMb`. */
const SHARE = 0.75;
/** What a handler holds from its init on is its own; a thread is replaced for what it gathers. */
const GROWTH = 1.5;
/** Behind a collection that found the heap well the next one comes where half of what was free is used up, */
const STEP = 0.5;
/** and not before ten times as long as it took (a full heap takes some 100 ms), */
const PAUSE = 10;
/** unless V8 would soon collect by itself, or end the thread. */
const NEAR = 0.9;
const MIB = 2 ** 20;

/** From before the user's module is loaded, which may put its own in their place. */
const now = performance.now.bind(performance);
const { setImmediate } = globalThis;

/** What the thread is asked. */
export interface HeapQueries {
	/** Bytes of the heap and outside of it, garbage included. Costs 0.5 µs. */
	readonly held: () => number;
	/** Resolves when garbage is gone. */
	readonly collect: () => Promise<void>;
	/** Monotonic, ms. */
	readonly now: () => number;
}

/** Tells whether the thread uses too much memory. One per thread. */
export class HeapLimit {
	readonly #queries: HeapQueries;
	#baseBytes = 0;
	/** What the last collection left. */
	#leftBytes = 0;
	#restsUntil = Number.NEGATIVE_INFINITY;
	readonly #maxBytes: number;

	/** `maxHeapMb` is `workers.maxHeapMb`. */
	constructor(maxHeapMb: number, queries: HeapQueries = ofThisThread) {
		this.#queries = queries;
		this.#maxBytes = maxHeapMb * MIB;
	}

	/** Bytes held by now, garbage included. */
	get held(): number {
		return this.#queries.held();
	}

	/**
	 * A partition has begun: what its init added to what was held before stays. `heldBefore` is 0 for the thread's first, whose module
	 * counts too. Not to be told of a new state in the place of an old one: by then what was gathered would count as its.
	 */
	begun(heldBefore = 0): void {
		this.#baseBytes += max(0, this.#queries.held() - heldBefore);
	}

	/** True where it is worth a closer look. */
	get looksFull(): boolean {
		const lookFrom = max(this.#limit, this.#leftBytes + STEP * (this.#maxBytes - this.#leftBytes));
		const held = this.#queries.held();
		return held > lookFrom && (held > NEAR * this.#maxBytes || this.#queries.now() >= this.#restsUntil);
	}

	/** MiB that the thread holds, garbage aside; null where that is within the limit. */
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
		// Buffers are given back behind the collection that found them.
		for (let times = 0; times < 2; times++) {
			collectGarbage();
			await new Promise<void>((resolve) => setImmediate(resolve));
		}
	},
	now,
};
