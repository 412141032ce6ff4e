/**
 * Did everything arrive? Reads the log up to what the group has committed, runs the handler over it, folds its rows by version and
 * compares them with the tables. Changes nothing in Kafka and nothing in the database.
 *
 * What can't be known is said and not guessed: messages that the log no longer holds, dead letters, rows of messages past the end.
 */
import { availableParallelism } from "node:os";
import type { Config } from "../config/config.ts";
import { tableLayouts } from "../config/table-layouts.ts";
import type { Clock } from "../core/clock.ts";
import type { LetterPosition } from "../core/dead-letter.ts";
import { ExitError, exitCodes } from "../core/errors.ts";
import type { HeldOffsets } from "../core/hand-note.ts";
import { partitionName, type TopicPartition } from "../core/message.ts";
import type { Random } from "../core/random.ts";
import { type BlockRow, rowsOf, type TableLayout } from "../core/rows.ts";
import { threadOptions } from "../daemon-parts.ts";
import { LogReader } from "../kafka/log-reader.ts";
import type { Database } from "../sink/database.ts";
import { ExpectedRows } from "../sink/expected-rows.ts";
import { interruptible } from "../sink/interruptible-database.ts";
import { compareTable } from "../sink/table-comparison.ts";
import type { RowSubmission } from "../worker/ports.ts";
import { createHandlerThreads } from "../worker/worker-thread.ts";
import { coveredPartitions } from "./covered-partitions.ts";
import { type Difference, Findings, type VerificationCounts } from "./findings.ts";
import { type CoveredPartition, LogCoverage } from "./log-coverage.ts";
import { spillFolder } from "./spill-folder.ts";
import { VerifyingWorker } from "./verifying-worker.ts";

/** What a verification is given. */
export interface VerificationParts {
	readonly config: Config;
	readonly database: Database;
	/** Reads all dead letters of the group that were not replayed, from this database where they are in one; null where their table or topic is missing. */
	readonly letters: (database: Database) => Promise<readonly LetterPosition[] | null>;
	readonly clock: Clock;
	readonly random: Random;
	/** Ends it early, whatever it waits for; the promise rejects then. The database is its owner's to close. */
	readonly signal: AbortSignal;
	/** Told what is handed over: whoever hears it may outlive the process. */
	readonly inHand?: (partition: TopicPartition, held: HeldOffsets | null) => void;
	/** At most so many differences are kept; all are counted. */
	readonly maxDifferences: number;
	/** Told now and then; `table` is null while the log is read. */
	readonly progress: (progress: { readonly read: number; readonly total: number; readonly table: string | null }) => void;
}

/** The result. */
export interface VerificationReport {
	readonly group: string;
	readonly partitions: readonly CoveredPartition[];
	/** Messages read. */
	readonly messages: number;
	/** Offsets behind the committed ones, as the log was when this began: not looked at. */
	readonly behind: number;
	/** Offsets that the log doesn't hold, so that nothing can be said of them. */
	readonly absentOffsets: number;
	/** Offsets that the group passed over unread: where its position was outside the log, or somebody set it on. */
	readonly passedOver: number;
	/** Dead letters by state, accounted for. */
	readonly letters: Readonly<Record<string, number>>;
	/** Dead letters of logs that had the name of a topic before it was made again: they account for nothing. */
	readonly lettersOfOtherLogs: number;
	/** The table or topic that they should be in, where there is none: then no letter accounts for anything. */
	readonly lettersMissing: string | null;
	readonly counts: Readonly<VerificationCounts>;
	/** The first differences. */
	readonly differences: readonly Difference[];
	/** True without any difference. */
	readonly verified: boolean;
}

/** Messages read and not handled yet, in all partitions, and their bytes. */
const MAX_PENDING = { messages: 20_000, bytes: 64 * 1024 * 1024 };
/** Threads at a time: more only share the processors. */
const MAX_THREADS = Math.min(4, availableParallelism());

