/**
 * Tracks which part of the log was read, and judges a row by its message: was the message read, does it lie past the end, is it a dead
 * letter, or can nothing be known about it any more? Pure.
 *
 * Memory is bounded for gaps (offset-gaps.ts), but not for dead letters: about 300 bytes each, because a row may belong to any of them.
 */
import type { LetterPosition } from "../../core/dead-letters/dead-letter.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { compareLogIds, type LogId } from "../../core/offsets/log-identity.ts";
import type { SkippedStretch } from "../../core/offsets/position-note.ts";
import { GapMemory, type KeptGaps, OffsetGaps } from "./offset-gaps.ts";

/** The part of a partition that is covered: offsets `from` (included) to `to` (excluded). */
export interface CoveredPartition extends TopicPartition {
	/** Kafka's id of the topic; null if it is not known. */
	readonly topicId: LogId;
	/** Where the group began. */
	readonly start: number;
	/**
	 * How the start is known. recorded: by the daemon · assumed: the group had committed before its first note · unknown: no note, taken as 0
	 * · new_log: the stored position belongs to a deleted log, and nobody has begun the new one.
	 */
	readonly startIs: "recorded" | "assumed" | "unknown" | "new_log";
	/** First offset that the log still holds. */
	readonly low: number;
	/** The offset that the next message would get, as this began. */
	readonly high: number;
	/** The group's committed offset; null if nothing is committed. */
	readonly committed: number | null;
	/** True if Kafka has no offset of the group: then `committed` is the position in the daemon's note, where the next daemon goes on. */
	readonly isNoted: boolean;
	/** True if nothing is committed although a daemon noted that it began here: messages of it may be in the tables, or lost. */
	readonly hasBegun?: boolean;
	readonly from: number;
	readonly to: number;
	/** Stretches before `to` that the group passed over unread: no rows are expected from them, and no difference is reported. */
	readonly skipped: readonly SkippedStretch[];
	/** Stretches noted as passed over that the log still has: their messages are expected like all others. */
	readonly disbelieved: readonly SkippedStretch[];
}

/**
 * inside: the message was read, and is no dead letter · ahead: at or past the committed offset · past: at or past the end that the log had
 * at the beginning · lettered: a dead letter · unchecked: the log does not have it (any more), the group began after it or passed it over,
 * or its topic is not covered.
 */
export type Standing = "inside" | "ahead" | "past" | "lettered" | "unchecked";

/** A message by its position, and the timestamp that distinguishes it from a message of an earlier log of the topic. */
export interface MessagePlace extends TopicPartition {
	readonly offset: number;
	readonly timestamp: number;
}

/** How far a partition was read, and the offsets up to there that the log does not have. */
export interface KeptCoverage {
	readonly partition: string;
	readonly next: number;
	readonly gaps: KeptGaps;
}

interface Covered {
	range: CoveredPartition;
	/** Letters by offset: one, or one of each log if ids don't distinguish the logs. */
	readonly letters: Map<number, readonly LetterPosition[]>;
	next: number;
	readonly gaps: OffsetGaps;
}

/** Tracks what was read of the log, and judges a row by its message. */
export class LogCoverage {
	readonly #partitions = new Map<string, Covered>();
	readonly #topics: ReadonlySet<string>;
	#lettersOfOtherLogs = 0;
	readonly #isKnown: (topic: string) => boolean;

	/** `isKnown`: whether the group, or anybody who may have fed the tables, ever read this topic. */
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

