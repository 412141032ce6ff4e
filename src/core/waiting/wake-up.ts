/** Wakes loops that have nothing to do. Check the condition, then await `next()` without anything asynchronous in between. */
export class WakeUp {
	#waiting: (() => void)[] = [];

	/** Wakes everyone who waits; they check again. */
	wake(): void {
		const waiting = this.#waiting;
		this.#waiting = [];
		for (const resolve of waiting) resolve();
	}

	/** Resolves at the next `wake`. */
	next(): Promise<void> {
		return new Promise((resolve) => this.#waiting.push(resolve));
	}
}
