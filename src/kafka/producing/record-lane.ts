/**
 * The records of one topic, in order, from the handler's answer until the broker has them. Each is pending, handed to the client, or done.
 * When a client gives up, the records it had are pending again and go first. Pure bookkeeping.
 */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import { type RecordBlock, sizeOfRecord } from "../../core/messages/records.ts";
import type { RowFault } from "../../core/rows/rows.ts";

/** A partition worker's submission: where records come from, and who is told what became of them. */
export interface RecordSource extends TopicPartition {
	readonly batch: PackedBatch;
	/** Monotonic. */
	readonly receivedAtMs: number;
	/** The partition was revoked or lost: nobody waits for its records any more. */
	readonly released: boolean;
	/** The broker has a record of each of these messages (indexes in the batch); a message with two records may come twice. */
	settledAll(messages: ArrayLike<number>): void;
	/** The broker never takes a record of this message. */
	refused(message: number, fault: RowFault): void;
}

const PENDING = 0;
const HANDED = 1;
const DONE = 2;

/** A block of records in a lane. Record `i` has the number `first + i`. */
export interface Parcel {
	readonly source: RecordSource;
	readonly block: RecordBlock;
	readonly first: number;
	/** PENDING, HANDED or DONE, for each record. */
	readonly state: Uint8Array;
	/** Records that are not done. */
	left: number;
	/** When it came in, or when a record of it was last done; monotonic. The lane's listener sets it. */
	movedAtMs: number;
}

/** Consecutive records of a parcel: `from` up to `to`, without `to`. */
export interface Part {
	readonly parcel: Parcel;
	readonly from: number;
	readonly to: number;
}

/** About how many bytes the lists of a parcel take, per record. */
const LIST_BYTES = 40;
/** The lists are compacted when at least so many parcels are gone, and they are half of all. */
const COMPACT_FROM = 1_024;

/** The records of one topic, in order. */
export class RecordLane {
	/** Called when a parcel comes in, or less of it is left. `isFirst`: it is the oldest parcel, or was until now. */
	readonly #moved: (parcel: Parcel, isFirst: boolean) => void;
	#parcels: (Parcel | null)[] = [];
	/** How many entries of `#parcels` are gone (null), including those after a parcel that is still there. */
	#gone = 0;
	/** `first` of each entry of `#parcels`, also of those that are gone. */
	#firsts: number[] = [];
	/** Every parcel before this index is gone. */
	#head = 0;
	/** No parcel before this index has a pending record. */
	#cursor = 0;
	/** Records that the client has. */
	handed = 0;
	handedBytes = 0;
	/** Bytes of all parcels that are not done. */
	bytes = 0;

	constructor(moved: (parcel: Parcel, isFirst: boolean) => void = () => {}) {
		this.#moved = moved;
	}

	/** Returns the bytes that the parcel takes until it is done. `first`: number of its first record, above all earlier numbers. */
	push(source: RecordSource, block: RecordBlock, first: number): number {
		const parcel = { source, block, first, state: new Uint8Array(block.length), left: block.length, movedAtMs: 0 };
		this.#parcels.push(parcel);
		this.#firsts.push(parcel.first);
		const bytes = bytesOf(parcel);
		this.#moved(parcel, this.bytes === 0);
		this.bytes += bytes;
		return bytes;
	}

	get isEmpty(): boolean {
		return this.bytes === 0;
	}

	/** Parcels that are not done, in order. */
	*parcels(): Generator<Parcel> {
		for (let at = this.#head; at < this.#parcels.length; at++) {
			const parcel = this.#parcels[at];
			if (parcel) yield parcel;
		}
	}

	/** Hands out the next pending records of one parcel; null if none is pending. At least one, even if it is larger than `mostBytes`. */
	take(most: number, mostBytes: number): Part | null {
		const first = this.first();
		if (!first) return null;
		const { parcel, from } = first;
		let to = from;
		for (let bytes = 0; to < parcel.block.length && to - from < most && bytes < mostBytes && parcel.state[to] === PENDING; to++) {
			const size = sizeOfRecord(parcel.block, to);
			bytes += size;
			this.handedBytes += size;
			parcel.state[to] = HANDED;
		}
		this.handed += to - from;
		return { parcel, from, to };
	}

