/**
 * When rows become durable, seen from another session: a committed row is visible only once its commit is on disk
 * (synchronous_commit), so the first look that shows it is never too early, and late by at most the time between two looks.
 */
import { systemClock } from "../../src/core/clock.ts";
import { connectDatabase, type Database } from "../../src/sink/database/database.ts";

/** How to look: every so many ms, at every so-manieth id. The fewer the cheaper for what is measured. */
export interface Looks {
	readonly everyMs: number;
	readonly step: number;
}

/** Looks at a table whose ids are 1, 2, 3, …, each once; use with `await using`. */
export class VisibleRows implements AsyncDisposable {
	/** When an id was first seen, ns of the machine's monotonic clock. */
	readonly seen = new Map<number, bigint>();
	/** Time between two looks, ms. */
	readonly gapsMs: number[] = [];
	readonly #database: Database;
	readonly #ended = new AbortController();
	readonly #running: Promise<void>;

	constructor(databaseUrl: string, table: string, looks: Looks) {
		this.#database = connectDatabase({ url: databaseUrl, connections: 1, clock: systemClock });
		this.#running = this.#run(table, looks);
		this.#running.catch(() => {});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#ended.abort(new Error("enough"));
		await this.#running.catch(() => {});
		await this.#database.close();
	}

	async #run(table: string, { everyMs, step }: Looks): Promise<void> {
		const query = `select id::int4 as id from ${table} where id > $1::int8 and id % ${step} = 0`;
		let before = performance.now();
		/** Every id that is looked for was seen up to here. */
		let allUpTo = 0;
		while (!this.#ended.signal.aborted) {
			const rows = await this.#database.query(query, [String(allUpTo)]);
			const now = process.hrtime.bigint();
			for (const { id } of rows) if (!this.seen.has(id as number)) this.seen.set(id as number, now);
			while (this.seen.has(allUpTo + step)) allUpTo += step;
			this.gapsMs.push(performance.now() - before);
			before = performance.now();
			await systemClock.sleep(everyMs, this.#ended.signal).catch(() => {});
		}
	}
}

/** ms of the wall clock to add to ms of the monotonic one: read where the wall clock's millisecond changes. */
export function wallClockOffsetMs(): number {
	const start = Date.now();
	let now = start;
	while (now === start) now = Date.now();
	return now - Number(process.hrtime.bigint()) / 1e6;
}
