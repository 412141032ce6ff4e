/**
 * A batch of messages of one partition in one buffer: built once on the main thread, copied to the worker thread in one piece and
 * kept until every message is finished (a retry, a dead letter need the bytes again). No object per message.
 */

/** Messages of one partition in offset order. Arrays have `length` entries; keys, values and headers lie behind each other in `bytes`. */
export interface PackedBatch {
	readonly length: number;
	readonly offsets: Float64Array;
	/** Record timestamps in ms, -1 where there is none. */
	readonly timestamps: Float64Array;
	/** Where each message's bytes start in `bytes`. */
	readonly starts: Int32Array;
	/** Length of key, value and encoded headers; -1 for a null key or value. Three entries per message. */
	readonly lengths: Int32Array;
	readonly bytes: Uint8Array<ArrayBuffer>;
}
