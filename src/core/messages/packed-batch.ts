/**
 * A batch of messages of one partition. Filled once, by the addon on a thread of its own (src/kafka/native/packed_messages.cc) or on the
 * main thread (message-codec.ts); copied to the worker thread unchanged; kept until every message is finished (a retry or a dead letter
 * needs the bytes again). No object per message.
 */

/** Messages of one partition in offset order. Arrays have `length` entries; keys, values and headers lie one after the other in `bytes`. */
export interface PackedBatch {
	readonly length: number;
	readonly offsets: Float64Array;
	/** Record timestamps in ms; -1 if there is none. */
	readonly timestamps: Float64Array;
	/** Type of each timestamp, by librdkafka's numbers: `timestampTypes` has the name at that index. */
	readonly timestampTypes: Uint8Array;
	/** Where each message's bytes start in `bytes`. */
	readonly starts: Int32Array;
	/** Length of key, value and encoded headers; -1 for a null key or value. Three entries per message. */
	readonly lengths: Int32Array;
	/** The bytes, in memory of their own: a handler may transfer away the buffer that a value lies in. */
	readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Builds a batch with its arrays in one buffer: two doubles, four integers and a byte per message. */
export function batchOver(length: number, arrays: ArrayBuffer, bytes: ArrayBuffer): PackedBatch {
	return {
		length,
		offsets: new Float64Array(arrays, 0, length),
		timestamps: new Float64Array(arrays, 8 * length, length),
		starts: new Int32Array(arrays, 16 * length, length),
		lengths: new Int32Array(arrays, 20 * length, 3 * length),
		timestampTypes: new Uint8Array(arrays, 32 * length, length),
		bytes: new Uint8Array(bytes),
	};
}

/** Bytes of the arrays per message. */
export const ARRAY_BYTES = 33;