	/** The first pending record; null if none is pending. */
	first(): Part | null {
		for (; this.#cursor < this.#parcels.length; this.#cursor++) {
			const parcel = this.#parcels[this.#cursor];
			const from = parcel ? parcel.state.indexOf(PENDING) : -1;
			if (parcel && from >= 0) return { parcel, from, to: from + 1 };
		}
		return null;
	}

	/** These are pending again: the client did not take them, or no longer has them. */
	giveBack({ parcel, from, to }: Part): void {
		for (let index = from; index < to; index++) if (this.#leave(parcel, index)) parcel.state[index] = PENDING;
		this.#cursor = Math.min(this.#cursor, this.#placeOf(parcel.first));
	}

	/** All records of the client are pending again: it is closed. Returns how many it had. */
	giveBackAll(): number {
		const { handed } = this;
		if (handed > 0) for (const parcel of this.parcels()) this.giveBack({ parcel, from: 0, to: parcel.block.length });
		return handed;
	}

	/** The record with this number; null if its parcel is gone. */
	find(number: number): Part | null {
		const parcel = this.#parcels[this.#placeOf(number)];
		// If the parcel was compacted away, the place is a neighbour's.
		if (!parcel || number < parcel.first || number >= parcel.first + parcel.block.length) return null;
		const from = number - parcel.first;
		return { parcel, from, to: from + 1 };
	}

	/** The record is done. Returns the bytes that this frees: none before the parcel's last record, then the whole parcel's. */
	done(parcel: Parcel, index: number): number {
		if (!this.#has(parcel)) return 0;
		this.#leave(parcel, index);
		if (parcel.state[index] === DONE) return 0;
		parcel.state[index] = DONE;
		parcel.left--;
		this.#moved(parcel, this.#parcels[this.#head] === parcel);
		return parcel.left === 0 ? this.#remove(parcel) : 0;
	}

	/** Forgets a parcel that nobody waits for; returns the bytes that this frees. The client may still send what it has of it. */
	drop(parcel: Parcel): number {
		if (!this.#has(parcel)) return 0;
		for (let index = 0; index < parcel.block.length; index++) this.#leave(parcel, index);
		return this.#remove(parcel);
	}

	/** False if the parcel was dropped while somebody still worked on it: its bytes are free already. */
	#has(parcel: Parcel): boolean {
		return this.#parcels[this.#placeOf(parcel.first)] === parcel;
	}

	/** Takes the record from what the client has; false if the client did not have it. */
	#leave(parcel: Parcel, index: number): boolean {
		if (parcel.state[index] !== HANDED) return false;
		this.handed--;
		this.handedBytes -= sizeOfRecord(parcel.block, index);
		return true;
	}

	#remove(parcel: Parcel): number {
		const bytes = bytesOf(parcel);
		this.bytes -= bytes;
		if (this.#parcels[this.#head] === parcel) this.#moved(parcel, true);
		this.#parcels[this.#placeOf(parcel.first)] = null;
		this.#gone++;
		while (this.#head < this.#parcels.length && this.#parcels[this.#head] === null) this.#head++;
		this.#cursor = Math.max(this.#cursor, this.#head);
		if (this.#gone >= COMPACT_FROM && 2 * this.#gone >= this.#parcels.length) this.#compact();
		return bytes;
	}

	#compact(): void {
		let before = 0;
		for (let at = 0; at < this.#cursor; at++) if (this.#parcels[at]) before++;
		this.#parcels = this.#parcels.filter((parcel) => parcel !== null);
		this.#firsts = this.#parcels.map((parcel) => (parcel as Parcel).first);
		this.#cursor = before;
		this.#head = 0;
		this.#gone = 0;
	}

	/** Entries of the lists, gone ones too. For tests. */
	get length(): number {
		return this.#parcels.length;
	}

	/** Index of the parcel with this record number, or of where it was. */
	#placeOf(number: number): number {
		let [low, high] = [0, this.#firsts.length - 1];
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if ((this.#firsts[middle] as number) <= number) low = middle;
			else high = middle - 1;
		}
		return low;
	}
}

function bytesOf({ block }: Parcel): number {
	return block.bytes.length + LIST_BYTES * block.length;
}
