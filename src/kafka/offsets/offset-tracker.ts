/**
 * Decides which offset of a partition may be committed: pure bookkeeping of received and finished messages. Only received offsets count, so
 * gaps of compacted and transactional topics don't block (broadway_kafka's acknowledger works the same way). Knows nothing of Kafka, epochs
 * or time; offset-ledger.ts adds the epochs.
 *
 * Step 9 of a message's way (docs/architecture.md).
 */

const INITIAL_CAPACITY = 1024;

/** Offsets of one partition in one assignment, in the order received: a ring buffer that grows with the number of unfinished messages. */
export class OffsetTracker {
	#offsets = new Float64Array(INITIAL_CAPACITY);
	#finished = new Uint8Array(INITIAL_CAPACITY);
	#head = 0;
	#count = 0;
	#position: number;

	/** `startOffset`: the first offset that may come; committable until something was received. */
	constructor(startOffset: number) {
		this.#position = startOffset;
	}

	/** The next offset expected: one past the last received, or the end of the partition. */
	get position(): number {
		return this.#position;
	}

	/** Messages received and not yet committable. */
	get unfinished(): number {
		return this.#count;
	}

	/** The first unfinished offset, or the position if all is finished: where a successor should start. */
	get committable(): number {
		return this.#count === 0 ? this.#position : (this.#offsets[this.#head] as number);
	}

	/** Notes received offsets; they must ascend and be at or past the position. */
	received(offsets: ArrayLike<number>): void {
		this.#reserve(offsets.length);
		const mask = this.#offsets.length - 1;
		let tail = (this.#head + this.#count) & mask;
		for (let i = 0; i < offsets.length; i++) {
			this.#offsets[tail] = offsets[i] as number;
			this.#finished[tail] = 0;
			tail = (tail + 1) & mask;
		}
		this.#count += offsets.length;
		if (offsets.length > 0) this.#position = (offsets[offsets.length - 1] as number) + 1;
	}

	/** Notes the partition's end: `offset` is the next one that will be written; everything before was received or is a gap. */
	endOfPartition(offset: number): void {
		if (offset > this.#position) this.#position = offset;
	}

	/** Marks one offset as finished; unknown or already finished ones change nothing. Returns whether it was unfinished. */
	finished(offset: number): boolean {
		const index = this.#find(offset);
		if (index < 0 || this.#finished[index] === 1) return false;
		this.#finished[index] = 1;
		const mask = this.#offsets.length - 1;
		while (this.#count > 0 && this.#finished[this.#head] === 1) {
			this.#head = (this.#head + 1) & mask;
			this.#count--;
		}
		return true;
	}

	#find(offset: number): number {
		const mask = this.#offsets.length - 1;
		let low = 0;
		let high = this.#count - 1;
		while (low <= high) {
			const middle = (low + high) >>> 1;
			const index = (this.#head + middle) & mask;
			const found = this.#offsets[index] as number;
			if (found === offset) return index;
			if (found < offset) low = middle + 1;
			else high = middle - 1;
		}
		return -1;
	}

	#reserve(more: number): void {
		const needed = this.#count + more;
		const capacity = this.#offsets.length;
		if (needed <= capacity) return;
		let grown = capacity;
		while (grown < needed) grown *= 2;
		const offsets = new Float64Array(grown);
		const finished = new Uint8Array(grown);
		for (let i = 0; i < this.#count; i++) {
			const index = (this.#head + i) & (capacity - 1);
			offsets[i] = this.#offsets[index] as number;
			finished[i] = this.#finished[index] as number;
		}
		this.#offsets = offsets;
		this.#finished = finished;
		this.#head = 0;
	}
}
