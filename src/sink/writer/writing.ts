/**
 * What all writing to one table needs, whether as a batch or row by row: a connection, the statement's duration, the wait before the next
 * try, and who is told.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import { fullJitter } from "../../core/back-off.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Database } from "../database/database.ts";
import type { SqlProblem } from "../database/sql-faults.ts";
import type { Trigger, WritingPlace } from "./lane.ts";
import type { AskLockHolders, LockHolder } from "./refused/lock-holders.ts";
import type { UpsertCounts } from "./sql/cas-upsert.ts";
import type { StatementSlots } from "./statement-slots.ts";

/** Rows that are settled or refused; counts are rows, and sum to those handed in. */
export interface WrittenFact extends UpsertCounts {
	readonly table: string;
	/** Rows of the statement, without the coalesced ones. */
	readonly rows: number;
	readonly bytes: number;
	readonly trigger: Trigger;
	readonly coalesced: number;
	readonly refused: number;
	readonly durationMs: number;
	readonly samples: readonly { readonly topic: string; readonly timestamps: readonly number[] }[];
}

/** Whom writing tells. */
export interface WritingListener {
	/** A statement went in. */
	written(fact: WrittenFact): void;
	/** Some row of the place went in, or was refused. */
	progressed(place: WritingPlace): void;
	/** All that was sent went in. */
	mended(place: WritingPlace): void;
	/** A statement failed as a whole, so many times in a row; it is tried again in `delayMs`. */
	failed(place: WritingPlace, problem: SqlProblem, failures: number, delayMs: number): void;
}

/** What it needs, and whom it tells. */
export interface WritingParts {
	readonly database: Database;
	/** The connections, shared by all who write. */
	readonly slots: StatementSlots;
	readonly clock: Clock;
	readonly random: Random;
	readonly ended: AbortSignal;
	readonly limits: { readonly maxRows: number; readonly maxBytes: number };
	/** Asks who holds the locks that are waited for; null where nobody can be asked. */
	readonly lockHolders: AskLockHolders | null;
	readonly listener: WritingListener;
}

const UNTIL_WAITING_MS = 50;
/** A database that is back must not wait long for its rows. */
const RETRY = { minMs: 100, maxMs: 5_000 };
/** Message timestamps per topic and batch that go to the latency histogram: enough for quantiles, cheap at any rate. */
const SAMPLES = 20;

/** The shared part of all writing to one table: connection, timing, wait before the next try, listeners. */
export class Writing {
	readonly parts: WritingParts;
	readonly layout: TableLayout;

	constructor(layout: TableLayout, parts: WritingParts) {
		this.parts = parts;
		this.layout = layout;
	}

	/** What the database made of it, and in which time, without the wait for a connection. */
	timed<T>(statement: () => Promise<T>): Promise<{ answer: T; durationMs: number }> {
		const { clock, slots } = this.parts;
		return slots.run(async () => {
			const startedAt = clock.monotonic();
			return { answer: await statement(), durationMs: clock.monotonic() - startedAt };
		});
	}

	/** Who holds up statements of this table at the moment, as far as that can be found out; never rejects. */
	async holders(): Promise<readonly LockHolder[]> {
		const { lockHolders, clock, ended } = this.parts;
		if (!lockHolders) return [];
		try {
			// The statement that waits for the lock is on its way first.
			await clock.sleep(UNTIL_WAITING_MS, ended);
			return await lockHolders(this.layout.name);
		} catch {
			return [];
		}
	}

	tell(fact: Omit<WrittenFact, "table" | "samples">, samples: Samples): void {
		this.parts.listener.written({ table: this.layout.name, ...fact, samples: samples.all });
	}

	/** Waits before the next try of the same rows; false where the writer was ended meanwhile. */
	async waitAfter(problem: SqlProblem, place: WritingPlace, failures: number): Promise<boolean> {
		const { clock, random, ended, listener } = this.parts;
		const delayMs = fullJitter(failures, RETRY, random);
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

	/** As many as there is room for, of `count` messages with a timestamp each; -1 or 0 where a message has none. */
	add(topic: string, count: number, timestampOf: (index: number) => number): void {
		const sampled = this.#byTopic.get(topic) ?? [];
		this.#byTopic.set(topic, sampled);
		for (let i = 0; i < count && sampled.length < SAMPLES; i++) {
			const timestamp = timestampOf(i);
			sampled.push(timestamp > 0 ? timestamp : -1);
		}
	}
}
