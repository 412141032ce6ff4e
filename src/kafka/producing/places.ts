/** A semaphore, first come first served. It bounds what the holders have together: a native client each, some MiB and threads. */
export class Places {
	#free: number;
	readonly #waiting: (() => void)[] = [];

	constructor(count: number) {
		this.#free = count;
	}

	/** Resolves when the caller has a place, with the function that gives it back. Call that once. */
	async enter(): Promise<() => void> {
		if (this.#free > 0) this.#free--;
		else await new Promise<void>((resolve) => this.#waiting.push(resolve));
		return () => {
			const next = this.#waiting.shift();
			if (next) next();
			else this.#free++;
		};
	}
}