/** See the file's header. Rejects (ExitError, KafkaError, the database's error) where it can't be carried through. */
export async function verify(parts: VerificationParts): Promise<VerificationReport> {
	const { config, clock, signal } = parts;
	const database = interruptible(parts.database, signal);
	try {
		// Before Kafka is asked anything: a database that isn't there says so at once.
		await database.query("select 1");
		await using folder = await spillFolder();
		await using reader = await LogReader.connect(config.kafka, clock, config.kafka.group, signal);
		const ranges = await coveredPartitions(config, database, reader);
		// Not before the ends are known: of what is committed up to there every letter is stored.
		const letters = await parts.letters(database);
		const verification = new Verification({ ...parts, database }, new LogCoverage(ranges, letters ?? []), folder.path);
		return await verification.run(reader, letters === null ? lettersTarget(config) : null);
	} catch (cause) {
		if (!signal.aborted) throw cause;
		throw new ExitError(exitCodes.found, "interrupted", "the verification was interrupted", { cause });
	}
}

class Verification {
	readonly #parts: VerificationParts;
	readonly #coverage: LogCoverage;
	readonly #layouts: readonly TableLayout[];
	readonly #expected: ReadonlyMap<string, ExpectedRows>;
	readonly #findings: Findings;
	readonly #total: number;
	#messages = 0;
	#wake: () => void = () => {};

	constructor(parts: VerificationParts, coverage: LogCoverage, folder: string) {
		this.#parts = parts;
		this.#coverage = coverage;
		const { config, maxDifferences } = parts;
		this.#findings = new Findings({ coverage, onlyTopic: config.kafka.topics[0] ?? "", maxDifferences });
		this.#layouts = tableLayouts(config);
		this.#expected = new Map(
			this.#layouts.map((layout, index) => [layout.name, new ExpectedRows({ layout, folder, name: `table-${index}` })]),
		);
		parts.signal.addEventListener("abort", () => this.#wake(), { once: true });
		this.#total = coverage.ranges.reduce((sum, { from, to }) => sum + Math.max(0, to - from), 0);
	}

