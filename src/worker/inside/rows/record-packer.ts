/**
 * Checks and packs the records that a handler wants produced: one block per topic. Errors say what is wrong; a message whose outcome is bad
 * leaves nothing behind (`rollBack`).
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import { isUtf8 as isUtf8Now } from "node:buffer";
import {
	type PackedRecords,
	type RecordBlock,
	SOURCE_GROUP_HEADER,
	SOURCE_HEADER,
	SOURCE_INDEX_HEADER,
	SOURCE_TIMESTAMP_HEADER,
} from "../../../core/messages/records.ts";
import { hasOwn, isArray, jsonOf } from "../built-ins.ts";
import { BadOutcomeError, kindOf } from "./bad-outcome.ts";

const recordKeys: ReadonlySet<string> = new Set(["topic", "key", "value", "headers", "partition", "timestamp"]);
const ownHeaders: ReadonlySet<string> = new Set([SOURCE_HEADER, SOURCE_INDEX_HEADER, SOURCE_TIMESTAMP_HEADER, SOURCE_GROUP_HEADER]);
const LEGAL_TOPIC = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/;
const MOST_PARTITION = 2 ** 31 - 1;
/** About how many bytes a record takes beside its contents. */
const RECORD_OVERHEAD = 40;
const FIRST_BYTES = 16_384;

/** Taken before the user's module is loaded, which may replace them. */
const { byteLength, allocUnsafeSlow } = Buffer;
const isSafe = Number.isSafeInteger;
const isUtf8 = isUtf8Now;

/** What packing records needs. */
export interface RecordPackerOptions {
	/** Topics that the handler may produce to; null: any. */
	readonly topics: readonly string[] | null;
	/** False: records are only checked, because nothing is produced here. */
	readonly keeps: boolean;
}

/** The records of one topic, in the order in which they were added. */
class TopicRecords {
	readonly topic: string;
	messages: number[] = [];
	indexes: number[] = [];
	partitions: number[] = [];
	timestamps: number[] = [];
	starts: number[] = [];
	lengths: number[] = [];
	bytes = allocUnsafeSlow(FIRST_BYTES);
	end = 0;

	constructor(topic: string) {
		this.topic = topic;
	}

	/** Makes room for `more` bytes. */
	grow(more: number): void {
		if (this.end + more <= this.bytes.length) return;
		const larger = allocUnsafeSlow(2 * (this.end + more));
		larger.set(this.bytes.subarray(0, this.end));
		this.bytes = larger;
	}

	rollBack(length: number): void {
		if (length === this.messages.length) return;
		this.end = this.starts[length] as number;
		for (const list of [this.messages, this.indexes, this.partitions, this.timestamps, this.starts]) list.length = length;
		this.lengths.length = 3 * length;
	}

	take(): RecordBlock {
		const block = {
			topic: this.topic,
			length: this.messages.length,
			messages: Int32Array.from(this.messages),
			indexes: Int32Array.from(this.indexes),
			partitions: Int32Array.from(this.partitions),
			timestamps: Float64Array.from(this.timestamps),
			starts: Int32Array.from(this.starts),
			lengths: Int32Array.from(this.lengths),
			bytes: new Uint8Array(this.bytes.subarray(0, this.end)),
		};
		this.rollBack(0);
		return block;
	}
}

/** Checks and packs the records of a run's outcomes, a block per topic. */
export class RecordPacker {
	readonly #options: RecordPackerOptions;
	readonly #topics = new Map<string, TopicRecords>();
	#count = 0;
	#leftOut = false;

	constructor(options: RecordPackerOptions) {
		this.#options = options;
	}

	/** Records added since the last `take`. */
	get count(): number {
		return this.#count;
	}

	/** Whether any record was only checked so far. */
	get leftOut(): boolean {
		return this.#leftOut;
	}

