/**
 * Limits the statements under way to the number of connections, first come first served. There are more lanes than connections, so that the
 * next statement is prepared while one runs. Without slots that statement would wait in the client's queue, where the wait counts as the
 * database's latency and against the statement's deadline.
 */

/** Limits the statements under way to the number of connections, first come first served. */
export class StatementSlots {
	#free: number;
	readonly #waiting: (() => void)[] = [];

	/** `count` is `database.connections`. */
	constructor(count: number) {
		this.#free = count;
	}

	/** Runs the statement when a slot is free. Rejects as the statement does. */
	async run<T>(statement: () => Promise<T>): Promise<T> {
		if (this.#free > 0) this.#free--;
		else await new Promise<void>((resolve) => this.#waiting.push(resolve));
		try {
			return await statement();
		} finally {
			const next = this.#waiting.shift();
			if (next) next();
			else this.#free++;
		}
	}
}
