/**
 * Computes rows anew after the handler was corrected: reads a stretch of the log without joining a group, runs today's handler over it, and
 * replaces the rows that the same messages made before. Daemons may run meanwhile: a row that belongs to another message by then stays.
 *
 * For each id the newest row counts that the log makes from the stretch's beginning to the committed offset. If a message no longer makes
 * its stored row, the id's previous message counts. That message may lie before the stretch: then the log is read from its beginning. A
 * message with a dead letter is left out; replay the letter instead. A second run changes nothing.
 */
import type { Config } from "../../config/config.ts";
import { atomicTables, tableLayouts } from "../../config/table-layouts.ts";
import type { Clock } from "../../core/clock.ts";
import type { DeadLetter, LetterPosition } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import type { HeldOffsets } from "../../core/messages/hand-note.ts";
import { partitionName, type ReceivedMessage, type TopicPartition } from "../../core/messages/message.ts";
import type { Random } from "../../core/random.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import { type LogRange, LogReader } from "../../kafka/log-reader.ts";
import { namedIds } from "../../sink/comparison/chosen-ids.ts";
import { comparedTable } from "../../sink/comparison/comparison-statement.ts";
import { ExpectedRows } from "../../sink/comparison/expected-rows.ts";
import { interruptible } from "../../sink/comparison/interruptible-database.ts";
import {
	type RefusedReplacement,
	type Replacement,
	type ReplacementCounts,
	RowReplacement,
} from "../../sink/comparison/row-replacement.ts";
import { compareTable } from "../../sink/comparison/table-comparison.ts";
import type { Database } from "../../sink/database/database.ts";
import { quotedTable } from "../../sink/database/sql-names.ts";
import type { RowSubmission } from "../../worker/ports.ts";
import { coveredPartitions } from "../log/covered-partitions.ts";
import { expectedRows, type RowPlace } from "../log/expected-row.ts";
import { type CoveredPartition, LogCoverage } from "../log/log-coverage.ts";
import { LogPass } from "../log/log-pass.ts";
import { withOwnBytes } from "../log/second-attempts.ts";
import { spillFolder } from "../log/spill-folder.ts";
import type { FailedMessage } from "../verification/findings.ts";
import { type Orphan, RowChanges } from "./row-changes.ts";

/** What a reprocessing needs. */
export interface ReprocessingParts {
	readonly config: Config;
	readonly database: Database;
	/** All dead letters of the group that were not replayed. */
	readonly letters: (database: Database) => Promise<readonly LetterPosition[] | null>;
	/** Stores the dead letters of messages that the handler rejects now. */
	readonly store: (letter: DeadLetter) => Promise<void>;
	/** The stretch to compute anew. Messages that are not committed are left to the daemon. */
	readonly stretch: readonly LogRange[];
	/** Only messages with these keys (UTF-8). */
	readonly keys?: ReadonlySet<string> | undefined;
	readonly clock: Clock;
	readonly random: Random;
	/** Ends it early, whatever it waits for: the promise then rejects. */
	readonly signal: AbortSignal;
	/** Called with what is handed over: the listener may outlive the process. */
	readonly inHand?: (partition: TopicPartition, held: HeldOffsets | null) => void;
	readonly progress: (progress: { readonly phase: string; readonly done: number; readonly total: number }) => void;
	/** Called when the database is away and has to be waited for. */
	readonly waits: (message: string) => void;
}

/** What would be done, or was done. */
export interface ReprocessingReport extends ReplacementCounts {
	/** Messages that were handled again. */
	readonly messages: number;
	/** Ids whose row is already right. */
	readonly same: number;
	/** Messages that the handler rejects now; they become dead letters. */
	readonly rejected: number;
	/** Messages left out because they are dead letters already. */
	readonly lettered: number;
	/** Messages at which the handler fails; their rows stay. */
	readonly failed: readonly FailedMessage[];
	/** Rows that the server refuses; the stored rows stay. */
	readonly refused: readonly RefusedReplacement[];
	/** Partitions for which it is not known where the group began: earlier messages may not be the group's. */
	readonly unknownStart: readonly TopicPartition[];
}

