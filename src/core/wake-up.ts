/** A bell for loops that have nothing to do. Check the condition, then await `next()` without anything asynchronous between. */
export class WakeUp {
	#waiting: (() => void)[] = [];

	/** Rings: everyone who waits goes on and checks again. */
	wake(): void {
		const waiting = this.#waiting;
		this.#waiting = [];
		for (const resolve of waiting) resolve();
	}

	/** Resolves at the next ring. */
	next(): Promise<void> {
		return new Promise((resolve) => this.#waiting.push(resolve));
	}
}
