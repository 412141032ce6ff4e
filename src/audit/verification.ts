/**
 * Did everything arrive? Reads the log up to what the group has committed, runs the handler over it, folds its rows by version and
 * compares them with the tables. Changes nothing in Kafka and nothing in the database.
 *
 * What can't be known is said and not guessed: messages that the log no longer holds, dead letters, rows of messages past the end.
 */
import type { Config } from "../config/config.ts";
import { tableLayouts } from "../config/table-layouts.ts";
import type { Clock } from "../core/clock.ts";
import type { LetterPosition } from "../core/dead-letter.ts";
import { ExitError, exitCodes } from "../core/errors.ts";
import type { HeldOffsets } from "../core/hand-note.ts";
import type { ReceivedMessage, TopicPartition } from "../core/message.ts";
import type { Random } from "../core/random.ts";
import type { TableLayout } from "../core/rows.ts";
import { LogReader } from "../kafka/log-reader.ts";
import { type ChosenIds, everyId, namedIds, SampledIds } from "../sink/chosen-ids.ts";
import type { Database } from "../sink/database.ts";
import { ExpectedRows } from "../sink/expected-rows.ts";
import { interruptible } from "../sink/interruptible-database.ts";
import { type ComparisonListener, compareTable } from "../sink/table-comparison.ts";
import type { RowSubmission } from "../worker/ports.ts";
import { coveredPartitions, knownTopics } from "./covered-partitions.ts";
import { expectedRows, type RowPlace } from "./expected-row.ts";
import { Findings } from "./findings.ts";
import { type CoveredPartition, isHandledAgain, LogCoverage } from "./log-coverage.ts";
import { LogPass } from "./log-pass.ts";
import { lookedAt, type Requirement } from "./requirements.ts";
import { spillFolder } from "./spill-folder.ts";
import { reportOf, type VerificationReport } from "./verification-report.ts";

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
	/** What is looked at; everything where it is left out. */
	readonly scope?: VerificationScope;
	/** What has to hold for `fulfilled`. */
	readonly requirements?: readonly Requirement[];
	/**
	 * So long, in ms, it comes back to rows that were newer than the committed offsets, until as large a share of the ids was compared as is
	 * required (all, where nothing says so). Default 0: it does not.
	 */
	readonly comeBackMs?: number;
	/** Told now and then; `table` is null while the log is read. */
	readonly progress: (progress: { readonly read: number; readonly total: number; readonly table: string | null }) => void;
}

/** A part of what there is. */
export interface VerificationScope {
	/** Only the logs of these topics; rows of others count as unchecked. */
	readonly topics: readonly string[];
	/** Only these tables. */
	readonly tables: readonly string[];
	/** Only these ids. */
	readonly ids?: ReadonlySet<string> | undefined;
	/** Of each table so many ids, by lot. */
	readonly sample?: number | undefined;
}

/** Between two looks at what the group has committed. */
const COME_BACK_MS = 1_000;

/** See the file's header. Rejects (ExitError, KafkaError, the database's error) where it can't be carried through. */
export async function verify(parts: VerificationParts): Promise<VerificationReport> {
	const { config, clock, signal } = parts;
	const database = interruptible(parts.database, signal);
	try {
		// Before Kafka is asked anything: a database that isn't there says so at once.
		await database.query("select 1");
		await using folder = await spillFolder();
		await using reader = await LogReader.connect(config.kafka, clock, config.kafka.group, signal);
		const verification = await Verification.of({ ...parts, database }, reader, folder.path);
		return await verification.run();
	} catch (cause) {
		if (!signal.aborted) throw cause;
		throw new ExitError(exitCodes.found, "interrupted", "the verification was interrupted", { cause });
	}
}

class Verification {
	readonly #parts: VerificationParts;
	readonly #reader: LogReader;
	readonly #coverage: LogCoverage;
	readonly #layouts: readonly TableLayout[];
	readonly #tables: readonly TableLayout[];
	readonly #folder: string;
	readonly #findings: Findings;
	readonly #lettersMissing: string | null;
	readonly #pass: LogPass;
	#expected: ReadonlyMap<string, ExpectedRows> = new Map();
	#total = 0;
	#messages = 0;