/** Maximum failed messages: with more, the handler is wrong and nothing is changed. */
const MAX_FAILED = 1_000;
const MAX_REJECTED = 10_000;
const MAX_REJECTED_BYTES = 256 * 1024 * 1024;
/** Between the committed offset and what a daemon has received lies no more than its queue and a poll. */
const A_POLL = 10_000;
const CATCH_UP_ROWS = 2_000;

/**
 * Asks `isWanted` with what would be done, then does it; null if it is not wanted. Rejects (ExitError, KafkaError, the database's error) if
 * it can't be completed.
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
		await work.refuseTables();
		await work.read();
		const plan = await work.change(false);
		if (!(await isWanted(plan))) return null;
		const done = await work.change(true);
		await work.catchUp();
		return done;
	} catch (cause) {
		if (!signal.aborted) throw cause;
		const what = "interrupted: what was written stays, and the same command goes on from there";
		throw new ExitError(exitCodes.found, "interrupted", what, { cause });
	}
}

/**
 * The part of a partition that is handled again, up to the committed offset; rows of messages in `stretch` are changed. Partitions without
 * anything to change have an empty part, because an id may come from any partition.
 */
interface Piece extends CoveredPartition {
	readonly stretch: LogRange;
	/** First offset in the log of what the group read. */
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
	/** Collects the handler's rows, by table. */
	#rows: ReadonlyMap<string, ExpectedRows> = new Map();
	readonly #rejected: DeadLetter[] = [];
	#rejectedBytes = 0;
	/** Ids, by table, whose row was removed or went back to an older message: a daemon may have found newer rows stale meanwhile. */
	readonly #lowered = new Map<string, Set<string>>();
	readonly #failed = new Map<string, FailedMessage>();
	#expected: ReadonlyMap<string, ExpectedRows> = new Map();
	#messages = 0;
	#lettered = 0;
	#done = 0;
	#total = 0;
	/** What is being read: from the stretch's beginning on, what is before it, or what came since. */
	#stage: "stretch" | "before" | "since" = "stretch";
	#passes = 0;
	/** Set if too many messages are rejected or fail. */
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
		this.#pieces = new Map(covered.map((range) => pieceOf(range, stretch)).map((piece) => [partitionName(piece), piece]));
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

