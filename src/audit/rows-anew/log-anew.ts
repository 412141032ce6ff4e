/**
 * Computes the rows of a log anew: which part of each partition is handled again, what the handler makes of it, which messages it rejects,
 * and at which it fails. Knows the log and the handler; reprocessing.ts decides what to change in the tables.
 */
import type { Config } from "../../config/config.ts";
import { tableLayouts } from "../../config/table-layouts.ts";
import type { Clock } from "../../core/clock.ts";
import type { DeadLetter, LetterPosition } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import type { HeldOffsets } from "../../core/messages/hand-note.ts";
import { partitionName, type ReceivedMessage, type TopicPartition } from "../../core/messages/message.ts";
import type { Random } from "../../core/random.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import { grouped } from "../../core/text/counted.ts";
import type { LogRange, LogReader } from "../../kafka/log-reader.ts";
import type { ChosenIds } from "../../sink/comparison/chosen-ids.ts";
import { ExpectedRows } from "../../sink/comparison/expected-rows.ts";
import type { RowSubmission } from "../../worker/ports.ts";
import { expectedRows, type RowPlace } from "../log/expected-row.ts";
import { type CoveredPartition, LogCoverage } from "../log/log-coverage.ts";
import { LogPass } from "../log/log-pass.ts";
import { withOwnBytes } from "../log/second-attempts.ts";
import type { FailedMessage } from "../verification/findings.ts";
import type { Orphan } from "./row-changes.ts";

/** What computing a log's rows needs of a reprocessing. */
export interface LogAnewParts {
	readonly config: Config;
	/** The stretch to compute anew. Messages that are not committed are left to the daemon. */
	readonly stretch: readonly LogRange[];
	/** Only messages with these keys (UTF-8). */
	readonly keys?: ReadonlySet<string> | undefined;
	readonly clock: Clock;
	readonly random: Random;
	/** Ends it early, whatever it waits for: the promise then rejects. */
	readonly signal: AbortSignal;
	/** As `LogPassParts.inHand`. */
	readonly inHand?: (partition: TopicPartition, held: HeldOffsets | null) => void;
	readonly progress: (progress: { readonly phase: string; readonly done: number; readonly total: number }) => void;
}

/** What it works on: an open reader, a folder for rows, and the log and letters as they are at the beginning. */
export interface LogAnewSource {
	readonly reader: LogReader;
	readonly folder: string;
	readonly covered: readonly CoveredPartition[];
	readonly letters: readonly LetterPosition[];
}

/** Maximum failed messages: with more, the handler is wrong and nothing is changed. */
const MAX_FAILED = 1_000;
const MAX_REJECTED = 10_000;
const MAX_REJECTED_BYTES = 256 * 1024 * 1024;
/** Messages of one poll, at most. A daemon has received no more beyond the committed offset than its queue and one poll. */
const MAX_POLL_MESSAGES = 10_000;

/**
 * The part of a partition that is handled again, up to the committed offset. Only rows of messages in `stretch` are changed. A partition
 * without anything to change has an empty part, and is kept, because an id may come from any partition.
 */
interface Piece extends CoveredPartition {
	readonly stretch: LogRange;
	/** First offset in the log of what the group read. */
	readonly begin: number;
}

/** Handles messages of the log again, and keeps what came of it. One per reprocessing. */
export class LogAnew {
	readonly layouts: readonly TableLayout[];
	readonly #parts: LogAnewParts;
	readonly #reader: LogReader;
	readonly #folder: string;
	readonly #coverage: LogCoverage;
	readonly #pieces: ReadonlyMap<string, Piece>;
	readonly #pass: LogPass;
	/** Collects the handler's rows, by table. */
	#rows: ReadonlyMap<string, ExpectedRows> = new Map();
	readonly #rejected: DeadLetter[] = [];
	#rejectedBytes = 0;
	readonly #failed = new Map<string, FailedMessage>();
	#messages = 0;
	#lettered = 0;
	#done = 0;
	#total = 0;
	/** What is being read: the stretch and what follows it, what is before it, or what came since. */
	#stage: "stretch" | "before" | "since" = "stretch";
	#passes = 0;
	/** Set if too many messages are rejected or fail. */
	#excess: ExitError | null = null;

