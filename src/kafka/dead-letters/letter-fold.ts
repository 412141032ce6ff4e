/**
 * Folds a topic's records into letters. The records of one letter are ordered within their partition. If the topic got more partitions
 * since, they may be in several, and each has a state of its own: the letter is open while one of them says so. Pure.
 */
import { isSameMessage, type LetterIdentity, type StoredLetter } from "../../core/dead-letters/dead-letter.ts";
import { type LetterState, stateAfterFailure } from "../../core/dead-letters/letter-state.ts";
import type { LetterContent, LetterMark, LetterRecord, RecordOrigin } from "./dead-letter-record.ts";

/** A letter. `content`: what was kept of its newest record. */
export interface FoldedLetter<T> extends LetterIdentity {
	readonly content: T;
	readonly firstAtMs: number;
	readonly lastAtMs: number;
	readonly state: LetterState;
	/** Partitions that have records of it, with its state there. */
	readonly homes: readonly Home[];
}

/** A letter's state in one partition of the topic. */
export interface Home {
	readonly partition: number;
	readonly state: LetterState;
	readonly changedAtMs: number;
}

interface Entry<T> extends LetterIdentity {
	topicId: string | null;
	content: T;
	writtenAtMs: number;
	firstAtMs: number;
	homes: Home[];
}

/** Clocks of machines differ: an attempt counts as older than the letter's state only if it is older by more than this. */
const CLOCK_DIFFERENCE_MS = 10_000;

/** The letters' states, from the topic's records. */
export class LetterFold<T> {
	readonly #keep: (letter: StoredLetter, record: RecordOrigin) => T;
	/** By position: one letter, or one per log of the topic. */
	readonly #entries = new Map<string, Entry<T>[]>();

	/** `keep` returns what to keep of a letter's record. */
	constructor(keep: (letter: StoredLetter, record: RecordOrigin) => T) {
		this.#keep = keep;
	}

	/** Takes the next record of a partition. */
	take(record: LetterRecord): void {
		if (record.type === "letter") this.#letter(record);
		else this.#mark(record);
	}

	/** In no order. */
	*letters(): Generator<FoldedLetter<T>> {
		for (const entries of this.#entries.values())
			for (const { writtenAtMs: _, ...entry } of entries) yield { ...entry, ...standing(entry.homes) };
	}

	#letter(record: RecordOrigin & LetterContent): void {
		const { letter, partition, recordedAtMs, receivedAtMs } = record;
		const failed = letter.state === "skipped" ? "skipped" : "open";
		const entry = this.#at(letter).find((each) => isSameMessage(each, letter));
		if (!entry) {
			const { topic, partition: number, offset, topicId, timestamp } = letter;
			const identity = { topic, partition: number, offset, topicId, timestamp };
			const homes: Home[] = [{ partition, state: failed, changedAtMs: recordedAtMs }];
			const fresh = { ...identity, content: this.#keep(letter, record), writtenAtMs: recordedAtMs, firstAtMs: receivedAtMs, homes };
			this.#entries.set(placeOf(letter), [...this.#at(letter), fresh]);
			return;
		}
		const home = entry.homes.find((each) => each.partition === partition);
		const isOlder = home !== undefined && receivedAtMs + CLOCK_DIFFERENCE_MS < home.changedAtMs;
		const state = home ? stateAfterFailure(home.state, failed, isOlder) : failed;
		// Somebody has replayed or discarded it already, and this is an older attempt.
		if (home && state === home.state && state !== "open" && state !== "skipped") return;
		entry.topicId ??= letter.topicId;
		entry.firstAtMs = Math.min(entry.firstAtMs, receivedAtMs);
		if (recordedAtMs >= entry.writtenAtMs) Object.assign(entry, { content: this.#keep(letter, record), writtenAtMs: recordedAtMs });
		move(entry, { partition, state, changedAtMs: recordedAtMs });
	}

	#mark({ of, state, partition, recordedAtMs }: RecordOrigin & LetterMark): void {
		for (const entry of this.#at(of)) {
			const isMeant = of.timestamp === null || isSameMessage(entry, { ...of, timestamp: of.timestamp });
			const home = entry.homes.find((each) => each.partition === partition);
			if (!isMeant || !home || (home.state === "replayed" && state === "discarded")) continue;
			move(entry, { partition, state, changedAtMs: recordedAtMs });
		}
	}

	#at(place: Pick<LetterIdentity, "topic" | "partition" | "offset">): readonly Entry<T>[] {
		return this.#entries.get(placeOf(place)) ?? [];
	}
}

function move<T>(entry: Entry<T>, home: Home): void {
	entry.homes = [...entry.homes.filter(({ partition }) => partition !== home.partition), home];
}

/** Open if it is open in any partition; else its last state. */
function standing(homes: readonly Home[]): { readonly state: LetterState; readonly lastAtMs: number } {
	const last = (some: readonly Home[]) => some.reduce((latest, home) => (home.changedAtMs > latest.changedAtMs ? home : latest));
	const open = homes.filter(({ state }) => state === "open");
	const { state, changedAtMs } = last(open.length > 0 ? open : homes);
	return { state, lastAtMs: changedAtMs };
}

function placeOf({ topic, partition, offset }: Pick<LetterIdentity, "topic" | "partition" | "offset">): string {
	return `${topic}/${partition}@${offset}`;
}
