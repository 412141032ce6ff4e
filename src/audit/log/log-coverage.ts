/**
 * What of the log was read, and what a row's origin says in the light of it: whether its message was to be expected, lies past the end,
 * became a dead letter, or can't be known any more. Pure.
 *
 * What it holds is bounded for gaps (offset-gaps.ts), and not for dead letters: about 300 bytes each, for each may be told of a row.
 */
import type { LetterPosition } from "../../core/dead-letters/dead-letter.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { compareIds, type LogId } from "../../core/offsets/log-identity.ts";
import type { SkippedStretch } from "../../core/offsets/position-note.ts";
import { GapMemory, type KeptGaps, OffsetGaps } from "./offset-gaps.ts";

/** The piece of a partition that is looked at: offsets `from` (included) to `to` (excluded). */
export interface CoveredPartition extends TopicPartition {
	/** Kafka's id of the topic; null where it is not known. */
	readonly topicId: LogId;
	/** Where the group began. */
	readonly start: number;
	/**
	 * How that is known. recorded: by its daemon · assumed: it had committed before, and was met there · unknown: nothing says so, taken for 0
	 * · new_log: what is kept is of a log that was deleted, and nobody has begun the one in its place.
	 */
	readonly startIs: "recorded" | "assumed" | "unknown" | "new_log";
	/** First offset that the log still holds. */
	readonly low: number;
	/** The offset that the next message would get, as this began. */
	readonly high: number;
	/** What the group has committed; null where nothing. */
	readonly committed: number | null;
	/** Kafka has no offset of the group (any more): `committed` is how far a daemon noted that it had come, where the next one goes on. */
	readonly isNoted: boolean;
	/** Nothing is committed though a daemon noted that it began here: messages of it may be in the tables, or lost. */
	readonly hasBegun?: boolean;
	readonly from: number;
	readonly to: number;
	/** What the group passed over unread, before `to`: nothing is expected of it, and nothing found wrong. */
	readonly skipped: readonly SkippedStretch[];
	/** What is noted as passed over and can't have been, for the log holds it: its messages are expected as all others are. */
	readonly disbelieved: readonly SkippedStretch[];
}

/**
 * inside: the message is in the log, before the end, and no dead letter · ahead: at or past the end · past: at or past
 * the log's own end, as it was at first: no message was there yet · lettered: a dead letter ·
 * unchecked: the log doesn't hold it (any more), the group began behind it or passed it over, or its topic is not looked at.
 */
export type Standing = "inside" | "ahead" | "past" | "lettered" | "unchecked";

/** A message by its place, and the timestamp that tells it from one that was there in an earlier log of the topic. */
export interface MessagePlace extends TopicPartition {
	readonly offset: number;
	readonly timestamp: number;
}

/** How far a partition was read, and what the log didn't hold up to there. */
export interface KeptCoverage {
	readonly partition: string;
	readonly next: number;
	readonly gaps: KeptGaps;
}

interface Covered {
	range: CoveredPartition;
	/** By offset: one, or where ids don't tell logs apart one of each. */
	readonly letters: Map<number, readonly LetterPosition[]>;
	next: number;
	readonly gaps: OffsetGaps;
}

/** Knows what was read of the log, and what that means for a row. */
export class LogCoverage {
	readonly #partitions = new Map<string, Covered>();
	readonly #topics: ReadonlySet<string>;
	#lettersOfOtherLogs = 0;

	readonly #isKnown: (topic: string) => boolean;

	/** `isKnown`: whether the group, or anybody who may have fed the tables, ever read such a topic. */
	constructor(
		ranges: readonly CoveredPartition[],
		letters: readonly LetterPosition[],
		{ memory = new GapMemory(), isKnown = () => true }: { memory?: GapMemory; isKnown?: (topic: string) => boolean } = {},
	) {
		this.#isKnown = isKnown;
		this.#topics = new Set(ranges.map(({ topic }) => topic));
		for (const range of ranges) {
			const gaps = new OffsetGaps(memory);
			this.#partitions.set(partitionName(range), { range, letters: new Map(), next: range.from, gaps });
		}
		for (const letter of letters) this.#addLetter(letter);
	}

