/**
 * What all writing to one table needs, as a batch or row by row: a connection, the statement's duration, the wait before a retry, and the
 * listener.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */

import type { Clock } from "../../core/clock.ts";
import { DATABASE_RETRY, fullJitter } from "../../core/exponential-back-off.ts";
import type { Random } from "../../core/random.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Semaphore } from "../../core/waiting/semaphore.ts";
import type { Database } from "../database/database.ts";
import type { SqlProblem } from "../database/sql-faults.ts";
import type { Trigger, WritingPlace } from "./lane.ts";
import type { AskLockHolders, LockHolder } from "./refused/lock-holders.ts";
import type { UpsertCounts } from "./sql/cas-upsert.ts";

/** Rows that were settled or refused; the counts add up to the rows handed in. */
export interface WrittenFact extends UpsertCounts {
	readonly table: string;
	/** Rows in the statement, without coalesced ones. */
	readonly rows: number;
	readonly bytes: number;
	readonly trigger: Trigger;
	readonly coalesced: number;
	readonly refused: number;
	readonly durationMs: number;
	readonly samples: readonly { readonly topic: string; readonly timestamps: readonly number[] }[];
}

/** Listens to the results of writing. */
export interface WritingListener {
	/** A statement succeeded. */
	written(fact: WrittenFact): void;
	/** Some row of the place was written or refused. */
	progressed(place: WritingPlace): void;
	/** Everything that was sent is written. */
	mended(place: WritingPlace): void;
	/** A statement failed as a whole, for the `failures`th time in a row; it is tried again in `delayMs`. */
	failed(place: WritingPlace, problem: SqlProblem, failures: number, delayMs: number): void;
}

/** What writing needs. */
export interface WritingParts {
	readonly database: Database;
	/**
	 * One slot per connection, shared by all writers. There are more lanes than connections, so that the next statement is prepared while one
	 * runs. Without slots it would wait in the client's queue, where the wait counts as the database's latency and against the deadline.
	 */
	readonly slots: Semaphore;
	readonly clock: Clock;
	readonly random: Random;
	readonly ended: AbortSignal;
	readonly limits: { readonly maxRows: number; readonly maxBytes: number };
	/** Asks who holds the locks that statements wait for; null if nobody can be asked. */
	readonly lockHolders: AskLockHolders | null;
	readonly listener: WritingListener;
}

const UNTIL_WAITING_MS = 50;
/** Timestamps per topic and batch for the latency histogram: enough for quantiles, cheap at any rate. */
const SAMPLES = 20;

/** The shared part of all writing to one table: connection, timing, wait before the next try, listeners. */
export class Writing {
	readonly parts: WritingParts;
	readonly layout: TableLayout;

	constructor(layout: TableLayout, parts: WritingParts) {
		this.parts = parts;
		this.layout = layout;
	}

	/** Runs a statement, and measures its duration without the wait for a connection. */
	timed<T>(statement: () => Promise<T>): Promise<{ answer: T; durationMs: number }> {
		const { clock, slots } = this.parts;
		return slots.run(async () => {
			const startedAt = clock.monotonic();
			return { answer: await statement(), durationMs: clock.monotonic() - startedAt };
		});
	}

	/** Who holds up statements of this table now, as far as can be found out; never rejects. */
	async holders(): Promise<readonly LockHolder[]> {
		const { lockHolders, clock, ended } = this.parts;
		if (!lockHolders) return [];
		try {
			// First give the statement time to reach the server and wait for the lock.
			await clock.sleep(UNTIL_WAITING_MS, ended);
			return await lockHolders(this.layout.name);
		} catch {
			return [];
		}
	}

	tell(fact: Omit<WrittenFact, "table" | "samples">, samples: Samples): void {
		this.parts.listener.written({ table: this.layout.name, ...fact, samples: samples.all });
	}

	/** Waits before the next attempt with the same rows; false if the writer ended meanwhile. */
	async waitAfter(problem: SqlProblem, place: WritingPlace, failures: number): Promise<boolean> {
		const { clock, random, ended, listener } = this.parts;
		const delayMs = fullJitter(failures, DATABASE_RETRY, random);
		listener.failed(place, problem, failures, delayMs);
		await clock.sleep(delayMs, ended).catch(() => {});
		return !ended.aborted;
	}
}

/** Timestamps of a batch's messages, a few per topic. */
export class Samples {
	readonly #byTopic = new Map<string, number[]>();

	get all(): WrittenFact["samples"] {
		return [...this.#byTopic].map(([topic, timestamps]) => ({ topic, timestamps }));
	}

	/** Adds as many of `count` messages' timestamps as there is room for; -1 or 0 means no timestamp. */
	add(topic: string, count: number, timestampOf: (index: number) => number): void {
		const sampled = this.#byTopic.get(topic) ?? [];
		this.#byTopic.set(topic, sampled);
		for (let i = 0; i < count && sampled.length < SAMPLES; i++) {
			const timestamp = timestampOf(i);
			sampled.push(timestamp > 0 ? timestamp : -1);
		}
	}
}
