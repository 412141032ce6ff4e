/**
 * Packs messages into a batch, and unpacks them: for the way to a worker thread, and to read a message again for a dead letter. The addon
 * packs in the same way (src/kafka/native/packed_messages.cc). Pure. In `bytes` each message has its key, its value and its headers one
 * after the other; headers are a count, then for each a length and a name, a length (-1 for null) and a value.
 *
 * Step 3 of a message's way (docs/architecture.md).
 */
import { type Header, type ReceivedMessage, type TimestampType, type TopicPartition, timestampTypes } from "./message.ts";
import { ARRAY_BYTES, batchOver, type PackedBatch } from "./packed-batch.ts";

const KEY = 0;
const VALUE = 1;
const HEADERS = 2;
const NULL = -1;

/** Taken before the user's module is loaded, which may replace `Buffer.from`. */
const { from: bufferOf } = Buffer;

/** One unpacked message: everything except where it comes from. */
export interface UnpackedMessage {
	readonly offset: number;
	readonly timestamp: number;
	readonly timestampType: TimestampType;
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: Header[];
}

/** Packs messages of one partition, in the order given. */
export function packMessages(messages: readonly ReceivedMessage[]): PackedBatch {
	const length = messages.length;
	let size = 0;
	for (const message of messages) size += sizeOfMessage(message);
	const batch = batchOver(length, new ArrayBuffer(ARRAY_BYTES * length), new ArrayBuffer(size));
	const { offsets, timestamps, timestampTypes: types, starts, lengths, bytes } = batch;
	const view = Buffer.from(bytes.buffer);
	let at = 0;
	for (let i = 0; i < length; i++) {
		const { offset, timestamp, timestampType = "undefined", key, value, headers } = messages[i] as ReceivedMessage;
		offsets[i] = offset;
		timestamps[i] = timestamp;
		types[i] = timestampTypes.indexOf(timestampType);
		starts[i] = at;
		lengths[3 * i + KEY] = key === null ? NULL : key.length;
		lengths[3 * i + VALUE] = value === null ? NULL : value.length;
		if (key !== null) at += copy(key, bytes, at);
		if (value !== null) at += copy(value, bytes, at);
		const headersStart = at;
		if (headers.length > 0) at = writeHeaders(headers, view, at);
		lengths[3 * i + HEADERS] = at - headersStart;
	}
	return batch;
}

/** Messages `from` (included) to `to` (excluded) as a new batch with a copy of their bytes. */
export function sliceBatch(batch: PackedBatch, from: number, to: number): PackedBatch {
	const start = batch.starts[from] ?? 0;
	const end = to < batch.length ? (batch.starts[to] as number) : batch.bytes.byteLength;
	return {
		length: to - from,
		offsets: batch.offsets.slice(from, to),
		timestamps: batch.timestamps.slice(from, to),
		timestampTypes: batch.timestampTypes.slice(from, to),
		starts: batch.starts.slice(from, to).map((at) => at - start),
		lengths: batch.lengths.slice(3 * from, 3 * to),
		bytes: batch.bytes.slice(start, end),
	};
}

/** One message; key and value are views of the batch's bytes. */
export function messageAt(batch: PackedBatch, index: number): UnpackedMessage {
	const start = batch.starts[index] as number;
	const keyLength = batch.lengths[3 * index + KEY] as number;
	const valueLength = batch.lengths[3 * index + VALUE] as number;
	const headersLength = batch.lengths[3 * index + HEADERS] as number;
	const valueStart = start + sizeOf(keyLength);
	const headersStart = valueStart + sizeOf(valueLength);
	return {
		offset: batch.offsets[index] as number,
		timestamp: batch.timestamps[index] as number,
		timestampType: timestampTypes[batch.timestampTypes[index] as number] as TimestampType,
		key: keyAt(batch, index),
		value: valueLength === NULL ? null : viewOf(batch, valueStart, valueLength),
		headers: headersLength === 0 ? [] : readHeaders(viewOf(batch, headersStart, headersLength)),
	};
}

/** Returns the messages, each with a copy of its bytes: callers that read a log may keep some of them. */
export function unpackMessages({ topic, partition }: TopicPartition, batch: PackedBatch): ReceivedMessage[] {
	return Array.from({ length: batch.length }, (_, index) => {
		const { key, value, headers, ...rest } = messageAt(batch, index);
		const ownHeaders = headers.map(([name, content]): Header => [name, ownBytes(content)]);
		return { topic, partition, ...rest, key: ownBytes(key), value: ownBytes(value), headers: ownHeaders };
	});
}

/** The key of one message, a view of the batch's bytes. */
export function keyAt(batch: PackedBatch, index: number): Buffer | null {
	const length = batch.lengths[3 * index + KEY] as number;
	return length === NULL ? null : viewOf(batch, batch.starts[index] as number, length);
}

/** Does not use Math, which a handler may have changed. */
function sizeOf(length: number): number {
	return length === NULL ? 0 : length;
}

function viewOf({ bytes }: PackedBatch, start: number, length: number): Buffer {
	return bufferOf(bytes.buffer, bytes.byteOffset + start, length);
}

function copy(from: Uint8Array, to: Uint8Array, at: number): number {
	to.set(from, at);
	return from.length;
}

function ownBytes(bytes: Buffer | null): Buffer | null {
	return bytes === null ? null : Buffer.from(bytes);
}

/** Bytes that a message takes in `bytes`. */
export function sizeOfMessage({ key, value, headers }: ReceivedMessage): number {
	return (key?.length ?? 0) + (value?.length ?? 0) + (headers.length === 0 ? 0 : sizeOfHeaders(headers));
}

function sizeOfHeaders(headers: readonly Header[]): number {
	let size = 4;
	for (const [name, value] of headers) size += 8 + Buffer.byteLength(name) + (value?.length ?? 0);
	return size;
}

function writeHeaders(headers: readonly Header[], view: Buffer, start: number): number {
	let at = view.writeInt32LE(headers.length, start);
	for (const [name, value] of headers) {
		const nameLength = Buffer.byteLength(name);
		at = view.writeInt32LE(nameLength, at);
		at += view.write(name, at);
		at = view.writeInt32LE(value === null ? NULL : value.length, at);
		if (value !== null) at += copy(value, view, at);
	}
	return at;
}

/** Unpacks headers. */
export function readHeaders(bytes: Buffer): Header[] {
	const headers: Header[] = [];
	let at = 4;
	for (let left = bytes.readInt32LE(0); left > 0; left--) {
		const nameEnd = at + 4 + bytes.readInt32LE(at);
		const name = bytes.toString("utf8", at + 4, nameEnd);
		const valueLength = bytes.readInt32LE(nameEnd);
		at = nameEnd + 4 + sizeOf(valueLength);
		headers.push([name, valueLength === NULL ? null : bytes.subarray(nameEnd + 4, at)]);
	}
	return headers;
}
