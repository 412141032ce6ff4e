/** Wakes loops that have nothing to do. Check the condition, then await `next()` without anything asynchronous in between. */
export class WakeUp {
	readonly #waiting: (() => void)[] = [];

	/** Wakes everyone who waits; they check again. */
	wake(): void {
		for (const resolve of this.#waiting.splice(0)) resolve();
	}

	/** Resolves at the next `wake`. */
	next(): Promise<void> {
		return new Promise((resolve) => this.#waiting.push(resolve));
	}
}
