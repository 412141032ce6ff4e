/**
 * Answers whether everything arrived: reads the log up to the group's committed offsets, runs the handler over it, folds its rows by
 * version and compares them with the tables. Changes nothing in Kafka and nothing in the database.
 *
 * What can't be known is reported as such and not guessed: messages that the log no longer has, dead letters, rows of messages past the
 * end.
 */
import type { Config } from "../../config/config.ts";
import { nearest } from "../../config/schema/problems.ts";
import { tableLayouts } from "../../config/table-layouts.ts";
import type { LetterPosition } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { partitionName, type ReceivedMessage, type TopicPartition } from "../../core/messages/message.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import { type LogRange, LogReader } from "../../kafka/log-reader.ts";
import { type ChosenIds, everyId, namedIds, SampledIds } from "../../sink/comparison/chosen-ids.ts";
import { ExpectedRows } from "../../sink/comparison/expected-rows.ts";
import { interruptible } from "../../sink/comparison/interruptible-database.ts";
import { type ComparisonListener, compareTable } from "../../sink/comparison/table-comparison.ts";
import type { RowSubmission } from "../../worker/ports.ts";
import { coveredPartitions, grownSince, knownTopics, resumedRanges } from "../log/covered-partitions.ts";
import { expectedRows, type RowPlace } from "../log/expected-row.ts";
import { isHandledAgain, LogCoverage } from "../log/log-coverage.ts";
import { LogPass } from "../log/log-pass.ts";
import { spillFolder } from "../log/spill-folder.ts";
import { Findings } from "./findings.ts";
import { KeptVerification } from "./kept-verification.ts";
import { isRefused } from "./refused-rows.ts";
import { lookedAt } from "./requirements.ts";
import { verificationIdentity } from "./verification-identity.ts";
import type { VerificationParts } from "./verification-parts.ts";
import { reportOf, type VerificationReport } from "./verification-report.ts";

/** Minimum time between two saves of the progress. */
const KEEP_EVERY_MS = 5_000;
/** Saving takes at most one in this many parts of the time. */
const KEEPING_SHARE = 20;
/** Time between two reads of the group's committed offsets. */
const COME_BACK_MS = 1_000;

/** Verifies the tables against the log. Rejects (ExitError, KafkaError, the database's error) if it can't be completed. */
export async function verify(parts: VerificationParts): Promise<VerificationReport> {
	const { config, clock, signal } = parts;
	const database = interruptible(parts.database, signal);
	try {
		// Ask the database before Kafka: one that isn't there says so at once.
		await database.query("select 1");
		await using kept = parts.resume
			? await KeptVerification.open(parts.resume.folder, await verificationIdentity(config, parts.scope))
			: null;
		await using own = kept ? null : await spillFolder();
		await using reader = await LogReader.connect(config.kafka, clock, config.kafka.group, signal);
		const report = await verifyLog({ ...parts, database }, reader, kept ?? own?.path ?? "");
		await kept?.finish();
		return report;
	} catch (cause) {
		if (!signal.aborted) throw cause;
		const goesOn = parts.resume ? `; the same command goes on with what is kept in ${parts.resume.folder}` : "";
		throw new ExitError(exitCodes.found, "interrupted", `the verification was interrupted${goesOn}`, { cause });
	}
}

/** Verifies with an open reader; what does not fit into memory goes into the folder. */
export async function verifyLog(
	parts: VerificationParts,
	reader: LogReader,
	folder: string | KeptVerification,
): Promise<VerificationReport> {
	return (await Verification.of(parts, reader, folder)).run();
}

class Verification {
	readonly #parts: VerificationParts;
	readonly #reader: LogReader;
	readonly #coverage: LogCoverage;
	readonly #layouts: readonly TableLayout[];
	readonly #tables: readonly TableLayout[];
	readonly #folder: string;
	readonly #kept: KeptVerification | null;
	/** The dead letters as they were at the beginning. */
	readonly #letters: readonly LetterPosition[] | null;
	readonly #findings: Findings;
	readonly #pass: LogPass;
	#expected: ReadonlyMap<string, ExpectedRows> = new Map();
	#total = 0;
	#messages = 0;
	/** By partition, the next offset to read. A resumed verification reads messages again that the handler had left unfinished. */
	#next = new Map<string, number>();
	/** Monotonic clock, ms. */
	#keepNextAt = 0;

