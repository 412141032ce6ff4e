/**
 * Records on their way from a handler to a topic, packed in the thread: by topic, in the order in which the handler gave them. Plain data
 * that crosses the thread boundary; arrays instead of objects, because a batch may have thousands.
 */
import type { Header, TopicPartition } from "./message.ts";
import { readHeaders } from "./message-codec.ts";
import type { PackedBatch } from "./packed-batch.ts";

/** The records of a run for one topic. Arrays have an entry per record; keys, values and headers lie one after the other in `bytes`. */
export interface RecordBlock {
	readonly topic: string;
	readonly length: number;
	/** Index of each record's message in the batch. */
	readonly messages: Int32Array;
	/** Number of the record among its message's records, over all topics. */
	readonly indexes: Int32Array;
	/** -1: its key decides. */
	readonly partitions: Int32Array;
	/** ms. */
	readonly timestamps: Float64Array;
	/** Where each record's bytes start in `bytes`. */
	readonly starts: Int32Array;
	/** Length of key, value and encoded headers; -1 for a null key or value. Three entries per record. */
	readonly lengths: Int32Array;
	readonly bytes: Uint8Array;
}

/** All records of a run, and how many the handler gave, counted apart from the packing. */
export interface PackedRecords {
	readonly blocks: readonly RecordBlock[];
	readonly count: number;
	/** Number of messages with records but no row. */
	readonly only: number;
}

/**
 * Headers that name a record's source: its message as `topic/partition/offset`; the number of the record among that message's records; the
 * message's timestamp (ms), which distinguishes a topic that was created again from the one before; and the group that produced it, because
 * other groups may read the same topic and produce to the same one.
 */
export const SOURCE_HEADER = "pockaffe-source";
export const SOURCE_INDEX_HEADER = "pockaffe-source-index";
export const SOURCE_TIMESTAMP_HEADER = "pockaffe-source-timestamp";
export const SOURCE_GROUP_HEADER = "pockaffe-source-group";

/** Those headers, of the record at `index` of a block. */
export function sourceHeaders(
	{ topic, partition, batch }: TopicPartition & { readonly batch: Pick<PackedBatch, "offsets" | "timestamps"> },
	{ messages, indexes }: RecordBlock,
	index: number,
	group: string,
): readonly (readonly [name: string, value: string])[] {
	const message = messages[index] as number;
	return [
		[SOURCE_HEADER, `${topic}/${partition}/${batch.offsets[message]}`],
		[SOURCE_INDEX_HEADER, String(indexes[index])],
		[SOURCE_TIMESTAMP_HEADER, String(batch.timestamps[message])],
		[SOURCE_GROUP_HEADER, group],
	];
}

/** One record by itself; key and value are views of the block's bytes. */
export function recordAt({ starts, lengths, bytes }: RecordBlock, index: number) {
	const [key, value, headers] = [0, 1, 2].map((part) => lengths[3 * index + part] as number) as [number, number, number];
	const keyAt = starts[index] as number;
	const valueAt = keyAt + Math.max(key, 0);
	const headersAt = valueAt + Math.max(value, 0);
	const view = (at: number, length: number) => (length < 0 ? null : Buffer.from(bytes.buffer, bytes.byteOffset + at, length));
	const read: Header[] = headers === 0 ? [] : readHeaders(view(headersAt, headers) as Buffer);
	return { key: view(keyAt, key), value: view(valueAt, value), headers: read };
}

/** Bytes that a record takes in `bytes`. */
export function sizeOfRecord({ lengths }: RecordBlock, index: number): number {
	const at = 3 * index;
	return Math.max(lengths[at] as number, 0) + Math.max(lengths[at + 1] as number, 0) + (lengths[at + 2] as number);
}

/** The block without the records of these messages; its bytes stay the same. */
export function withoutRecordsOf(block: RecordBlock, dropped: ReadonlyMap<number, unknown>): RecordBlock {
	const kept: number[] = [];
	for (let i = 0; i < block.length; i++) if (!dropped.has(block.messages[i] as number)) kept.push(i);
	const pick = <T extends Int32Array | Float64Array>(values: T, each = 1): T =>
		values.constructor === Float64Array
			? (Float64Array.from(kept, (i) => values[i] as number) as T)
			: (Int32Array.from(
					{ length: each * kept.length },
					(_, at) => values[each * (kept[Math.floor(at / each)] as number) + (at % each)] as number,
				) as T);
	return {
		...block,
		length: kept.length,
		messages: pick(block.messages),
		indexes: pick(block.indexes),
		partitions: pick(block.partitions),
		timestamps: pick(block.timestamps),
		starts: pick(block.starts),
		lengths: pick(block.lengths, 3),
	};
}
