/** A semaphore, first come first served. Limits how much of some work runs at a time. */
export class Semaphore {
	#free: number;
	readonly #waiting: (() => void)[] = [];

	/** `count`: how many may run at a time. */
	constructor(count: number) {
		this.#free = count;
	}

	/** Runs the work when a place is free. Settles as the work does. */
	async run<T>(work: () => Promise<T>): Promise<T> {
		if (this.#free > 0) this.#free--;
		else await new Promise<void>((resolve) => this.#waiting.push(resolve));
		try {
			return await work();
		} finally {
			const next = this.#waiting.shift();
			if (next) next();
			else this.#free++;
		}
	}
}