	private constructor(
		parts: VerificationParts,
		reader: LogReader,
		folder: string | KeptVerification,
		coverage: LogCoverage,
		letters: readonly LetterPosition[] | null,
	) {
		const { config, clock, random, signal, inHand, maxDifferences } = parts;
		this.#parts = parts;
		this.#reader = reader;
		this.#kept = folder instanceof KeptVerification ? folder : null;
		this.#folder = folder instanceof KeptVerification ? folder.folder : folder;
		this.#coverage = coverage;
		this.#letters = letters;
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
			checkpoint: this.#kept ? { isDue: () => clock.monotonic() >= this.#keepNextAt, take: (open) => this.#keep(open) } : undefined,
			mayFail: (letter) => coverage.letterAt(letter) !== undefined,
			failed: ({ topic, partition, offset, reason, error }) =>
				this.#findings.failed({ kind: "failed", topic, partition, offset, reason, error }),
		});
	}

	static async of(parts: VerificationParts, reader: LogReader, folder: string | KeptVerification): Promise<Verification> {
		const { config, database, scope } = parts;
		const state = folder instanceof KeptVerification ? folder.state : null;
		const now = await coveredPartitions(config, database, reader, scope?.topics);
		const ranges = state ? resumedRanges(state.ranges, now) : now;
		// Read the letters after the ends are known: all letters of what is committed up to there are stored.
		const letters = state ? state.letters : await parts.letters(database);
		const coverage = new LogCoverage(ranges, letters ?? [], { isKnown: await knownTopics(config, database, reader) });
		coverage.restore(state?.coverage ?? []);
		return new Verification(parts, reader, folder, coverage, letters);
	}

	async run(): Promise<VerificationReport> {
		const { clock, resume } = this.#parts;
		const state = this.#kept?.state ?? null;
		this.#keepNextAt = clock.monotonic() + (resume?.everyMs ?? KEEP_EVERY_MS);
		this.#messages = state?.messages ?? 0;
		this.#total = this.#messages;
		this.#findings.restore(state?.failed ?? 0, state?.differences ?? []);
		const rest = this.#coverage.rest.map((range) => ({ ...range, from: state?.next.get(partitionName(range)) ?? range.from }));
		this.#next = new Map(rest.map((range) => [partitionName(range), range.from]));
		await this.#readLog(rest, "table", () => this.#chosenIds(), state?.runs);
		if (this.#kept) await this.#keep(new Map());
		// What is compared again has rows of its own, which this state would lose: a resumed verification begins that part again.
		this.#keepNextAt = Number.POSITIVE_INFINITY;
		if (this.#messages === 0 && this.#coverage.behind > 0) throw this.#nothingChecked();
		for (const { topic, partition, committed, high } of this.#coverage.ranges)
			if (committed !== null && committed > high) this.#findings.beyond({ kind: "beyond", topic, partition, offset: committed, high });
		await this.#compare(false);
		await this.#comeBack();
		return reportOf({
			group: this.#parts.config.kafka.group,
			messages: this.#messages,
			recordsLeftOut: this.#pass.recordsLeftOut,
			lettersMissing: this.#letters === null ? lettersTarget(this.#parts.config) : null,
			coverage: this.#coverage,
			findings: this.#findings,
			requirements: this.#parts.requirements ?? [],
		});
	}

	/** Compares again the rows that were newer than the committed offsets, when the group has committed past them. */
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

	/** Reads on to what is committed now; false if a log was replaced, or lost its end. */
	async #goOn(round: number): Promise<boolean> {
		const { config, database, scope, letters } = this.#parts;
		const now = await coveredPartitions(config, database, this.#reader, scope?.topics);
		const later = grownSince(this.#coverage.ranges, now);
		if (later === null) return false;
		if (later.every(({ from, to }) => from >= to)) return true;
		this.#coverage.extend(now, (await letters(database)) ?? []);
		await this.#readLog(later, `again-${round}`, ({ name }) => {
			const isAhead = (id: string) => this.#findings.isAhead(name, id);
			return { admit: isAhead, has: isAhead };
		});
		await this.#compare(true);
		return true;
	}

	/** Reads the log; rows of chosen ids are added to `#expected`. */
	async #readLog(
		ranges: readonly LogRange[],
		name: string,
		chosen: (layout: TableLayout) => ChosenIds,
		runs: Readonly<Record<string, number>> = {},
	): Promise<void> {
		const folder = this.#folder;
		this.#expected = new Map(
			this.#tables.map((layout, index) => [
				layout.name,
				new ExpectedRows({ layout, folder, name: `${name}-${index}`, chosen: chosen(layout), runs: runs[layout.name] ?? 0 }),
			]),
		);
		this.#total += ranges.reduce((sum, { from, to }) => sum + Math.max(0, to - from), 0);
		await this.#pass.run(this.#reader, ranges);
		this.#coverage.finished();
	}

	/** Saves the progress; nothing that was read is under way. `open`: messages that the handler left unfinished, by partition. */
	async #keep(open: ReadonlyMap<string, number>): Promise<void> {
		const { clock, resume } = this.#parts;
		const began = clock.monotonic();
		for (const rows of this.#expected.values()) await rows.spill();
		await this.#kept?.save({
			ranges: this.#coverage.ranges,
			letters: this.#letters,
			coverage: [...this.#coverage.kept()],
			next: new Map([...this.#next].map(([name, offset]) => [name, Math.min(offset, open.get(name) ?? offset)])),
			messages: this.#messages,
			runs: Object.fromEntries([...this.#expected].map(([table, { runs }]) => [table, runs])),
			failed: this.#findings.counts.failed,
			differences: this.#findings.differences,
		});
		const now = clock.monotonic();
		this.#keepNextAt = now + (resume?.everyMs ?? Math.max(KEEP_EVERY_MS, KEEPING_SHARE * (now - began)));
	}

	#chosenIds(): ChosenIds {
		const { scope, random } = this.#parts;
		if (scope?.ids) return namedIds(scope.ids);
		return scope?.sample ? new SampledIds(scope.sample, Math.floor(random() * 2 ** 32)) : everyId;
	}

	#nothingChecked(): ExitError {
		const { group } = this.#parts.config.kafka;
		const what = `group ${group}: no message was read, and ${this.#coverage.behind} come after the committed offsets: nothing was checked`;
		return new ExitError(exitCodes.found, "nothing_checked", `${what} (did the daemon run?)`);
	}

	#read(partition: TopicPartition, messages: readonly ReceivedMessage[]): readonly ReceivedMessage[] {
		this.#messages += this.#coverage.read(
			partition,
			messages.map(({ offset }) => offset),
		);
		this.#next.set(partitionName(partition), (messages.at(-1)?.offset ?? -1) + 1);
		this.#parts.progress({ read: this.#messages, total: this.#total, table: null });
		if (!this.#coverage.hasExceptions(partition)) return messages;
		return messages.filter((message) => {
			const letter = this.#coverage.letterAt(message);
			return (letter === undefined || isHandledAgain(letter)) && !this.#coverage.isPassedOver(partition, message.offset);
		});
	}

	async #relieve(): Promise<void> {
		for (const rows of this.#expected.values()) await rows.relieve();
	}

	#fold(submission: RowSubmission): void {
		const hasExceptions = this.#coverage.hasExceptions(submission);
		for (const block of submission.blocks) {
			const rows = this.#expected.get(block.table);
			if (!rows) continue;
			const layout = this.#layouts.find(({ name }) => name === block.table) as TableLayout;
			const isOptional = (place: RowPlace, id: string) => isRefused(this.#coverage.letterAt(place), block.table, id);
			for (const row of expectedRows(submission, block, layout, hasExceptions ? isOptional : null)) rows.add(row);
		}
	}

	/** `knownIds`: compares only expected ids; otherwise all that the tables have. */
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
	if (other !== undefined) {
		const meant = nearest(
			other,
			layouts.map(({ name }) => name),
		);
		throw new ExitError(exitCodes.usage, "no_table", `${other} is not a configured table${meant}`);
	}
	return names.length === 0 ? layouts : layouts.filter(({ name }) => names.includes(name));
}

function lettersTarget({ deadLetters: { target, table, topic } }: Config): string {
	return target === "topic" ? `topic ${topic}` : `table ${table}`;
}
