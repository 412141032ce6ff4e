/** The real batch writer on a database of the test's own, its tables made, everything it tells noted. */
import { systemClock } from "../../../src/core/clock.ts";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import type { AwaitedFact, StuckFact } from "../../../src/core/rows/waiting-rows.ts";
import type { Database, DatabaseRow } from "../../../src/sink/database/database.ts";
import { createTables } from "../../../src/sink/tables/schema.ts";
import { BatchWriter } from "../../../src/sink/writer/batch-writer.ts";
import type { BatchLimits } from "../../../src/sink/writer/lane.ts";
import { lockHoldersAt } from "../../../src/sink/writer/refused/lock-holders.ts";
import type { WriterEvents, WriterParts } from "../../../src/sink/writer/writer-events.ts";
import type { WrittenFact } from "../../../src/sink/writer/writing.ts";
import { messagesOf, type RowMessage, type TrackedMessages } from "../fakes/message-submissions.ts";
import { submissionOf, type TestRow, type TrackedSubmission } from "../fakes/row-submissions.ts";
import { createTestDatabase, type TestDatabase } from "./test-database.ts";

/** Options of tables. */
type WriterOptions = Pick<WriterParts, "waits" | "atomic">;

/** See the file's header; use with `await using`. */
export class TestWriter implements AsyncDisposable {
	readonly writer: BatchWriter;
	readonly db: TestDatabase;
	readonly layouts: readonly TableLayout[];
	readonly written: WrittenFact[] = [];
	readonly blocked: Parameters<WriterEvents["table:blocked"]>[0][] = [];
	readonly retried: Parameters<WriterEvents["write:retried"]>[0][] = [];
	unblocked = 0;
	/** The writer's own connections where it has any; the test's are `db`. */
	readonly #own: Database | null;

	readonly #connections: number;

	/** The rows that don't go in though others do, as they were told. */
	readonly stuck: StuckFact[] = [];

	/** The rows that wait for their parents, as they were told. */
	readonly awaited: AwaitedFact[] = [];

	private constructor(
		db: TestDatabase,
		own: Database | null,
		layouts: readonly TableLayout[],
		batch: BatchLimits,
		connections: number,
		options: WriterOptions,
	) {
		this.db = db;
		this.#connections = connections;
		this.#own = own;
		this.layouts = layouts;
		this.writer = new BatchWriter({
			layouts,
			database: own ?? db.database,
			connections,
			batch,
			lockHolders: lockHoldersAt(db, systemClock),
			clock: systemClock,
			random: () => 0.1,
			...options,
		});
		this.writer.on("parents:awaited", (fact) => this.awaited.push(fact));
		this.writer.on("rows:stuck", (fact) => this.stuck.push(fact));
		this.writer.on("batch:written", (fact) => this.written.push(fact));
		this.writer.on("table:blocked", (fact) => this.blocked.push(fact));
		this.writer.on("table:unblocked", () => this.unblocked++);
		this.writer.on("write:retried", (fact) => this.retried.push(fact));
	}

	/** `own` makes connections for the writer alone, so that a fault meets nobody else. */
	static async on(
		layouts: readonly TableLayout[],
		{
			maxRows = 5_000,
			maxBytes = 4_000_000,
			lingerMs = 1,
			minRows = 100,
			answerMs = 250,
			connections = 2,
			db = null as TestDatabase | null,
			own = null as ((url: string) => Database) | null,
			options = {} as WriterOptions,
		} = {},
	): Promise<TestWriter> {
		const database = db ?? (await createTestDatabase());
		await createTables(database.database, layouts);
		return new TestWriter(
			database,
			own?.(database.url) ?? null,
			layouts,
			{ maxRows, maxBytes, lingerMs, minRows, answerMs },
			connections,
			options,
		);
	}

	/** Submits rows of one partition for the first (or the named) table without waiting. */
	submit(rows: readonly TestRow[], table?: string): TrackedSubmission {
		const layout = this.layouts.find(({ name }) => name === table) ?? (this.layouts[0] as TableLayout);
		const submission = submissionOf(layout, rows, this.#connections);
		this.writer.write(submission);
		return submission;
	}

	/** Submits a run of messages with rows for several tables, without waiting. */
	submitMessages(messages: readonly RowMessage[], partition = 0): TrackedMessages {
		const submission = messagesOf(this.layouts, messages, { partition, lanes: this.#connections });
		this.writer.write(submission);
		return submission;
	}

	/** Submits and waits until every row was told its fate. */
	async write(rows: readonly TestRow[], table?: string): Promise<TrackedSubmission> {
		const submission = this.submit(rows, table);
		await submission.done;
		return submission;
	}

	/** Sums over all batches so far. */
	get counts(): { inserted: number; updated: number; deleted: number; stale: number; coalesced: number; refused: number } {
		const sum = { inserted: 0, updated: 0, deleted: 0, stale: 0, coalesced: 0, refused: 0 };
		for (const { inserted, updated, deleted, stale, coalesced, refused } of this.written) {
			sum.inserted += inserted;
			sum.updated += updated;
			sum.deleted += deleted;
			sum.stale += stale.replay + stale.older + stale.other_partition;
			sum.coalesced += coalesced;
			sum.refused += refused;
		}
		return sum;
	}

	rows(text = "select * from events order by 1"): Promise<readonly DatabaseRow[]> {
		return this.db.database.query(text);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.writer.dispose();
		await this.#own?.close();
		await this.db[Symbol.asyncDispose]();
	}
}