	/** Handles the stretch and everything after it up to the committed offset: for each id the newest row counts. */
	async read(): Promise<void> {
		const pieces = [...this.#pieces.values()];
		this.#expected = await this.#handle(pieces, () => true);
		this.#stage = "before";
		if (!this.#pass.isStateful) return;
		const why = "the handler keeps messages in its state (finishedTo), so its rows come of more than one message";
		const isWhole = this.#parts.keys === undefined && pieces.every(({ from, begin }) => from <= begin);
		if (!isWhole) throw new ExitError(exitCodes.usage, "stateful", `${why}: reprocess the whole log, without --from, --topic and --keys`);
		const cut = pieces.find(({ low, start, skipped }) => low > start || skipped.length > 0);
		if (!cut) return;
		const words = `${why}, and ${partitionName(cut)} has lost its beginning, or was not read as a whole: nothing was changed`;
		throw new ExitError(exitCodes.found, "stateful", words);
	}

	/** Refuses tables whose rows can't be computed one by one. */
	async refuseTables(): Promise<void> {
		const { database, config } = this.#parts;
		const atomic = atomicTables(config);
		for (const layout of this.#layouts) {
			const refuse = (why: string) => new ExitError(exitCodes.usage, "table", `table ${layout.name}: ${why}`);
			if (atomic.has(layout.name))
				throw refuse("rows of a message belong together (atomic: message), and reprocess writes them one by one");
			if ((await comparedTable(database, layout)).foldsIds)
				throw refuse("its ids are equal where their texts are not (a collation), so a row can't be told from another message's");
		}
	}

	/** `isReal`: carries the changes out; otherwise only counts them. */
	async change(isReal: boolean): Promise<ReprocessingReport> {
		const { database, clock, signal, waits, config, progress } = this.#parts;
		const sum = { changed: 0, added: 0, removed: 0, moved: 0, same: 0 };
		const refused: RefusedReplacement[] = [];
		const replacements: RowReplacement[] = [];
		for (const [index, layout] of this.#layouts.entries()) {
			progress({ phase: `${isReal ? "writing" : "comparing"} ${layout.name}`, done: index, total: this.#layouts.length });
			const { tellsTopic } = await comparedTable(database, layout);
			const replacement = new RowReplacement({ database, layout, tellsTopic, clock, signal, waits });
			replacements.push(replacement);
			const lowered = new Set<string>();
			this.#lowered.set(layout.name, lowered);
			const changes = new RowChanges({
				table: layout.name,
				onlyTopic: config.kafka.topics[0] ?? "",
				isMeant: (place) => this.#isMeant(place),
				write: async (rows) => (isReal ? replacement.write(rows) : undefined),
				orphaned: (candidates) => this.#orphaned(candidates),
				lowered: (id) => lowered.add(id),
				mayBeBefore: (place) => this.#beginsBefore(place),
			});
			await compareTable(database, layout, this.#expected.get(layout.name) as ExpectedRows, changes);
			await changes.conclude();
			await this.#settleOrphans(layout, changes);
			refused.push(...changes.refused);
			const { changed, added, removed, moved, same } = changes.counts;
			if (!isReal && removed > 0) await this.#refuseCascades(layout);
			for (const [name, count] of Object.entries(isReal ? { moved } : { changed, added, removed, moved })) sum[name as "moved"] += count;
			sum.same += same;
		}
		if (isReal) refused.push(...(await concludeAll(replacements)));
		for (const { counts } of replacements) for (const name of ["changed", "added", "removed", "moved"] as const) sum[name] += counts[name];
		// After the rows: a message with a letter is left out by the next run.
		if (isReal) for (const letter of this.#rejected) await this.#parts.store(letter);
		return {
			messages: this.#messages,
			...sum,
			rejected: this.#rejected.length,
			lettered: this.#lettered,
			failed: [...this.#failed.values()],
			refused,
			unknownStart: [...this.#pieces.values()]
				.filter(({ startIs, stretch: { from, to }, begin }) => startIs === "unknown" && from < to && from <= begin)
				.map(({ topic, partition }) => ({ topic, partition })),
		};
	}

	/**
	 * While this ran, daemons may have received messages that were older than a row that is gone now: those counted as stale, and are written
	 * here.
	 */
	async catchUp(): Promise<void> {
		const { database, clock, signal, waits, config } = this.#parts;
		if ([...this.#lowered.values()].every(({ size }) => size === 0)) return;
		this.#stage = "since";
		const now = await coveredPartitions(config, database, this.#reader);
		this.#coverage.extend(now, (await this.#parts.letters(database)) ?? []);
		const ranges = [...this.#pieces.values()].flatMap(({ topic, partition, to, topicId }) => {
			const range = now.find((each) => each.topic === topic && each.partition === partition && each.topicId === topicId);
			const received = (range?.committed ?? 0) + config.workers.maxQueuedMessages + A_POLL;
			return range ? [{ topic, partition, from: to, to: Math.min(range.high, received) }] : [];
		});
		for (const layout of this.#layouts) {
			const ids = this.#lowered.get(layout.name);
			if (!ids || ids.size === 0) continue;
			const rows = (await this.#handle(ranges, ({ name }) => name === layout.name, namedIds(ids))).get(layout.name) as ExpectedRows;
			const { tellsTopic } = await comparedTable(database, layout);
			const replacement = new RowReplacement({ database, layout, tellsTopic, clock, signal, waits });
			let batch: Replacement[] = [];
			for await (const [row] of rows.sorted()) {
				if (row) batch.push({ id: row.id, row, stored: null });
				if (batch.length < CATCH_UP_ROWS) continue;
				await replacement.write(batch);
				batch = [];
			}
			await replacement.write(batch);
			await replacement.conclude();
		}
	}

	/** Refuses tables where removing a row would also change others. */
	async #refuseCascades({ name }: TableLayout): Promise<void> {
		const found = await this.#parts.database.query(
			"select conname, conrelid::regclass::text as other from pg_constraint where contype = 'f' and confrelid = to_regclass($1::text) and confdeltype in ('c', 'n', 'd')",
			[quotedTable(name)],
		);
		const [first] = found;
		if (!first) return;
		const why = `rows of ${name} are to be removed, and constraint ${first.conname} would change or delete rows of ${first.other} with them`;
		throw new ExitError(exitCodes.found, "cascade", `${why} (on delete cascade, set null or set default): nothing was changed`);
	}

	/** Finds rows that messages before the stretch may have made, by handling these messages too. */
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
		if (this.#stage === "stretch") {
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
			for (const row of expectedRows(submission, block, layout, null)) rows.add(row);
		}
	}

	/** A rejected message makes no rows; of a failed one that is not known. */
	#failedAt(letter: DeadLetter): void {
		const { topic, partition, offset, reason, error } = letter;
		if (!this.#isMeant(letter)) {
			// It is not known which row the message would have made: a removed row may be that one.
			if (reason !== "rejected" && this.#stage === "before") {
				const where = `the handler fails at ${placeName(letter)}, before the stretch, whose rows may count again: ${error}`;
				this.#excess ??= new ExitError(exitCodes.found, "handler", `${where}. Nothing was changed`);
			}
			return;
		}
		if (reason === "rejected") {
			const topicId = this.#pieces.get(partitionName(letter))?.topicId ?? null;
			this.#rejected.push({ ...withOwnBytes(letter), topicId });
			this.#rejectedBytes += (letter.key?.length ?? 0) + (letter.value?.length ?? 0);
		} else this.#failed.set(placeName(letter), { kind: "failed", topic, partition, offset, reason, error });
		const [what, most, count] =
			reason === "rejected"
				? (["rejects", MAX_REJECTED, this.#rejected.length] as const)
				: (["fails at", MAX_FAILED, this.#failed.size] as const);
		if (count <= most && this.#rejectedBytes <= MAX_REJECTED_BYTES) return;
		const limit = `${most.toLocaleString("en-US")} messages${reason === "rejected" ? " (or 256 MiB of them)" : ""}`;
		const words = `the handler ${what} more than ${limit}, the last one ${placeName(letter)}: ${error}. Nothing was changed`;
		this.#excess ??= new ExitError(exitCodes.found, "handler", words);
	}

	#isMeant({ topic, partition, offset }: Pick<RowPlace, "topic" | "partition" | "offset">): boolean {
		const stretch = this.#pieces.get(partitionName({ topic, partition }))?.stretch;
		return stretch !== undefined && offset >= stretch.from && offset < stretch.to;
	}

	#beginsBefore(place: RowPlace): boolean {
		const piece = this.#pieces.get(partitionName(place));
		// An id may come from other partitions too.
		return piece !== undefined && [...this.#pieces.values()].some(({ from, begin }) => begin < from);
	}

	/** Reads their messages again: each has to be the one that the row names, and a handled one. */
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

function pieceOf(range: CoveredPartition, stretches: readonly LogRange[]): Piece {
	const { topic, partition, from: begin, to: end } = range;
	const stretch = stretches.find((each) => each.topic === topic && each.partition === partition);
	const from = Math.min(end, Math.max(begin, stretch?.from ?? end));
	return { ...range, begin, from, stretch: { topic, partition, from, to: Math.max(from, Math.min(end, stretch?.to ?? end)) } };
}

/** A parent may have to be written before its child, and deleted after it: refused rows are retried as long as that helps. */
async function concludeAll(replacements: readonly RowReplacement[]): Promise<RefusedReplacement[]> {
	for (let open = Number.POSITIVE_INFINITY; ; ) {
		const refused: RefusedReplacement[] = [];
		for (const each of replacements) refused.push(...(await each.conclude()));
		if (refused.length === 0 || refused.length >= open) return refused;
		open = refused.length;
	}
}

function placeName({ topic, partition, offset }: Pick<RowPlace, "topic" | "partition" | "offset">): string {
	return `${topic}/${partition}@${offset}`;
}