	constructor(parts: LogAnewParts, { reader, folder, covered, letters }: LogAnewSource) {
		const { config, clock, random, signal, inHand, stretch } = parts;
		this.#parts = parts;
		this.#reader = reader;
		this.#folder = folder;
		this.layouts = tableLayouts(config);
		this.#coverage = new LogCoverage(covered, letters);
		this.#pieces = new Map(covered.map((range) => pieceOf(range, stretch)).map((piece) => [partitionName(piece), piece]));
		this.#pass = new LogPass({
			config,
			clock,
			random,
			layouts: this.layouts,
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

	/** Messages of the stretch that were handled, and those left out because they are dead letters already. */
	get counts(): { readonly messages: number; readonly lettered: number } {
		return { messages: this.#messages, lettered: this.#lettered };
	}

	/** Messages of the stretch that the handler rejects now. */
	get rejected(): readonly DeadLetter[] {
		return this.#rejected;
	}

	/** Messages of the stretch at which the handler fails. */
	get failed(): readonly FailedMessage[] {
		return [...this.#failed.values()];
	}

	/** Partitions for which it is not known where the group began: earlier messages may not be the group's. */
	get unknownStart(): readonly TopicPartition[] {
		return [...this.#pieces.values()]
			.filter(({ startIs, stretch: { from, to }, begin }) => startIs === "unknown" && from < to && from <= begin)
			.map(({ topic, partition }) => ({ topic, partition }));
	}

	/** Handles the stretch and everything after it up to the committed offset: for each id the newest row counts. By table. */
	async readStretch(): Promise<ReadonlyMap<string, ExpectedRows>> {
		const pieces = [...this.#pieces.values()];
		const rows = await this.#handle(pieces, () => true);
		this.#stage = "before";
		if (!this.#pass.isStateful) return rows;
		const why = "the handler keeps messages in its state (finishedTo), so its rows come from more than one message";
		const isWhole = this.#parts.keys === undefined && pieces.every(({ from, begin }) => from <= begin);
		if (!isWhole) throw new ExitError(exitCodes.usage, "stateful", `${why}: reprocess the whole log, without --from, --topic and --keys`);
		const cut = pieces.find(({ low, start, skipped }) => low > start || skipped.length > 0);
		if (!cut) return rows;
		const words = `${why}, and ${partitionName(cut)} has lost its beginning, or was not read as a whole: nothing was changed`;
		throw new ExitError(exitCodes.found, "stateful", words);
	}

	/** For each of these ids of a table, the newest row of the messages before the stretch: they are handled, too. */
	async rowsBefore(layout: TableLayout, ids: ChosenIds): Promise<ExpectedRows> {
		const before = [...this.#pieces.values()].map((piece) => ({ ...piece, from: piece.begin, to: piece.from }));
		return (await this.#handle(before, ({ name }) => name === layout.name, ids)).get(layout.name) as ExpectedRows;
	}

	/** The log has grown: `now` and `letters` are the log and its dead letters as they are now. */
	goesOn(now: readonly CoveredPartition[], letters: readonly LetterPosition[]): void {
		this.#stage = "since";
		this.#coverage.extend(now, letters);
	}

	/** For each of these ids of a table, the newest row of the messages that a daemon may have received since. */
	async rowsSince(now: readonly CoveredPartition[], layout: TableLayout, ids: ChosenIds): Promise<ExpectedRows> {
		const ranges = [...this.#pieces.values()].flatMap(({ topic, partition, to, topicId }) => {
			const range = now.find((each) => each.topic === topic && each.partition === partition && each.topicId === topicId);
			const received = (range?.committed ?? 0) + this.#parts.config.workers.maxQueuedMessages + MAX_POLL_MESSAGES;
			return range ? [{ topic, partition, from: to, to: Math.min(range.high, received) }] : [];
		});
		return (await this.#handle(ranges, ({ name }) => name === layout.name, ids)).get(layout.name) as ExpectedRows;
	}

	/** True if the message lies in the stretch. */
	isMeant({ topic, partition, offset }: Pick<RowPlace, "topic" | "partition" | "offset">): boolean {
		const stretch = this.#pieces.get(partitionName({ topic, partition }))?.stretch;
		return stretch !== undefined && offset >= stretch.from && offset < stretch.to;
	}

	/** True if a message before the stretch may have made a row of the same id. */
	beginsBefore(place: RowPlace): boolean {
		const piece = this.#pieces.get(partitionName(place));
		// An id may come from other partitions too.
		return piece !== undefined && [...this.#pieces.values()].some(({ from, begin }) => begin < from);
	}

	/** The candidates whose message was handled. Reads their messages again: each has to be the one that the row names. */
	async orphaned(candidates: readonly Orphan[]): Promise<readonly Orphan[]> {
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

	async #handle(
		ranges: readonly LogRange[],
		isWanted: (layout: TableLayout) => boolean,
		chosen?: ChosenIds,
	): Promise<ReadonlyMap<string, ExpectedRows>> {
		const [folder, pass] = [this.#folder, this.#passes++];
		this.#rows = new Map(
			this.layouts
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
			const layout = this.layouts.find(({ name }) => name === block.table) as TableLayout;
			for (const row of expectedRows(submission, block, layout, null)) rows.add(row);
		}
	}

	/** A rejected message makes no rows. Which rows a failed message would make is not known. */
	#failedAt(letter: DeadLetter): void {
		const { topic, partition, offset, reason, error } = letter;
		if (!this.isMeant(letter)) {
			// A row that is to be removed may be one that this message would make.
			if (reason !== "rejected" && this.#stage === "before") {
				const where = `the handler fails at ${placeName(letter)}, which lies before the stretch and may have made a row that counts again: ${error}`;
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
		const limit = `${grouped(most)} messages${reason === "rejected" ? " (or 256 MiB of them)" : ""}`;
		const words = `the handler ${what} more than ${limit}, the last one ${placeName(letter)}: ${error}. Nothing was changed`;
		this.#excess ??= new ExitError(exitCodes.found, "handler", words);
	}
}

function pieceOf(range: CoveredPartition, stretches: readonly LogRange[]): Piece {
	const { topic, partition, from: begin, to: end } = range;
	const stretch = stretches.find((each) => each.topic === topic && each.partition === partition);
	const from = Math.min(end, Math.max(begin, stretch?.from ?? end));
	return { ...range, begin, from, stretch: { topic, partition, from, to: Math.max(from, Math.min(end, stretch?.to ?? end)) } };
}

function placeName({ topic, partition, offset }: Pick<RowPlace, "topic" | "partition" | "offset">): string {
	return `${topic}/${partition}@${offset}`;
}