	/** The ranges that are not read yet. */
	get rest(): readonly CoveredPartition[] {
		return [...this.#partitions.values()].map(({ range, next }) => ({ ...range, from: next }));
	}

	/** Extends the partitions to later ends, with the letters as they are now: what lies between is covered too. */
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

	/** True if there are letters of the partition's messages, or passed-over offsets; otherwise each message must have its row. */
	hasExceptions(partition: TopicPartition): boolean {
		const covered = this.#partitions.get(partitionName(partition));
		return covered !== undefined && (covered.letters.size > 0 || covered.range.skipped.length > 0);
	}

	/** True if the group passed the message over. */
	isPassedOver(partition: TopicPartition, offset: number): boolean {
		const skipped = this.#partitions.get(partitionName(partition))?.range.skipped ?? [];
		return skipped.some(({ from, to }) => offset >= from && offset < to);
	}

	/** Offsets that the group passed over unread. */
	get passedOver(): number {
		return this.ranges.reduce((sum, { skipped }) => sum + skipped.reduce((all, { from, to }) => all + to - from, 0), 0);
	}

	/** The dead letter of a message; undefined if there is none. */
	letterAt({ topic, partition, offset, timestamp }: MessagePlace): LetterPosition | undefined {
		const there = this.#partitions.get(partitionName({ topic, partition }))?.letters.get(offset);
		return there?.find((letter) => Math.max(0, letter.timestamp) === Math.max(0, timestamp));
	}

	/** Letters of the covered part, by state. */
	get letters(): Readonly<Record<string, number>> {
		const counts: Record<string, number> = { open: 0, discarded: 0, skipped: 0 };
		for (const { letters } of this.#partitions.values()) {
			for (const { state } of [...letters.values()].flat()) counts[state] = (counts[state] ?? 0) + 1;
		}
		return counts;
	}

	/** Number of letters of earlier logs of these topics: they explain nothing in the present logs. */
	get lettersOfOtherLogs(): number {
		return this.#lettersOfOtherLogs;
	}

	#addLetter(letter: LetterPosition): void {
		const covered = this.#partitions.get(partitionName(letter));
		if (!covered) return;
		const { range, letters } = covered;
		if (compareLogIds(letter.topicId, range.topicId) === "other") this.#lettersOfOtherLogs++;
		else if (letter.offset < range.to) letters.set(letter.offset, [...(letters.get(letter.offset) ?? []), letter]);
	}

	/** Messages were read; offsets between them don't exist (any more). Returns how many are new. */
	read(partition: TopicPartition, offsets: Iterable<number>): number {
		const covered = this.#partitions.get(partitionName(partition));
		if (!covered) return 0;
		let added = 0;
		for (const offset of offsets) {
			// Already read by a verification that was interrupted.
			if (offset < covered.next) continue;
			if (offset > covered.next) covered.gaps.add(covered.next, offset);
			covered.next = offset + 1;
			added++;
		}
		return added;
	}

	/** How far each partition was read, to be kept and given to `restore`. */
	*kept(): Generator<KeptCoverage> {
		for (const { range, next, gaps } of this.#partitions.values()) yield { partition: partitionName(range), next, gaps: gaps.kept };
	}

	/** Restores what another one kept, before anything was read. */
	restore(all: Iterable<KeptCoverage>): void {
		for (const { partition, next, gaps } of all) {
			const covered = this.#partitions.get(partition);
			if (!covered) continue;
			covered.next = next;
			covered.gaps.restore(gaps);
		}
	}

	/** Nothing more comes: offsets missing up to the end are gaps too. */
	finished(): void {
		for (const covered of this.#partitions.values()) {
			const { range, next } = covered;
			if (next < range.to) covered.gaps.add(next, range.to);
			covered.next = range.to;
		}
	}

	/** What a row's origin means. `isOptional`: the message's letter may be about this very row. */
	standingOf(origin: MessagePlace, isOptional = false): Standing {
		// Nothing is known about a topic that was deleted or is not read any more. A topic that nobody ever read can't have made a row.
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

	/** Offsets of the log after the committed ones, also in partitions without any commit. */
	get behind(): number {
		return this.ranges.reduce((sum, { high, committed, from }) => sum + Math.max(0, high - Math.max(committed ?? from, from)), 0);
	}

	/** Offsets that the log does not have: removed by retention or compaction, aborted, or never messages (transaction markers). */
	get absentOffsets(): number {
		let absent = 0;
		for (const { range, gaps } of this.#partitions.values()) {
			absent += Math.max(0, Math.min(range.low, range.committed ?? 0) - range.start) + gaps.count;
		}
		return absent;
	}
}

/**
 * True if the handler runs again on a letter's message, to find the rows that it may have made. A rejected message, or one with a refused
 * row, can run once more; a message at which the handler failed is not handed over again.
 */
export function isHandledAgain({ reason }: Pick<LetterPosition, "reason">): boolean {
	return reason === "row_fault" || reason === "rejected" || reason === "future_timestamp";
}