	async run(reader: LogReader, lettersMissing: string | null): Promise<VerificationReport> {
		const open = this.#coverage.ranges.filter(({ from, to }) => from < to);
		for (let at = 0; at < open.length; at += MAX_THREADS) await this.#handle(reader, open.slice(at, at + MAX_THREADS));
		this.#coverage.finished();
		if (this.#messages === 0 && this.#coverage.behind > 0) throw this.#nothingChecked();
		for (const { topic, partition, committed, high } of this.#coverage.ranges)
			if (committed !== null && committed > high) this.#findings.beyond({ kind: "beyond", topic, partition, offset: committed, high });
		for (const layout of this.#layouts) await this.#compare(layout);
		await this.#findings.judgeHeld(async (partition) => (await reader.watermarks(partition)).high);
		return {
			group: this.#parts.config.kafka.group,
			partitions: this.#coverage.ranges,
			messages: this.#messages,
			behind: this.#coverage.behind,
			absentOffsets: this.#coverage.absentOffsets,
			passedOver: this.#coverage.passedOver,
			letters: this.#coverage.letters,
			lettersOfOtherLogs: this.#coverage.lettersOfOtherLogs,
			lettersMissing,
			counts: this.#findings.counts,
			differences: this.#findings.differences,
			verified: this.#findings.verified,
		};
	}

	#nothingChecked(): ExitError {
		const { group } = this.#parts.config.kafka;
		const what = `group ${group}: no message was read, and ${this.#coverage.behind} are behind the committed offsets: nothing was checked`;
		return new ExitError(exitCodes.found, "nothing_checked", `${what} (did the daemon run?)`);
	}

	/** Reads these partitions and runs the handler over them, each in a thread of its own. */
	async #handle(reader: LogReader, ranges: readonly CoveredPartition[]): Promise<void> {
		const workers = new Map(ranges.map((range) => [partitionName(range), this.#createWorker(range)]));
		const sum = (figure: (worker: VerifyingWorker) => number) => [...workers.values()].reduce((total, worker) => total + figure(worker), 0);
		const pending = () => sum((worker) => worker.pending);
		const bytes = () => sum((worker) => worker.bytes);
		try {
			for await (const [partition, messages] of reader.read(ranges)) {
				const offsets = messages.map(({ offset }) => offset);
				this.#coverage.read(partition, offsets);
				const wanted = messages.filter(
					(message) => isHandled(this.#coverage.letterAt(message)) && !this.#coverage.isPassedOver(partition, message.offset),
				);
				if (wanted.length > 0) workers.get(partitionName(partition))?.deliver(wanted);
				this.#messages += messages.length;
				this.#parts.progress({ read: this.#messages, total: this.#total, table: null });
				await this.#until(() => pending() === 0 || (pending() < MAX_PENDING.messages && bytes() < MAX_PENDING.bytes));
				await this.#relieve();
			}
			await this.#until(() => pending() === 0);
			await this.#relieve();
		} finally {
			const stopped = Promise.all([...workers.values()].map((worker) => worker.stop(this.#parts.signal.aborted)));
			// Nobody waits for a handler after Ctrl-C.
			if (!this.#parts.signal.aborted) await stopped;
		}
	}

	async #relieve(): Promise<void> {
		for (const rows of this.#expected.values()) await rows.relieve();
	}

	#createWorker(partition: TopicPartition): VerifyingWorker {
		const { config, clock, random } = this.#parts;
		return new VerifyingWorker({
			config,
			layouts: this.#layouts,
			partition: { topic: partition.topic, partition: partition.partition },
			threads: createHandlerThreads({ ...threadOptions(config, this.#layouts), purpose: "verify", printed: () => {} }).lease(partition),
			clock,
			random,
			rows: (submission) => this.#fold(submission),
			failed: (letter) => {
				if (this.#coverage.letterAt(letter)) return;
				const { topic, partition: number, offset, reason, error } = letter;
				this.#findings.failed({ kind: "failed", topic, partition: number, offset, reason, error });
			},
			inHand: this.#parts.inHand,
			moved: () => this.#wake(),
		});
	}

	#fold(submission: RowSubmission): void {
		for (const block of submission.blocks) {
			const layout = this.#layouts.find(({ name }) => name === block.table) as TableLayout;
			const rows = this.#expected.get(block.table) as ExpectedRows;
			for (const row of rowsOf(block)) rows.add(this.#rowOf(submission, block.table, row, layout));
		}
	}

	#rowOf({ topic, partition, batch }: RowSubmission, table: string, row: BlockRow, { version, columns }: TableLayout) {
		const { message, id, isDelete, values } = row;
		const offset = batch.offsets[message] as number;
		const timestamp = Math.max(0, batch.timestamps[message] as number);
		const field = version.kind === "field" ? (values[columns.findIndex(({ name }) => name === version.column)] ?? null) : null;
		return {
			id,
			isDelete,
			timestamp,
			offset,
			partition,
			topic,
			values,
			field,
			optional: isRefused(this.#coverage.letterAt({ topic, partition, offset, timestamp }), table, id),
		};
	}

	async #compare(layout: TableLayout): Promise<void> {
		this.#parts.progress({ read: this.#messages, total: this.#total, table: layout.name });
		await compareTable(this.#parts.database, layout, this.#expected.get(layout.name) as ExpectedRows, {
			matched: (count) => this.#findings.count("matched", count),
			purged: (count) => this.#findings.count("purged", count),
			found: (finding) => this.#findings.found(finding),
		});
	}

	/** Waits for the workers; throws where one can't go on, or where somebody ended it. */
	async #until(holds: () => boolean): Promise<void> {
		const { signal } = this.#parts;
		for (;;) {
			signal.throwIfAborted();
			if (holds()) return;
			await new Promise<void>((resolve) => {
				this.#wake = resolve;
			});
		}
	}
}

function lettersTarget({ deadLetters: { target, table, topic } }: Config): string {
	return target === "topic" ? `topic ${topic}` : `table ${table}`;
}

/** Of a message whose row was refused the other rows were written; what else became a dead letter made no row. */
function isHandled(letter: LetterPosition | undefined): boolean {
	return letter === undefined || letter.reason === "row_fault";
}

/** Whether the letter was made of this row: it may be there (it went through another time) or not. Its neighbours have to be. */
function isRefused(letter: LetterPosition | undefined, table: string, id: string): boolean {
	if (!letter) return false;
	// Some are not named: it may be any.
	if (letter.rowsLeftOut > 0) return true;
	let named = refusedRows.get(letter);
	if (!named) {
		named = new Set(letter.rows.map(([refusedTable, refusedId]) => `${refusedTable}\0${refusedId}`));
		refusedRows.set(letter, named);
	}
	return named.has(`${table}\0${id}`);
}

/** Looked up by each row of the message, and there may be thousands. */
const refusedRows = new WeakMap<LetterPosition, ReadonlySet<string>>();