	private constructor(parts: VerificationParts, reader: LogReader, folder: string, coverage: LogCoverage, lettersMissing: string | null) {
		const { config, clock, random, signal, inHand, maxDifferences } = parts;
		this.#parts = parts;
		this.#reader = reader;
		this.#folder = folder;
		this.#coverage = coverage;
		this.#lettersMissing = lettersMissing;
		this.#findings = new Findings({ coverage, onlyTopic: config.kafka.topics[0] ?? "", maxDifferences });
		this.#layouts = tableLayouts(config);
		this.#tables = tablesIn(this.#layouts, parts.scope?.tables ?? []);
		this.#pass = new LogPass({
			config,
			clock,
			random,
			layouts: this.#layouts,
			purpose: "verify",
			signal,
			inHand,
			read: (partition, messages) => this.#read(partition, messages),
			rows: (submission) => this.#fold(submission),
			relieve: () => this.#relieve(),
			mayFail: (letter) => coverage.letterAt(letter) !== undefined,
			failed: ({ topic, partition, offset, reason, error }) =>
				this.#findings.failed({ kind: "failed", topic, partition, offset, reason, error }),
		});
	}

	static async of(parts: VerificationParts, reader: LogReader, folder: string): Promise<Verification> {
		const { config, database, scope } = parts;
		const ranges = await coveredPartitions(config, database, reader, scope?.topics);
		// Not before the ends are known: of what is committed up to there every letter is stored.
		const letters = await parts.letters(database);
		const coverage = new LogCoverage(ranges, letters ?? [], { isKnown: await knownTopics(config, database, reader) });
		return new Verification(parts, reader, folder, coverage, letters === null ? lettersTarget(config) : null);
	}

	async run(): Promise<VerificationReport> {
		await this.#readLog(this.#coverage.ranges, "table", () => this.#chosenIds());
		if (this.#messages === 0 && this.#coverage.behind > 0) throw this.#nothingChecked();
		for (const { topic, partition, committed, high } of this.#coverage.ranges)
			if (committed !== null && committed > high) this.#findings.beyond({ kind: "beyond", topic, partition, offset: committed, high });
		await this.#compare(false);
		await this.#comeBack();
		return reportOf({
			group: this.#parts.config.kafka.group,
			messages: this.#messages,
			lettersMissing: this.#lettersMissing,
			coverage: this.#coverage,
			findings: this.#findings,
			requirements: this.#parts.requirements ?? [],
		});
	}

	/** Rows that were newer than the committed offsets are compared once these have come past them. */
	async #comeBack(): Promise<void> {
		const { clock, signal, comeBackMs = 0, requirements = [] } = this.#parts;
		const share = requirements.find(({ name }) => name === "share")?.value ?? 1;
		const until = clock.monotonic() + comeBackMs;
		for (let round = 1; this.#findings.comingBack > 0 && lookedAt(this.#findings.counts).share < share; round++) {
			const leftMs = until - clock.monotonic();
			if (leftMs <= 0) return;
			await clock.sleep(Math.min(COME_BACK_MS, leftMs), signal);
			if (!(await this.#goOn(round))) return;
		}
	}

	/** Reads on to what is committed by now; false where a log is another one by now, or lost its end. */
	async #goOn(round: number): Promise<boolean> {
		const { config, database, scope, letters } = this.#parts;
		const before = this.#coverage.ranges;
		const now = await coveredPartitions(config, database, this.#reader, scope?.topics);
		const later = now.map((range, index) => ({ ...range, from: before[index]?.to ?? range.from }));
		if (now.some(({ topicId, high }, index) => topicId !== before[index]?.topicId || high < (before[index]?.to ?? 0))) return false;
		if (later.every(({ from, to }) => from >= to)) return true;
		this.#coverage.extend(now, (await letters(database)) ?? []);
		await this.#readLog(later, `again-${round}`, ({ name }) => {
			const isAhead = (id: string) => this.#findings.isAhead(name, id);
			return { admit: isAhead, has: isAhead };
		});
		await this.#compare(true);
		return true;
	}

	/** What of it is chosen goes to `#expected`, whatever that held. */
	async #readLog(ranges: readonly CoveredPartition[], name: string, chosen: (layout: TableLayout) => ChosenIds): Promise<void> {
		const folder = this.#folder;
		this.#expected = new Map(
			this.#tables.map((layout, index) => [
				layout.name,
				new ExpectedRows({ layout, folder, name: `${name}-${index}`, chosen: chosen(layout) }),
			]),
		);
		this.#total += ranges.reduce((sum, { from, to }) => sum + Math.max(0, to - from), 0);
		await this.#pass.run(this.#reader, ranges);
		this.#coverage.finished();
	}

	#chosenIds(): ChosenIds {
		const { scope, random } = this.#parts;
		if (scope?.ids) return namedIds(scope.ids);
		return scope?.sample ? new SampledIds(scope.sample, Math.floor(random() * 2 ** 32)) : everyId;
	}

	#nothingChecked(): ExitError {
		const { group } = this.#parts.config.kafka;
		const what = `group ${group}: no message was read, and ${this.#coverage.behind} are behind the committed offsets: nothing was checked`;
		return new ExitError(exitCodes.found, "nothing_checked", `${what} (did the daemon run?)`);
	}

	#read(partition: TopicPartition, messages: readonly ReceivedMessage[]): readonly ReceivedMessage[] {
		this.#coverage.read(
			partition,
			messages.map(({ offset }) => offset),
		);
		this.#messages += messages.length;
		this.#parts.progress({ read: this.#messages, total: this.#total, table: null });
		return messages.filter((message) => {
			const letter = this.#coverage.letterAt(message);
			return (letter === undefined || isHandledAgain(letter)) && !this.#coverage.isPassedOver(partition, message.offset);
		});
	}

	async #relieve(): Promise<void> {
		for (const rows of this.#expected.values()) await rows.relieve();
	}

	#fold(submission: RowSubmission): void {
		for (const block of submission.blocks) {
			const rows = this.#expected.get(block.table);
			if (!rows) continue;
			const layout = this.#layouts.find(({ name }) => name === block.table) as TableLayout;
			const isOptional = (place: RowPlace, id: string) => isRefused(this.#coverage.letterAt(place), block.table, id);
			for (const row of expectedRows(submission, block, layout, isOptional)) rows.add(row);
		}
	}

	/** `knownIds`: those expected and no others; else all that the tables hold. */
	async #compare(knownIds: boolean): Promise<void> {
		for (const layout of this.#tables) {
			const { name } = layout;
			this.#parts.progress({ read: this.#messages, total: this.#total, table: name });
			const listener: ComparisonListener = {
				matched: (ids) => this.#findings.count("matched", name, ids),
				purged: (ids) => this.#findings.count("purged", name, ids),
				found: (finding, isOptional) => this.#findings.found(finding, isOptional),
			};
			await compareTable(this.#parts.database, layout, this.#expected.get(name) as ExpectedRows, listener, { knownIds });
		}
		await this.#findings.judgeHeld(async (partition) => (await this.#reader.watermarks(partition)).high);
	}
}

