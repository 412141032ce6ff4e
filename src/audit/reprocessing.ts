/**
 * Computes rows anew, after the handler was corrected: reads a stretch of the log in no group, runs today's handler over it, and puts what
 * it makes in the place of what the same messages made before. Daemons may run meanwhile: a row that is of another message by then stays.
 *
 * Of each id the newest row counts that the log makes from the stretch's beginning to what is committed. Where a stored row's message makes
 * that row no more, the message before it counts; it may lie before the stretch, and the log is read from its beginning then. A message that
 * has a dead letter is left out: it is the letter that is replayed. Done again from the start it comes to the same.
 */
import type { Config } from "../config/config.ts";
import { tableLayouts } from "../config/table-layouts.ts";
import type { Clock } from "../core/clock.ts";
import type { DeadLetter, LetterPosition } from "../core/dead-letter.ts";
import { ExitError, exitCodes } from "../core/errors.ts";
import type { HeldOffsets } from "../core/hand-note.ts";
import { partitionName, type ReceivedMessage, type TopicPartition } from "../core/message.ts";
import type { Random } from "../core/random.ts";
import type { TableLayout } from "../core/rows.ts";
import { type LogRange, LogReader } from "../kafka/log-reader.ts";
import { namedIds } from "../sink/chosen-ids.ts";
import { comparedTable } from "../sink/comparison-statement.ts";
import type { Database } from "../sink/database.ts";
import { ExpectedRows } from "../sink/expected-rows.ts";
import { interruptible } from "../sink/interruptible-database.ts";
import { type RefusedReplacement, type ReplacementCounts, RowReplacement } from "../sink/row-replacement.ts";
import { compareTable } from "../sink/table-comparison.ts";
import type { RowSubmission } from "../worker/ports.ts";
import { coveredPartitions } from "./covered-partitions.ts";
import { expectedRows, type RowPlace } from "./expected-row.ts";
import type { FailedMessage } from "./findings.ts";
import { type CoveredPartition, LogCoverage } from "./log-coverage.ts";
import { LogPass } from "./log-pass.ts";
import { type Orphan, RowChanges } from "./row-changes.ts";
import { spillFolder } from "./spill-folder.ts";

/** What a reprocessing is given. */
export interface ReprocessingParts {
	readonly config: Config;
	readonly database: Database;
	/** All dead letters of the group that were not replayed. */
	readonly letters: (database: Database) => Promise<readonly LetterPosition[] | null>;
	/** Takes what the handler rejects now. */
	readonly store: (letter: DeadLetter) => Promise<void>;
	/** What is computed anew; what is not committed is the daemon's. */
	readonly stretch: readonly LogRange[];
	/** Only messages with these keys (UTF-8). */
	readonly keys?: ReadonlySet<string> | undefined;
	readonly clock: Clock;
	readonly random: Random;
	/** Ends it early, whatever it waits for; the promise rejects then. */
	readonly signal: AbortSignal;
	/** Told what is handed over: whoever hears it may outlive the process. */
	readonly inHand?: (partition: TopicPartition, held: HeldOffsets | null) => void;
	readonly progress: (progress: { readonly phase: string; readonly done: number; readonly total: number }) => void;
	/** The database is waited for. */
	readonly waits: (message: string) => void;
}

/** What is to be done, or was done. */
export interface ReprocessingReport extends ReplacementCounts {
	/** Messages that were handled again. */
	readonly messages: number;
	/** Ids whose row is as it has to be. */
	readonly same: number;
	/** Messages that the handler rejects now: dead letters. */
	readonly rejected: number;
	/** Messages left out, for they are dead letters already. */
	readonly lettered: number;
	/** Messages that the handler can't get through: their rows stay. */
	readonly failed: readonly FailedMessage[];
	/** Rows that the server refuses: what was there stays. */
	readonly refused: readonly RefusedReplacement[];
}

/** More than that, and it is the handler. Nothing is changed then. */
const MAX_FAILED = 1_000;
const MAX_REJECTED = 10_000;

/**
 * Asks `isWanted` with what would be done, and does it; null where it is not wanted. Rejects (ExitError, KafkaError, the database's error)
 * where it can't be carried through.
 */
