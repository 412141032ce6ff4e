/**
 * Whose statement is under way: as many at a time as there are connections, first come first served. There are more lanes than
 * connections, so that the next statement is made while one runs; behind a busy connection it would wait in the client's queue, where its
 * wait counts as the database's and against its deadline.
 */

/** See the file's header. */
export class StatementSlots {
	#free: number;
	readonly #waiting: (() => void)[] = [];

	/** `count` is `database.connections`. */
	constructor(count: number) {
		this.#free = count;
	}

	/** Runs the statement when it is its turn. Rejects as it does. */
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