function tablesIn(layouts: readonly TableLayout[], names: readonly string[]): readonly TableLayout[] {
	const other = names.find((name) => !layouts.some((layout) => layout.name === name));
	if (other !== undefined) throw new ExitError(exitCodes.usage, "no_table", `${other} is none of the configured tables`);
	return names.length === 0 ? layouts : layouts.filter(({ name }) => names.includes(name));
}

function lettersTarget({ deadLetters: { target, table, topic } }: Config): string {
	return target === "topic" ? `topic ${topic}` : `table ${table}`;
}

/** Whether the letter was made of this row: it may be there (it went through another time) or not. Its neighbours have to be. */
function isRefused(letter: LetterPosition | undefined, table: string, id: string): boolean {
	if (!letter) return false;
	// Some are not named, or none: it may be any.
	if (letter.rowsLeftOut > 0 || letter.reason !== "row_fault") return true;
	let named = refusedRows.get(letter);
	if (!named) {
		named = new Set(letter.rows.map(([refusedTable, refusedId]) => `${refusedTable}\0${refusedId}`));
		refusedRows.set(letter, named);
	}
	return named.has(`${table}\0${id}`);
}

/** Looked up by each row of the message, and there may be thousands. */
const refusedRows = new WeakMap<LetterPosition, ReadonlySet<string>>();