	/** Marks how many records each topic has, to roll back to. */
	mark(): ReadonlyMap<string, number> {
		return new Map([...this.#topics].map(([topic, { messages }]) => [topic, messages.length]));
	}

	rollBack(mark: ReadonlyMap<string, number>): void {
		this.#count = 0;
		for (const [topic, records] of this.#topics) {
			records.rollBack(mark.get(topic) ?? 0);
			this.#count += records.messages.length;
		}
	}

	/** Removes the records of a message, which must be the last one that had any. */
	drop(message: number): void {
		for (const records of this.#topics.values()) {
			let { length } = records.messages;
			while (length > 0 && records.messages[length - 1] === message) length--;
			this.#count -= records.messages.length - length;
			records.rollBack(length);
		}
	}

	/**
	 * Adds the records of an outcome's `produce`; returns their bytes. `first`: how many records of the message came before. `timestamp`: the
	 * message's, which a record without its own gets, so that a record that is produced again is the same.
	 */
	add(message: number, produce: unknown, first: number, timestamp: number, mostBytes: number): { bytes: number; count: number } {
		if (!isArray(produce)) throw new BadOutcomeError(`produce must be a list of records, not ${kindOf(produce)}`);
		const { length } = produce;
		if (length * RECORD_OVERHEAD > mostBytes)
			throw new BadOutcomeError(`a list of ${length} records is more than handler.maxOutcomeBytes (${mostBytes}) can be`);
		let bytes = 0;
		for (let i = 0; i < length; i++) bytes += this.#add(message, produce[i], first + i, timestamp);
		return { bytes, count: length };
	}

	/** Returns the records and empties the packer; null if there are none. */
	take(): Omit<PackedRecords, "only"> | null {
		if (this.#count === 0) return null;
		const blocks: RecordBlock[] = [];
		for (const records of this.#topics.values()) if (records.messages.length > 0) blocks.push(records.take());
		const count = this.#count;
		this.#count = 0;
		this.#topics.clear();
		return { blocks, count };
	}

	#add(message: number, record: unknown, index: number, sourceTimestamp: number): number {
		if (typeof record !== "object" || record === null || isArray(record))
			throw new BadOutcomeError(`produce[${index}] must be {topic, key?, value?, headers?, partition?, timestamp?}, not ${kindOf(record)}`);
		for (const name in record) {
			if (!recordKeys.has(name) && hasOwn(record, name))
				throw new BadOutcomeError(`a record has topic, key, value, headers, partition and timestamp, but no ${name}`);
		}
		const own = <T>(name: string): T | undefined => (hasOwn(record, name) ? ((record as Record<string, unknown>)[name] as T) : undefined);
		const topic = this.#topicOf(own("topic"));
		const key = bytesOf("key", own("key"));
		const value = bytesOf("value", own("value"));
		const partition = partitionOf(own("partition"));
		const timestamp = timestampOf(own("timestamp"), sourceTimestamp);
		const headers = headersOf(own("headers"));
		const size = sizeOf(key) + sizeOf(value) + headers.size;
		if (!this.#options.keeps) {
			this.#leftOut = true;
			return size + RECORD_OVERHEAD;
		}
		let records = this.#topics.get(topic);
		if (!records) {
			records = new TopicRecords(topic);
			this.#topics.set(topic, records);
		}
		records.grow(size);
		records.messages.push(message);
		records.indexes.push(index);
		records.partitions.push(partition);
		records.timestamps.push(timestamp);
		records.starts.push(records.end);
		records.lengths.push(key === null ? -1 : sizeOf(key), value === null ? -1 : sizeOf(value), headers.size);
		write(records, key);
		write(records, value);
		if (headers.size > 0) writeHeaders(records, headers.list);
		this.#count++;
		return size + RECORD_OVERHEAD;
	}

	#topicOf(topic: unknown): string {
		if (typeof topic !== "string") throw new BadOutcomeError(`a record must name its topic, which is ${kindOf(topic)} here`);
		const { topics } = this.#options;
		if (topics !== null && !topics.includes(topic))
			throw new BadOutcomeError(
				`topic ${jsonOf(topic.slice(0, 249))} is not in handler.produces (${topics.join(", ") || "which is empty"})`,
			);
		if (!LEGAL_TOPIC.test(topic))
			throw new BadOutcomeError(`${jsonOf(topic.slice(0, 249))} is no name of a topic (letters, digits, . _ -; at most 249)`);
		return topic;
	}
}

type Content = string | Uint8Array | null;

function bytesOf(name: string, content: unknown): Content {
	if (content === undefined || content === null) return null;
	if (typeof content === "string" || content instanceof Uint8Array) return content;
	throw new BadOutcomeError(`a record's ${name} must be a Buffer, a string or null, not ${kindOf(content)}`);
}

function partitionOf(partition: unknown): number {
	if (partition === undefined || partition === null) return -1;
	if (typeof partition === "number" && isSafe(partition) && partition >= 0 && partition <= MOST_PARTITION) return partition;
	throw new BadOutcomeError(`a record's partition must be a whole number, 0 or more, not ${kindOf(partition)}`);
}

function timestampOf(timestamp: unknown, source: number): number {
	if (timestamp === undefined || timestamp === null) return source;
	if (typeof timestamp === "number" && isSafe(timestamp) && timestamp >= 0) return timestamp;
	throw new BadOutcomeError(`a record's timestamp must be milliseconds, a whole number, not ${kindOf(timestamp)}`);
}

/** Headers that name the message's own source are not passed on: the record has a source of its own. */
function headersOf(headers: unknown): { list: (readonly [string, Content])[]; size: number } {
	const list: (readonly [string, Content])[] = [];
	if (headers === undefined || headers === null) return { list, size: 0 };
	if (!isArray(headers)) throw new BadOutcomeError(`a record's headers must be a list of [name, value], not ${kindOf(headers)}`);
	let size = 4;
	for (let i = 0; i < headers.length; i++) {
		const header: unknown = headers[i];
		if (!isArray(header) || typeof header[0] !== "string")
			throw new BadOutcomeError(`a record's headers must be a list of [name, value], and one of them is ${kindOf(header)}`);
		const name = header[0] as string;
		if (ownHeaders.has(name)) continue;
		if (name.includes("\0")) throw new BadOutcomeError("a header's name can't hold a NUL");
		const value = bytesOf("header", header[1]);
		checkHeader(name, value);
		list.push([name, value]);
		size += 8 + byteLength(name) + sizeOf(value);
	}
	return { list, size: list.length === 0 ? 0 : size };
}

/** The client passes a header's value on as text that ends at a NUL, so a value that would arrive changed is refused. */
function checkHeader(name: string, value: Content): void {
	if (value === null) return;
	const hasNul = typeof value === "string" ? value.includes("\0") : value.includes(0);
	const shown = () => jsonOf(name.slice(0, 100));
	if (hasNul) throw new BadOutcomeError(`header ${shown()}: a value with a NUL byte can't be sent`);
	if (typeof value !== "string" && !isUtf8(value)) throw new BadOutcomeError(`header ${shown()}: a value that is not UTF-8 can't be sent`);
}

function sizeOf(content: Content): number {
	if (content === null) return 0;
	return typeof content === "string" ? byteLength(content) : content.byteLength;
}

function write(records: TopicRecords, content: Content): void {
	if (content === null) return;
	if (typeof content === "string") records.end += records.bytes.write(content, records.end);
	else {
		records.bytes.set(content, records.end);
		records.end += content.byteLength;
	}
}

/** Writes headers in the form that messages have (core/messages/message-codec.ts). */
function writeHeaders(records: TopicRecords, headers: readonly (readonly [string, Content])[]): void {
	records.end = records.bytes.writeInt32LE(headers.length, records.end);
	for (const [name, value] of headers) {
		records.end = records.bytes.writeInt32LE(byteLength(name), records.end);
		write(records, name);
		records.end = records.bytes.writeInt32LE(value === null ? -1 : sizeOf(value), records.end);
		write(records, value);
	}
}