export async function reprocess(
	parts: ReprocessingParts,
	isWanted: (plan: ReprocessingReport) => Promise<boolean>,
): Promise<ReprocessingReport | null> {
	const { config, clock, signal } = parts;
	const database = interruptible(parts.database, signal);
	try {
		await database.query("select 1");
		await using folder = await spillFolder();
		await using reader = await LogReader.connect(config.kafka, clock, config.kafka.group, signal);
		const covered = await coveredPartitions(config, database, reader);
		const letters = (await parts.letters(database)) ?? [];
		const work = new Reprocessing({ ...parts, database }, reader, folder.path, covered, letters);
		await work.read();
		const plan = await work.change(false);
		return (await isWanted(plan)) ? await work.change(true) : null;
	} catch (cause) {
		if (!signal.aborted) throw cause;
		const what = "interrupted: what was written stays, and the same command goes on from there";
		throw new ExitError(exitCodes.found, "interrupted", what, { cause });
	}
}

/** The piece of a partition that is handled again, to what is committed; rows of messages in `stretch` are changed. */
interface Piece extends CoveredPartition {
	readonly stretch: LogRange;
	/** First offset that the log has of what the group read. */
	readonly begin: number;
}

class Reprocessing {
	readonly #parts: ReprocessingParts;
	readonly #reader: LogReader;
	readonly #folder: string;
	readonly #coverage: LogCoverage;
	readonly #pieces: ReadonlyMap<string, Piece>;
	readonly #layouts: readonly TableLayout[];
	readonly #pass: LogPass;
	/** Where the handler's rows go. */
	#rows: ReadonlyMap<string, ExpectedRows> = new Map();
	readonly #rejected: DeadLetter[] = [];
	readonly #failed = new Map<string, FailedMessage>();
	#expected: ReadonlyMap<string, ExpectedRows> = new Map();
	#messages = 0;
	#lettered = 0;
	#done = 0;
	#total = 0;
	/** True while the stretch itself is read, and not what is before. */
	#isFirst = true;
	#passes = 0;
	/** Too much is rejected or fails. */
	#excess: ExitError | null = null;

