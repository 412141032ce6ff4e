/**
 * The records for one topic, from when a handler gave them until the broker has them: in their order, each pending, handed to the client,
 * or done. What a client had when it gave up is pending again, and goes first. Pure bookkeeping.
 */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import { type RecordBlock, sizeOfRecord } from "../../core/messages/records.ts";
import type { RowFault } from "../../core/rows/rows.ts";

/** Where records come from, and the way back for their fate: a partition worker's submission. */
export interface RecordSource extends TopicPartition {
	readonly batch: PackedBatch;
	readonly receivedAtMs: number;
	readonly released: boolean;
	settledAll(messages: ArrayLike<number>): void;
	refused(message: number, fault: RowFault): void;
}

const PENDING = 0;
const HANDED = 1;
const DONE = 2;

/** A block of records on its way. Record `i` has the number `first + i`. */
export interface Parcel {
	readonly source: RecordSource;
	readonly block: RecordBlock;
	readonly first: number;
	readonly state: Uint8Array;
	/** Records that are not done. */
	left: number;
	/** When it was given, or the last of its records was done. For whoever is told that it moved. */
	movedAtMs: number;
}

/** Some consecutive records of a parcel; `to` is excluded. */
export interface Part {
	readonly parcel: Parcel;
	readonly from: number;
	readonly to: number;
}

/** What a parcel takes beside its bytes: its lists. */
const LIST_BYTES = 40;
const COMPACT_FROM = 1_024;

/** The records of one topic, in their order. */
export class RecordLane {
	/** Told where a parcel is given, or less is left of it; `isFirst`: of the first one that is not done, or another is that now. */
	readonly #moved: (parcel: Parcel, isFirst: boolean) => void;
	#parcels: (Parcel | null)[] = [];
	/** Of these, the parcels that are gone: also behind one that stays. */
	#gone = 0;
	/** Numbers of the parcels' first records, also of those that are gone. */
	#firsts: number[] = [];
	/** Everything before is done. */
	#head = 0;
	/** Everything before is handed or done. */
	#cursor = 0;
	/** Records that the client has. */
	handed = 0;
	handedBytes = 0;
	/** Of all that is not done. */
	bytes = 0;

	constructor(moved: (parcel: Parcel, isFirst: boolean) => void = () => {}) {
		this.#moved = moved;
	}

	/** Returns the bytes that it takes until it is done. `first`: its first record's number, above all that came before. */
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

	/** The next pending records, at most so many, which the client has from now on; null where none is pending. */
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

	/** The first pending record; null where none is. */
	first(): Part | null {
		for (; this.#cursor < this.#parcels.length; this.#cursor++) {
			const parcel = this.#parcels[this.#cursor];
			const from = parcel ? parcel.state.indexOf(PENDING) : -1;
			if (parcel && from >= 0) return { parcel, from, to: from + 1 };
		}
		return null;
	}

	/** The client did not take these, or has them no more. */
	giveBack({ parcel, from, to }: Part): void {
		for (let index = from; index < to; index++) if (this.#leave(parcel, index)) parcel.state[index] = PENDING;
		this.#cursor = Math.min(this.#cursor, this.#placeOf(parcel.first));
	}

	/** The client has none any more; returns how many it had. */
	giveBackAll(): number {
		const { handed } = this;
		if (handed > 0) for (const parcel of this.parcels()) this.giveBack({ parcel, from: 0, to: parcel.block.length });
		return handed;
	}

	/** The record of this number; null where its parcel is gone. */
	find(number: number): Part | null {
		const parcel = this.#parcels[this.#placeOf(number)];
		// Of a parcel that is gone from the list, too, the place found is a neighbour's.
		if (!parcel || number < parcel.first || number >= parcel.first + parcel.block.length) return null;
		const from = number - parcel.first;
		return { parcel, from, to: from + 1 };
	}

	/** The record is done; returns the bytes that are free by that: of a whole parcel, with its last. */
	done(parcel: Parcel, index: number): number {
		if (!this.#has(parcel)) return 0;
		this.#leave(parcel, index);
		if (parcel.state[index] === DONE) return 0;
		parcel.state[index] = DONE;
		parcel.left--;
		this.#moved(parcel, this.#parcels[this.#head] === parcel);
		return parcel.left === 0 ? this.#remove(parcel) : 0;
	}

	/** Nobody waits for it any more; returns the bytes that are free by that. What the client has of it goes on, and is not looked for. */
	drop(parcel: Parcel): number {
		if (!this.#has(parcel)) return 0;
		for (let index = 0; index < parcel.block.length; index++) this.#leave(parcel, index);
		return this.#remove(parcel);
	}

	/** False of one that was dropped while somebody still had it in hand: its bytes are free already. */
	#has(parcel: Parcel): boolean {
		return this.#parcels[this.#placeOf(parcel.first)] === parcel;
	}

	/** True where the client had it. */
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

	/** Parcels that the lists have, also those that are gone. */
	get length(): number {
		return this.#parcels.length;
	}

	/** Where the parcel of this record's number is, or was. */
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
