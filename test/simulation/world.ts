/**
 * Time and chance of a simulation: one queue of events in virtual time, one seed. Between two events everything that waits for nothing
 * comes to rest, so a run is the same each time, on every machine.
 */
import type { Clock, Timer } from "../../src/core/clock.ts";
import { type Random, seededRandom } from "../../src/core/random.ts";

/** What must hold, each by a name of its own. */
export type InvariantCode =
	/** The simulation itself, or the code, threw what nobody expected. */
	| "crash"
	/** A statement that the simulated database doesn't know. */
	| "unknown-sql"
	/** An offset was committed before everything below it was settled. */
	| "committed-unsettled"
	/** A partition was begun behind messages that are not settled. */
	| "begun-past-unsettled"
	/** A row was replaced by an older one. */
	| "row-moved-back"
	/** A message reached the handler before one that comes before it in its partition. */
	| "out-of-order"
	/** A message came again to a module that had it before its partition was given away. */
	| "another-past"
	/** A message was handled twice where nothing had failed. */
	| "handled-twice"
	/** A partition was given away in peace with less committed than was handled. */
	| "given-away-uncommitted"
	/** A message is in no row and no letter at the end. */
	| "never-arrived"
	/** A row is not what the log says at the end. */
	| "wrong-row"
	/** A row that the log knows nothing of. */
	| "row-of-nothing"
	/** A message that nothing is wrong with became a dead letter. */
	| "wrong-letter"
	/** A message is charged with a death of the process that was another's, or nobody's. */
	| "wrong-charge"
	/** A dead letter is another record than its message, or took another one's place. */
	| "letter-lost"
	/** Everything is healed, and something does not move. */
	| "stands-still"
	/** A stop that doesn't end, or ends without everything in hand committed. */
	| "stop"
	/** Messages are gone, and nobody was told. */
	| "loss-not-told"
	/** Somebody was told of a loss that is none. */
	| "told-for-nothing";

interface Event {
	readonly at: number;
	readonly order: number;
	readonly run: () => void;
	cancelled: boolean;
}

/** Thrown by `fail`: the run ends, and the seed is told. */
export class Violation extends Error {
	/** Which invariant doesn't hold. */
	readonly code: InvariantCode;

	constructor(code: InvariantCode, message: string) {
		super(message);
		this.code = code;
	}
}

/** See the file's header. Times in ms. */
export class World {
	readonly random: Random;
	/** Prints what happens: for whoever looks into a seed. */
	readonly trace = process.env.SIMULATION_TRACE === "1";
	readonly #heap: Event[] = [];
	#order = 0;
	#now = 0;
	#violation: Violation | null = null;

	constructor(seed: number) {
		this.random = seededRandom(seed);
	}

	get now(): number {
		return this.#now;
	}

	chance(probability: number): boolean {
		return this.random() < probability;
	}

	/** A whole number from `from` (included) to `to` (excluded). */
	between(from: number, to: number): number {
		return from + Math.floor(this.random() * (to - from));
	}

	pick<T>(choices: readonly T[]): T {
		return choices[this.between(0, choices.length)] as T;
	}

	/** An invariant doesn't hold. The first one ends the run. */
	fail(code: InvariantCode, message: string): void {
		this.#violation ??= new Violation(code, `at ${Math.round(this.#now)} ms: ${message}`);
	}

