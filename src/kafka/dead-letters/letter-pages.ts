/**
 * Reads whole letters of the topic by their places, page by page in the requested order. The records of a page usually lie close together
 * and are read as a few stretches of the log; records in between are skipped.
 */
import type { StoredLetter } from "../../core/dead-letters/dead-letter.ts";
import type { LogRange, LogReader } from "../log-reader.ts";
import { readLetterRecord } from "./dead-letter-record.ts";

/** Where a letter's record is in its topic, and how large. */
export interface LetterPlace {
	readonly partition: number;
	readonly offset: number;
	readonly bytes: number;
}

/** Limits of a page; a single letter may exceed them. */
const PAGE = { letters: 1_000, bytes: 16 * 2 ** 20 };
/** Records further apart than this are read separately: a new stretch costs a round trip or two. */
const FAR_APART = 1_000;

/** Reads whole letters page by page. */
export class LetterPages {
	readonly #reader: Pick<LogReader, "read">;
	readonly #topic: string;

	constructor(reader: Pick<LogReader, "read">, topic: string) {
		this.#reader = reader;
		this.#topic = topic;
	}

	/** Yields each place with its letter. Letters that retention removed meanwhile are left out. */
	async *read<T extends { readonly content: LetterPlace }>(places: readonly T[]): AsyncGenerator<[T, StoredLetter][]> {
		for (let from = 0; from < places.length; ) {
			const page = places.slice(from, endOfPage(places, from));
			from += page.length;
			const letters = await this.#letters(page.map(({ content }) => content));
			const found = page.flatMap((each): [T, StoredLetter][] => {
				const letter = letters.get(nameOf(each.content));
				return letter ? [[each, letter]] : [];
			});
			if (found.length > 0) yield found;
		}
	}

	async #letters(places: readonly LetterPlace[]): Promise<Map<string, StoredLetter>> {
		const wanted = new Set(places.map(nameOf));
		const letters = new Map<string, StoredLetter>();
		for (const ranges of this.#rounds(places)) {
			for await (const [, messages] of this.#reader.read(ranges)) {
				for (const message of messages) {
					if (!wanted.has(nameOf(message))) continue;
					const record = readLetterRecord(message);
					if (record?.type === "letter") letters.set(nameOf(message), record.letter);
				}
			}
		}
		return letters;
	}

	/** Stretches of the log, in rounds of one per partition. */
	#rounds(places: readonly LetterPlace[]): LogRange[][] {
		const rounds: LogRange[][] = [];
		for (const partition of new Set(places.map((place) => place.partition))) {
			const offsets = places.flatMap((place) => (place.partition === partition ? [place.offset] : [])).sort((left, right) => left - right);
			let round = 0;
			for (let first = 0, at = 0; at < offsets.length; at++) {
				const [offset, next] = [offsets[at] as number, offsets[at + 1]];
				if (next !== undefined && next - offset <= FAR_APART) continue;
				rounds[round] = [...(rounds[round] ?? []), { topic: this.#topic, partition, from: offsets[first] as number, to: offset + 1 }];
				round++;
				first = at + 1;
			}
		}
		return rounds;
	}
}

function endOfPage(places: readonly { readonly content: LetterPlace }[], from: number): number {
	let bytes = 0;
	for (let at = from; at < places.length; at++) {
		bytes += (places[at] as { readonly content: LetterPlace }).content.bytes;
		if (at > from && (at - from >= PAGE.letters || bytes > PAGE.bytes)) return at;
	}
	return places.length;
}

function nameOf({ partition, offset }: Pick<LetterPlace, "partition" | "offset">): string {
	return `${partition}@${offset}`;
}
