/**
 * Calls of one run that overlap: at most so many at a time, messages of one key never together and always in order, messages without
 * a key in any order. Runs in a worker thread. After the first failure nothing more is begun; what runs is finished.
 *
 * Step 5 of a message's way (README).
 */

/** What is called, and what is told of it. Indexes are those of the run. */
export interface OverlappingCalls {
	readonly count: number;
	/** Calls at a time, 1 or more. */
	readonly limit: number;
	/** Asked before a message is taken that is not the first: true ends the run with those taken so far. */
	readonly isEnough: () => boolean;
	/** null: the message has no key. */
	readonly keyOf: (index: number) => string | null;
	/** Calls the handler; what is no promise is done at once. May throw. */
	readonly call: (index: number) => unknown;
	/** The call's outcome, in order of completion. What it throws counts as the message's failure. */
	readonly done: (index: number, outcome: unknown) => void;
	/** Told with every change: which message has run longest, the number of its call (from 1, in order of their begin), how many run. */
	readonly running: (oldest: { readonly index: number; readonly call: number } | null, count: number) => void;
}

/** The first failure, and what of the first `taken` messages has yet to be handled, the failed one included, ascending. */
export interface OverlappingResult {
	readonly taken: number;
	readonly failure: { readonly index: number; readonly error: unknown } | null;
	readonly unhandled: number[];
}

/** See the file's header. Resolves when no call runs any more; never rejects. */
export function overlap(calls: OverlappingCalls): Promise<OverlappingResult> {
	return new Promise((resolve) => new Overlap(calls, resolve).begin());
}

class Overlap {
	readonly #calls: OverlappingCalls;
	readonly #resolve: (result: OverlappingResult) => void;
	/** Index to number of the call, in the order of their begin. */
	readonly #inFlight = new Map<number, number>();
	/** Per key that has a call in flight: what waits for it. */
	readonly #waiting = new Map<string, number[]>();
	readonly #failed: number[] = [];
	#ready: number[] = [];
	/** The run's length, as far as it goes. */
	#count: number;
	#next = 0;
	#begun = 0;
	#failure: OverlappingResult["failure"] = null;

	constructor(calls: OverlappingCalls, resolve: (result: OverlappingResult) => void) {
		this.#calls = calls;
		this.#count = calls.count;
		this.#resolve = resolve;
	}

	begin(): void {
		while (this.#failure === null && this.#inFlight.size < this.#calls.limit) {
			const index = this.#ready.shift() ?? this.#take();
			if (index === null) break;
			this.#start(index);
		}
		if (this.#inFlight.size > 0) return;
		// Without a call in flight nothing waits for a key either, unless a failure ended it all.
		this.#resolve({ taken: this.#count, failure: this.#failure, unhandled: this.#unhandled() });
	}

	/** The next message that may begin; those whose key is busy are put aside. */
	#take(): number | null {
		while (this.#next < this.#count) {
			if (this.#next > 0 && this.#calls.isEnough()) this.#count = this.#next;
			if (this.#next === this.#count) return null;
			const index = this.#next++;
			const key = this.#calls.keyOf(index);
			const waiting = key === null ? undefined : this.#waiting.get(key);
			if (waiting) {
				waiting.push(index);
				continue;
			}
			if (key !== null) this.#waiting.set(key, []);
			return index;
		}
		return null;
	}

	#start(index: number): void {
		this.#inFlight.set(index, ++this.#begun);
		this.#tell();
		let outcome: unknown;
		try {
			outcome = this.#calls.call(index);
		} catch (error) {
			this.#end(index, () => {
				throw error;
			});
			return;
		}
		if (!isThenable(outcome)) {
			this.#end(index, () => this.#calls.done(index, outcome));
			return;
		}
		Promise.resolve(outcome).then(
			(value) => this.#endLater(index, () => this.#calls.done(index, value)),
			(error) =>
				this.#endLater(index, () => {
					throw error;
				}),
		);
	}

	#endLater(index: number, finish: () => void): void {
		this.#end(index, finish);
		this.begin();
	}

	#end(index: number, finish: () => void): void {
		this.#inFlight.delete(index);
		try {
			finish();
		} catch (error) {
			this.#failed.push(index);
			this.#failure ??= { index, error };
		}
		this.#release(index);
		this.#tell();
	}

	/** What waited first for the same key may begin. */
	#release(index: number): void {
		const key = this.#calls.keyOf(index);
		if (key === null) return;
		const next = this.#waiting.get(key)?.shift();
		if (next === undefined) this.#waiting.delete(key);
		else this.#ready.push(next);
	}

	#unhandled(): number[] {
		const rest = Array.from({ length: this.#count - this.#next }, (_, offset) => this.#next + offset);
		return [...this.#failed, ...this.#ready, ...[...this.#waiting.values()].flat(), ...rest].sort((left, right) => left - right);
	}

	#tell(): void {
		const [oldest] = this.#inFlight;
		this.#calls.running(oldest ? { index: oldest[0], call: oldest[1] } : null, this.#inFlight.size);
	}
}

/** True for what `await` would wait for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
	return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