	get ranges(): readonly CoveredPartition[] {
		return [...this.#partitions.values()].map(({ range }) => range);
	}

	/** The ranges without what was read. */
	get rest(): readonly CoveredPartition[] {
		return [...this.#partitions.values()].map(({ range, next }) => ({ ...range, from: next }));
	}

	/** The same partitions with later ends, and the letters as they are by then: what lies between is looked at, too. */
	extend(ranges: readonly CoveredPartition[], letters: readonly LetterPosition[]): void {
		for (const range of ranges) {
			const covered = this.#partitions.get(partitionName(range));
			if (!covered) continue;
			const { from, to } = covered.range;
			covered.range = { ...range, from, to: Math.max(to, range.to) };
		}
		for (const covered of this.#partitions.values()) covered.letters.clear();
		this.#lettersOfOtherLogs = 0;
		for (const letter of letters) this.#addLetter(letter);
	}

	/** Whether there are letters of a partition's messages, or the group passed some over: else each message is to be in its row. */
	hasExceptions(partition: TopicPartition): boolean {
		const covered = this.#partitions.get(partitionName(partition));
		return covered !== undefined && (covered.letters.size > 0 || covered.range.skipped.length > 0);
	}

	/** True of a message that the group passed over. */
	isPassedOver(partition: TopicPartition, offset: number): boolean {
		const skipped = this.#partitions.get(partitionName(partition))?.range.skipped ?? [];
		return skipped.some(({ from, to }) => offset >= from && offset < to);
	}

	/** Offsets that the group passed over unread. */
	get passedOver(): number {
		return this.ranges.reduce((sum, { skipped }) => sum + skipped.reduce((all, { from, to }) => all + to - from, 0), 0);
	}

	/** The dead letter of a message; undefined where there is none. */
	letterAt({ topic, partition, offset, timestamp }: MessagePlace): LetterPosition | undefined {
		const there = this.#partitions.get(partitionName({ topic, partition }))?.letters.get(offset);
		return there?.find((letter) => Math.max(0, letter.timestamp) === Math.max(0, timestamp));
	}

	/** Letters by state, of the piece looked at. */
	get letters(): Readonly<Record<string, number>> {
		const counts: Record<string, number> = { open: 0, discarded: 0, skipped: 0 };
		for (const { letters } of this.#partitions.values()) {
			for (const { state } of [...letters.values()].flat()) counts[state] = (counts[state] ?? 0) + 1;
		}
		return counts;
	}

	/** Letters of logs that had the name of one of the topics before: they account for nothing in this one. */
	get lettersOfOtherLogs(): number {
		return this.#lettersOfOtherLogs;
	}

	#addLetter(letter: LetterPosition): void {
		const covered = this.#partitions.get(partitionName(letter));
		if (!covered) return;
		const { range, letters } = covered;
		if (compareIds(letter.topicId, range.topicId) === "other") this.#lettersOfOtherLogs++;
		else if (letter.offset < range.to) letters.set(letter.offset, [...(letters.get(letter.offset) ?? []), letter]);
	}

	/** Messages were read; offsets between them don't exist (any more). Returns how many of them are new. */
	read(partition: TopicPartition, offsets: Iterable<number>): number {
		const covered = this.#partitions.get(partitionName(partition));
		if (!covered) return 0;
		let news = 0;
		for (const offset of offsets) {
			// Read before, by a verification that was interrupted.
			if (offset < covered.next) continue;
			if (offset > covered.next) covered.gaps.add(covered.next, offset);
			covered.next = offset + 1;
			news++;
		}
		return news;
	}

	/** How far each partition was read, to be kept and given to `restore`. */
	*kept(): Generator<KeptCoverage> {
		for (const { range, next, gaps } of this.#partitions.values()) yield { partition: partitionName(range), next, gaps: gaps.kept };
	}

	/** What another one kept, into one of which nothing was read. */
	restore(all: Iterable<KeptCoverage>): void {
		for (const { partition, next, gaps } of all) {
			const covered = this.#partitions.get(partition);
			if (!covered) continue;
			covered.next = next;
			covered.gaps.restore(gaps);
		}
	}

	/** Nothing more comes: what is missing up to the end is a gap too. */
	finished(): void {
		for (const covered of this.#partitions.values()) {
			const { range, next } = covered;
			if (next < range.to) covered.gaps.add(next, range.to);
			covered.next = range.to;
		}
	}

	/** What a row's origin means. `isOptional`: its message's letter may be of this very row. */
	standingOf(origin: MessagePlace, isOptional = false): Standing {
		// A topic that was deleted, or is not read any more; or one that nobody ever read.
		if (!this.#topics.has(origin.topic)) return this.#isKnown(origin.topic) ? "unchecked" : "inside";
		const covered = this.#partitions.get(partitionName(origin));
		if (!covered || origin.offset < 0) return "inside";
		const { range, gaps } = covered;
		if (origin.offset >= range.high) return "past";
		if (origin.offset >= (range.committed ?? range.to)) return "ahead";
		const isPassedOver = this.isPassedOver(origin, origin.offset);
		const isRead = origin.offset >= range.from && origin.offset < range.to && !isPassedOver && !gaps.has(origin.offset);
		const letter = this.letterAt(origin);
		if (letter) return isRead && isHandledAgain(letter) && !isOptional ? "inside" : "lettered";
		return isRead ? "inside" : "unchecked";
	}

	/** Offsets of the log behind the committed ones, of the partitions that the group committed nothing of too. */
	get behind(): number {
		return this.ranges.reduce((sum, { high, committed, from }) => sum + Math.max(0, high - Math.max(committed ?? from, from)), 0);
	}

	/** Offsets that the log doesn't hold: removed by retention or compaction, aborted, or never messages at all (transaction marks). */
	get absentOffsets(): number {
		let absent = 0;
		for (const { range, gaps } of this.#partitions.values()) {
			absent += Math.max(0, Math.min(range.low, range.committed ?? 0) - range.start) + gaps.count;
		}
		return absent;
	}
}

/**
 * Whether the handler is asked again about a letter's message, to know which rows it may have made: what it rejects, or what the database
 * refused, it can look at once more; what made it fail is not handed over again.
 */
export function isHandledAgain({ reason }: Pick<LetterPosition, "reason">): boolean {
	return reason === "row_fault" || reason === "rejected" || reason === "future_timestamp";
}
