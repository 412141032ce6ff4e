/**
 * Finds messages that PocKaffe produced a second time. A record names its source (core/messages/records.ts); a second record from the same
 * source, with the same content, in the same partition is a repeat. A record with other content never is: the handler may have learned
 * something since, and two groups may share a name. Pure.
 *
 * The last records of each source are remembered for as long as this member has the partition. A record that is not remembered counts as
 * new: it is handled, and everything after it in its source is forgotten, so that its repeats are handled after it as well. A source may
 * therefore come out of order (a replayed dead letter, overlapping calls), begin anew (a topic that was created again), or reach further
 * back than what is remembered. Repeats are then handled, but never in the wrong order, and nothing new is dropped.
 */
import { crc32 } from "node:zlib";
import { messageAt } from "../../core/messages/message-codec.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import { SOURCE_GROUP_HEADER, SOURCE_HEADER, SOURCE_INDEX_HEADER, SOURCE_TIMESTAMP_HEADER } from "../../core/messages/records.ts";

/**
 * Records remembered per partition; about 80 bytes each. A killed daemon leaves behind as many as it had in hand:
 * `workers.maxQueuedMessages` over its partitions.
 */
const REMEMBERED = 50_000;

/** A remembered record: its place in its source, and the offset where it was first met. */
interface Met {
	readonly offset: number;
	readonly index: number;
	/** Timestamp of the source's message, as the header has it. */
	readonly timestamp: string;
	/** Checksum of key and value. */
	readonly content: number;
	readonly at: number;
}

/** The remembered records of a source partition, in its order. Entries before `head` are forgotten. */
interface Source {
	met: Met[];
	head: number;
}

/** Remembers the records that one partition has met, and finds those that come again. */
export class Repeats {
	readonly #sources = new Map<string, Source>();
	readonly #most: number;
	#count = 0;

	constructor(most = REMEMBERED) {
		this.#most = most;
	}

	/** Indexes of the repeats in the batch: messages that already came at a lower offset. The same message received again is not a repeat. */
	in(batch: PackedBatch): number[] {
		const repeats: number[] = [];
		for (let index = 0; index < batch.length; index++) {
			const named = sourceIn(messageAt(batch, index));
			if (named && this.#isRepeat(named.partition, named.met)) repeats.push(index);
		}
		return repeats;
	}

	#isRepeat(partition: string, met: Met): boolean {
		let source = this.#sources.get(partition);
		if (!source) {
			source = { met: [], head: 0 };
			this.#sources.set(partition, source);
		}
		const place = placeOf(source, met);
		const known = source.met[place];
		if (known && isSame(known, met) && known.at < met.at) return true;
		this.#count -= source.met.length - place;
		source.met.length = place;
		source.met.push(met);
		this.#count++;
		if (this.#count > this.#most) this.#forgetOldest();
		return false;
	}

	/** Forgets the oldest record of the source that has the most. */
	#forgetOldest(): void {
		let largest: [string, Source] | null = null;
		for (const each of this.#sources) if (!largest || lengthOf(each[1]) > lengthOf(largest[1])) largest = each;
		if (!largest) return;
		const [partition, source] = largest;
		source.head++;
		this.#count--;
		if (lengthOf(source) === 0) this.#sources.delete(partition);
		else if (2 * source.head > source.met.length) {
			source.met.splice(0, source.head);
			source.head = 0;
		}
	}
}

function lengthOf({ met, head }: Source): number {
	return met.length - head;
}

/** Index of the record among those of its source, or the index where it belongs. */
function placeOf({ met, head }: Source, { offset, index }: Met): number {
	let [low, high] = [head, met.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		const there = met[middle] as Met;
		if (there.offset < offset || (there.offset === offset && there.index < index)) low = middle + 1;
		else high = middle;
	}
	return low;
}

function isSame(left: Met, right: Met): boolean {
	const isSamePlace = left.offset === right.offset && left.index === right.index;
	return isSamePlace && left.timestamp === right.timestamp && left.content === right.content;
}

/** PocKaffe's own headers are shorter; a longer one is not a source, and is not kept. */
const MOST_NAME = 300;
const MOST_INDEX = 10;
const MOST_TIMESTAMP = 20;

/** The record's source; null if it has none, or one that PocKaffe did not write. */
function sourceIn({ offset: at, headers, key, value }: ReturnType<typeof messageAt>): { partition: string; met: Met } | null {
	let [source, index, timestamp, group]: (string | null)[] = ["", "", "", ""];
	for (const [name, content] of headers) {
		if (name === SOURCE_HEADER) source = textOf(content, MOST_NAME);
		else if (name === SOURCE_INDEX_HEADER) index = textOf(content, MOST_INDEX);
		else if (name === SOURCE_TIMESTAMP_HEADER) timestamp = textOf(content, MOST_TIMESTAMP);
		else if (name === SOURCE_GROUP_HEADER) group = textOf(content, MOST_NAME);
	}
	if (source == null || index == null || timestamp == null || group == null) return null;
	const [, partition, offset] = /^(.+\/\d+)\/(\d+)$/.exec(source) ?? [];
	if (partition === undefined || !/^\d+$/.test(index) || !Number.isSafeInteger(Number(offset))) return null;
	const met = { offset: Number(offset), index: Number(index), timestamp, content: contentOf(key, value), at };
	return { partition: `${group} ${partition}`, met };
}

/** The content as text; null if it is longer than `most`. */
function textOf(content: Buffer | null, most: number): string | null {
	return content !== null && content.length <= most ? content.toString() : null;
}

/** A checksum of the content. It covers where the key ends, and which of the two is null. */
function contentOf(key: Buffer | null, value: Buffer | null): number {
	const lengthOf = (content: Buffer | null) => (content?.length ?? -1) + 1;
	let sum = lengthOf(key);
	if (key) sum = crc32(key, sum);
	sum = (sum + lengthOf(value)) % 2 ** 32;
	return value ? crc32(value, sum) : sum;
}
