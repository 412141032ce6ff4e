/**
 * Overlapping calls of one run: at most `handler.concurrency` at a time. Messages with the same key never overlap and keep their order;
 * messages without a key have no order. Runs in the handler's thread. After the first failure, running calls finish and no further call
 * begins. The caller deals with the messages that did not begin.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */

/** The call to make, and the callbacks about it. Indexes are those of the run. */
export interface OverlappingCalls {
	readonly count: number;
	/** Maximum calls at a time, 1 or more. */
	readonly limit: number;
	/** Asked before each call, with the number of calls begun so far. False: begin no more. A promise: wait for it. */
	readonly mayBegin: (begun: number) => boolean | Promise<void>;
	/** The message's key; null if it has none. */
	readonly keyOf: (index: number) => string | null;
	/** Calls the handler; a result that is not a promise is complete at once. May throw. */
	readonly call: (index: number) => unknown;
	/** Gets each call's outcome, in order of completion. If this throws, the message has failed. */
	readonly done: (index: number, outcome: unknown) => void;
	/** A call begins in a slot, 0 to `limit` - 1; no other call has the slot until this one ends. */
	readonly begins: (slot: number, index: number) => void;
	readonly ended: (slot: number) => void;
}

/** The first failure. */
export type OverlappingFailure = { readonly index: number; readonly error: unknown } | null;

/** Runs the calls, and stops starting new ones after the first failure. Resolves when no call runs any more; never rejects. */
export function overlap(calls: OverlappingCalls): Promise<OverlappingFailure> {
	return new Promise((resolve) => new Overlap(calls, resolve).begin());
}

class Overlap {
	readonly #calls: OverlappingCalls;
	readonly #resolve: (failure: OverlappingFailure) => void;
	/** For each key with a call in flight: the messages that wait for it. */
	readonly #waiting = new Map<string, number[]>();
	/** Messages that waited for their key and may begin now. */
	readonly #ready: number[] = [];
	/** Keys as they were when their message was taken: a handler may write into its own. */
	readonly #keys = new Map<number, string>();
	readonly #freeSlots: number[];
	#next = 0;
	#begun = 0;
	#inFlight = 0;
	#isHeldUp = false;
	#failure: OverlappingFailure = null;

	constructor(calls: OverlappingCalls, resolve: (failure: OverlappingFailure) => void) {
		this.#calls = calls;
		this.#resolve = resolve;
		this.#freeSlots = Array.from({ length: calls.limit }, (_, slot) => slot);
	}

	begin(): void {
		if (this.#isHeldUp) return;
		while (this.#failure === null && this.#inFlight < this.#calls.limit) {
			if (this.#ready.length === 0 && this.#next >= this.#calls.count) break;
			const may = this.#calls.mayBegin(this.#begun);
			if (may !== true) {
				if (may !== false) this.#holdUp(may);
				break;
			}
			const index = this.#ready.shift() ?? this.#take();
			if (index === null) break;
			this.#start(index);
		}
		// With no call in flight nothing waits for a key either, unless a failure or the caller ended the run.
		if (this.#inFlight === 0 && !this.#isHeldUp) this.#resolve(this.#failure);
	}

	#holdUp(wait: Promise<void>): void {
		this.#isHeldUp = true;
		void wait.then(() => {
			this.#isHeldUp = false;
			this.begin();
		});
	}

	/** The next message that may begin; those whose key is busy are put aside. */
	#take(): number | null {
		while (this.#next < this.#calls.count) {
			const index = this.#next++;
			const key = this.#calls.keyOf(index);
			if (key === null) return index;
			this.#keys.set(index, key);
			const waiting = this.#waiting.get(key);
			if (!waiting) {
				this.#waiting.set(key, []);
				return index;
			}
			waiting.push(index);
		}
		return null;
	}

	#start(index: number): void {
		const slot = this.#freeSlots.pop() as number;
		this.#begun++;
		this.#inFlight++;
		this.#calls.begins(slot, index);
		const failed = (error: unknown) => () => {
			throw error;
		};
		try {
			const outcome = this.#calls.call(index);
			if (isThenable(outcome)) {
				Promise.resolve(outcome).then(
					(value) => this.#endLater(slot, index, () => this.#calls.done(index, value)),
					(error) => this.#endLater(slot, index, failed(error)),
				);
			} else this.#end(slot, index, () => this.#calls.done(index, outcome));
		} catch (error) {
			this.#end(slot, index, failed(error));
		}
	}

	#endLater(slot: number, index: number, finish: () => void): void {
		this.#end(slot, index, finish);
		this.begin();
	}

	#end(slot: number, index: number, finish: () => void): void {
		this.#inFlight--;
		this.#freeSlots.push(slot);
		try {
			finish();
		} catch (error) {
			this.#failure ??= { index, error };
		}
		this.#release(index);
		this.#calls.ended(slot);
	}

	/** The first message that waits for the same key may begin. */
	#release(index: number): void {
		const key = this.#keys.get(index);
		if (key === undefined) return;
		this.#keys.delete(index);
		const next = this.#waiting.get(key)?.shift();
		if (next === undefined) this.#waiting.delete(key);
		else this.#ready.push(next);
	}
}

/** True for a value that `await` would wait for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
	return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