	after(delayMs: number, run: () => void): Timer {
		const event: Event = { at: this.#now + Math.max(0, delayMs), order: this.#order++, run, cancelled: false };
		this.#push(event);
		return {
			cancel: () => {
				event.cancelled = true;
			},
		};
	}

	/** Runs events until `holds`, or until `maxMs` of virtual time have passed; true where it held. Throws the first violation. */
	async until(holds: () => boolean, maxMs: number): Promise<boolean> {
		const end = this.#now + maxMs;
		await settle();
		for (;;) {
			if (this.#violation) throw this.#violation;
			if (holds()) return true;
			const event = this.#pop();
			if (!event) return false;
			if (event.at > end) {
				this.#push(event);
				this.#now = end;
				return false;
			}
			this.#now = event.at;
			event.run();
			await settle();
		}
	}

	/** What the promise comes to, running events meanwhile. Rejects where it is open after `maxMs` of virtual time. */
	async settled<T>(promise: Promise<T>, maxMs: number): Promise<T> {
		let isSettled = false;
		const mark = () => {
			isSettled = true;
		};
		promise.then(mark, mark);
		if (!(await this.until(() => isSettled, maxMs))) throw new Error(`no answer within ${maxMs} ms of virtual time`);
		return promise;
	}

	#push(event: Event): void {
		const heap = this.#heap;
		let at = heap.push(event) - 1;
		while (at > 0) {
			const parent = (at - 1) >> 1;
			if (!isBefore(event, heap[parent] as Event)) break;
			heap[at] = heap[parent] as Event;
			at = parent;
		}
		heap[at] = event;
	}

	#pop(): Event | null {
		for (;;) {
			const first = this.#take();
			if (!first?.cancelled) return first;
		}
	}

	#take(): Event | null {
		const heap = this.#heap;
		const first = heap[0];
		const last = heap.pop();
		if (!first || !last) return null;
		if (first === last) return first;
		let at = 0;
		for (;;) {
			const left = 2 * at + 1;
			if (left >= heap.length) break;
			const right = left + 1;
			const child = right < heap.length && isBefore(heap[right] as Event, heap[left] as Event) ? right : left;
			if (!isBefore(heap[child] as Event, last)) break;
			heap[at] = heap[child] as Event;
			at = child;
		}
		heap[at] = last;
		return first;
	}
}

function isBefore(left: Event, right: Event): boolean {
	return left.at < right.at || (left.at === right.at && left.order < right.order);
}

/** A turn of the event loop runs every microtask there is. */
function settle(): Promise<void> {
	return new Promise((resolve) => setImmediate(resolve));
}

/** The first wall time of every simulation, ms. */
export const WALL_START = 1_800_000_000_000;

/**
 * A process of the simulation: whatever reaches it goes through `enter`, so that it can be frozen (everything waits) or killed (nothing
 * ever comes). What it has sent before takes effect all the same. It is its own clock, whose wall time may jump.
 */
export class SimProcess implements Clock {
	readonly world: World;
	readonly name: string;
	wallOffset = 0;
	#alive = true;
	#frozen = false;
	#held: (() => void)[] = [];

	constructor(world: World, name: string) {
		this.world = world;
		this.name = name;
	}

	get alive(): boolean {
		return this.#alive;
	}

	get frozen(): boolean {
		return this.#frozen;
	}

	kill(): void {
		this.#alive = false;
		this.#held = [];
	}

	freeze(): void {
		this.#frozen = true;
	}

	thaw(): void {
		this.#frozen = false;
		for (const run of this.#held.splice(0)) this.world.after(0, () => this.enter(run));
	}

	enter(run: () => void): void {
		if (!this.#alive) return;
		if (this.#frozen) this.#held.push(run);
		else run();
	}

	/** A request: takes effect after a while, and is answered after another while. The effect's result or error is the answer. */
	request<T>(latencyMs: () => number, effect: () => T): Promise<T> {
		return new Promise((resolve, reject) => {
			this.world.after(latencyMs(), () => {
				let answer: () => void;
				try {
					const value = effect();
					answer = () => resolve(value);
				} catch (error) {
					answer = () => reject(error);
				}
				this.world.after(latencyMs(), () => this.enter(answer));
			});
		});
	}

	now(): number {
		return WALL_START + Math.round(this.world.now) + this.wallOffset;
	}

	monotonic(): number {
		return this.world.now;
	}

	after(delayMs: number, callback: () => void): Timer {
		let cancelled = false;
		const timer = this.world.after(delayMs, () =>
			this.enter(() => {
				if (!cancelled) callback();
			}),
		);
		return {
			cancel: () => {
				cancelled = true;
				timer.cancel();
			},
		};
	}

	sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			if (signal?.aborted) return reject(signal.reason);
			const aborted = () => {
				timer.cancel();
				reject(signal?.reason);
			};
			const timer = this.after(delayMs, () => {
				signal?.removeEventListener("abort", aborted);
				resolve();
			});
			signal?.addEventListener("abort", aborted, { once: true });
		});
	}
}
