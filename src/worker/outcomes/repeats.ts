/**
 * Messages that PocKaffe produced again: a record names its source (core/messages/records.ts), and who meets one twice in a partition has met a
 * repeat. Other content is never one: a handler may have learned something since, and two groups may be called the same. Pure.
 *
 * Remembered are the last records of each source, for as long as this member has the partition. A record that is not remembered is none
 * that came before, as far as is known: it is handled, and whatever lies behind it in its source is forgotten, so that its repeats are
 * handled behind it, too. So a source may come out of order (a dead letter that is replayed, calls that overlap), begin anew (a topic that
 * was made again), or be older than what is remembered: then repeats are handled, never in the wrong order, and nothing new is dropped.
 */
import { crc32 } from "node:zlib";
import { messageAt } from "../../core/messages/message-codec.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import { SOURCE_GROUP_HEADER, SOURCE_HEADER, SOURCE_INDEX_HEADER, SOURCE_TIMESTAMP_HEADER } from "../../core/messages/records.ts";

/** Some 80 bytes each. A daemon that is killed leaves behind as many as it had in hand: `workers.maxQueuedMessages` over its partitions. */
const REMEMBERED = 50_000;

/** A record by its source, and where it was met first. */
interface Met {
	readonly offset: number;
	readonly index: number;
	/** Of the source's message, as the header has it. */
	readonly timestamp: string;
	/** A checksum of key and value. */
	readonly content: number;
	readonly at: number;
}

/** Records of a source partition in its order; those before `head` are forgotten. */
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

	/** Indexes of the messages that came before, at a lower offset. One that is received again itself is none. */
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

	/** Of the source that has most. */
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

/** Where the record is among those of its source, or belongs. */
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

/** What PocKaffe writes is shorter; more is no source, and is not kept. */
const MOST_NAME = 300;
const MOST_INDEX = 10;
const MOST_TIMESTAMP = 20;

/** Null where it has no source, or one that PocKaffe did not write. */
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

/** Null where it is longer. */
function textOf(content: Buffer | null, most: number): string | null {
	return content !== null && content.length <= most ? content.toString() : null;
}

/** Where the key ends, and what is null, is part of it. */
function contentOf(key: Buffer | null, value: Buffer | null): number {
	const lengthOf = (content: Buffer | null) => (content?.length ?? -1) + 1;
	let sum = lengthOf(key);
	if (key) sum = crc32(key, sum);
	sum = (sum + lengthOf(value)) % 2 ** 32;
	return value ? crc32(value, sum) : sum;
}