	constructor(
		parts: ReprocessingParts,
		reader: LogReader,
		folder: string,
		covered: readonly CoveredPartition[],
		letters: readonly LetterPosition[],
	) {
		const { config, clock, random, signal, inHand, stretch } = parts;
		this.#parts = parts;
		this.#reader = reader;
		this.#folder = folder;
		this.#layouts = tableLayouts(config);
		this.#coverage = new LogCoverage(covered, letters);
		this.#pieces = new Map(covered.flatMap((range) => pieceOf(range, stretch)).map((piece) => [partitionName(piece), piece]));
		this.#pass = new LogPass({
			config,
			clock,
			random,
			layouts: this.#layouts,
			purpose: "reprocess",
			signal,
			inHand,
			read: (partition, messages) => this.#read(partition, messages),
			rows: (submission) => this.#fold(submission),
			relieve: async () => {
				for (const rows of this.#rows.values()) await rows.relieve();
			},
			mayFail: () => false,
			failed: (letter) => this.#failedAt(letter),
		});
	}

	/** Handles the stretch, and what comes after it up to what is committed: of an id the newest row counts. */
	async read(): Promise<void> {
		const pieces = [...this.#pieces.values()];
		this.#expected = await this.#handle(pieces, () => true);
		this.#isFirst = false;
		const isWhole = this.#parts.keys === undefined && pieces.every(({ from, begin }) => from <= begin);
		if (!this.#pass.isStateful || isWhole) return;
		const why = "the handler keeps messages in its state (finishedTo), so its rows come of more than one message";
		throw new ExitError(exitCodes.usage, "stateful", `${why}: reprocess the whole log, without --from and --keys`);
	}

	/** `isReal`: carries the changes out; else only tells them. */
	async change(isReal: boolean): Promise<ReprocessingReport> {
		const { database, clock, signal, waits, config, progress } = this.#parts;
		const sum = { changed: 0, added: 0, removed: 0, moved: 0, same: 0 };
		const refused: RefusedReplacement[] = [];
		for (const [index, layout] of this.#layouts.entries()) {
			progress({ phase: `${isReal ? "writing" : "comparing"} ${layout.name}`, done: index, total: this.#layouts.length });
			const { tellsTopic } = await comparedTable(database, layout);
			const replacement = new RowReplacement({ database, layout, tellsTopic, clock, signal, waits });
			const changes = new RowChanges({
				table: layout.name,
				onlyTopic: config.kafka.topics[0] ?? "",
				isMeant: (place) => this.#isMeant(place),
				write: async (rows) => (isReal ? replacement.write(rows) : undefined),
				orphaned: (candidates) => this.#orphaned(candidates),
				mayBeBefore: (place) => this.#beginsBefore(place),
			});
			await compareTable(database, layout, this.#expected.get(layout.name) as ExpectedRows, changes);
			await changes.conclude();
			await this.#settleOrphans(layout, changes);
			refused.push(...changes.refused, ...(isReal ? await replacement.conclude() : []));
			const { changed, added, removed, moved, same } = changes.counts;
			const done = isReal ? { ...replacement.counts, moved: moved + replacement.counts.moved } : { changed, added, removed, moved };
			for (const name of ["changed", "added", "removed", "moved"] as const) sum[name] += done[name];
			sum.same += same;
		}
		// Behind the rows: a message that has a letter is left out by the next try.
		if (isReal) for (const letter of this.#rejected) await this.#parts.store(letter);
		return {
			messages: this.#messages,
			...sum,
			rejected: this.#rejected.length,
			lettered: this.#lettered,
			failed: [...this.#failed.values()],
			refused,
		};
	}

	/** Rows that may come of messages before the stretch: these are handled, too. */
	async #settleOrphans(layout: TableLayout, changes: RowChanges): Promise<void> {
		const orphans = changes.orphans.splice(0);
		if (orphans.length === 0) return;
		const ids = namedIds(new Set(orphans.map(({ id }) => id)));
		const before = [...this.#pieces.values()].map((piece) => ({ ...piece, from: piece.begin, to: piece.from }));
		const rows = (await this.#handle(before, ({ name }) => name === layout.name, ids)).get(layout.name) as ExpectedRows;
		for (const { row } of orphans) if (row) rows.add(row);
		const byId = new Map(orphans.map((orphan) => [orphan.id, orphan]));
		for await (const [newest] of rows.sorted()) {
			const orphan = newest && byId.get(newest.id);
			if (!orphan) continue;
			byId.delete(orphan.id);
			changes.settled(orphan, newest);
			await changes.relieve();
		}
		for (const orphan of byId.values()) changes.settled(orphan, null);
		await changes.relieve();
	}

	async #handle(
		ranges: readonly LogRange[],
		isWanted: (layout: TableLayout) => boolean,
		chosen?: ReturnType<typeof namedIds>,
	): Promise<ReadonlyMap<string, ExpectedRows>> {
		const [folder, pass] = [this.#folder, this.#passes++];
		this.#rows = new Map(
			this.#layouts
				.filter(isWanted)
				.map((layout, index) => [
					layout.name,
					new ExpectedRows({ layout, folder, name: `pass-${pass}-${index}`, ...(chosen && { chosen }) }),
				]),
		);
		this.#done = 0;
		this.#total = ranges.reduce((sum, { from, to }) => sum + Math.max(0, to - from), 0);
		await this.#pass.run(this.#reader, ranges);
		if (this.#excess) throw this.#excess;
		return this.#rows;
	}

	#read(partition: TopicPartition, messages: readonly ReceivedMessage[]): readonly ReceivedMessage[] {
		if (this.#excess) throw this.#excess;
		this.#done += messages.length;
		this.#parts.progress({ phase: "reading the log", done: this.#done, total: this.#total });
		const wanted = messages.filter((message) => this.#isChosen(message) && !this.#coverage.isPassedOver(partition, message.offset));
		const handled = wanted.filter((message) => this.#coverage.letterAt(message) === undefined);
		if (this.#isFirst) {
			const { stretch } = this.#pieces.get(partitionName(partition)) as Piece;
			const isInside = ({ offset }: ReceivedMessage) => offset < stretch.to;
			this.#lettered += wanted.filter(isInside).length - handled.filter(isInside).length;
			this.#messages += handled.filter(isInside).length;
		}
		return handled;
	}

	#isChosen({ key }: ReceivedMessage): boolean {
		const { keys } = this.#parts;
		return keys === undefined || (key !== null && keys.has(key.toString()));
	}

	#fold(submission: RowSubmission): void {
		for (const block of submission.blocks) {
			const rows = this.#rows.get(block.table);
			if (!rows) continue;
			const layout = this.#layouts.find(({ name }) => name === block.table) as TableLayout;
			for (const row of expectedRows(submission, block, layout, () => false)) rows.add(row);
		}
	}

	/** What is rejected makes no rows; what fails is not known to make none. */
	#failedAt(letter: DeadLetter): void {
		const { topic, partition, offset, reason, error } = letter;
		if (!this.#isMeant(letter)) return;
		if (reason === "rejected") this.#rejected.push(letter);
		else this.#failed.set(placeName(letter), { kind: "failed", topic, partition, offset, reason, error });
		const [what, most, count] =
			reason === "rejected"
				? (["rejects", MAX_REJECTED, this.#rejected.length] as const)
				: (["fails at", MAX_FAILED, this.#failed.size] as const);
		if (count <= most) return;
		const words = `the handler ${what} more than ${most.toLocaleString("en-US")} messages, the last one ${placeName(letter)}: ${error}. Nothing was changed`;
		this.#excess ??= new ExitError(exitCodes.found, "handler", words);
	}

	#isMeant({ topic, partition, offset }: Pick<RowPlace, "topic" | "partition" | "offset">): boolean {
		const stretch = this.#pieces.get(partitionName({ topic, partition }))?.stretch;
		return stretch !== undefined && offset >= stretch.from && offset < stretch.to;
	}

	#beginsBefore(place: RowPlace): boolean {
		const piece = this.#pieces.get(partitionName(place));
		// An id may come of other partitions, too.
		return piece !== undefined && [...this.#pieces.values()].some(({ from, begin }) => begin < from);
	}

	/** Reads their messages again: each has to be the one that the row tells, and one that was handled. */
	async #orphaned(candidates: readonly Orphan[]): Promise<readonly Orphan[]> {
		const { config } = this.#parts;
		const byPlace = new Map<string, Orphan[]>();
		const ranges = new Map<string, { topic: string; partition: number; from: number; to: number }>();
		for (const candidate of candidates) {
			const { topic: told, partition, offset, timestamp } = candidate.stored;
			const place = { topic: told ?? config.kafka.topics[0] ?? "", partition, offset, timestamp };
			if (this.#failed.has(placeName(place))) continue;
			byPlace.set(placeName(place), [...(byPlace.get(placeName(place)) ?? []), candidate]);
			const name = partitionName(place);
			const range = ranges.get(name) ?? { topic: place.topic, partition, from: offset, to: offset + 1 };
			ranges.set(name, { ...range, from: Math.min(range.from, offset), to: Math.max(range.to, offset + 1) });
		}
		const orphaned: Orphan[] = [];
		for await (const [partition, messages] of this.#reader.read([...ranges.values()])) {
			for (const message of messages) {
				const isHandled = this.#isChosen(message) && !this.#coverage.isPassedOver(partition, message.offset);
				if (!isHandled || this.#coverage.letterAt(message) !== undefined) continue;
				const there = byPlace.get(placeName(message)) ?? [];
				orphaned.push(...there.filter(({ stored }) => stored.timestamp === Math.max(0, message.timestamp)));
			}
		}
		return orphaned;
	}
}

function pieceOf(range: CoveredPartition, stretches: readonly LogRange[]): Piece[] {
	const stretch = stretches.find(({ topic, partition }) => topic === range.topic && partition === range.partition);
	if (!stretch) return [];
	const from = Math.max(range.from, stretch.from);
	if (from >= Math.min(range.to, stretch.to)) return [];
	return [{ ...range, begin: range.from, from, stretch: { ...stretch, from, to: Math.min(range.to, stretch.to) } }];
}

function placeName({ topic, partition, offset }: Pick<RowPlace, "topic" | "partition" | "offset">): string {
	return `${topic}/${partition}@${offset}`;
}
