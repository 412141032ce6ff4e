/**
 * Offsets of a partition that the log does not have, added in ascending order. There is one after each transaction, and a compacted log has
 * many. Short gaps take one bit per offset, in pages; long gaps a pair of numbers. If that takes too much memory, a whole page counts as a
 * gap: its rows are then reported as unchecked, which is never wrong.
 */

const PAGE_OFFSETS = 2 ** 14;
const PAGE_BYTES = PAGE_OFFSETS / 8;

/** Memory that the pages of all partitions may take together. Not shared between threads. */
export class GapMemory {
	#left: number;

	/** `bytes`: default 256 MiB, enough for two billion offsets near gaps. */
	constructor(bytes = 256 * 1024 * 1024) {
		this.#left = bytes;
	}

	/** A page, or null if there is no memory left for one. */
	page(): Uint8Array | null {
		if (this.#left < PAGE_BYTES) return null;
		this.#left -= PAGE_BYTES;
		return new Uint8Array(PAGE_BYTES);
	}
}

/** The data of gaps. Pages by number. */
export interface KeptGaps {
	readonly count: number;
	readonly ranges: readonly number[];
	readonly pages: ReadonlyMap<number, Uint8Array>;
}

/** The gaps of one partition's offsets, in bounded memory. */
export class OffsetGaps {
	readonly #memory: GapMemory;
	readonly #pages = new Map<number, Uint8Array>();
	/** Long gaps and pages without memory, ascending and apart: [from, to, from, to, …]. At most two numbers per page of the log. */
	readonly #ranges: number[] = [];
	#count = 0;

	constructor(memory: GapMemory) {
		this.#memory = memory;
	}

	/** How many offsets were noted. */
	get count(): number {
		return this.#count;
	}

	/** Notes offsets `from` (included) to `to` (excluded); they must be after all noted before. */
	add(from: number, to: number): void {
		this.#count += to - from;
		if (to - from >= PAGE_OFFSETS) this.#addRange(from, to);
		else for (let offset = from; offset < to; offset++) this.#addOffset(offset);
	}

	/** Whether the offset was noted, or may have been. */
	has(offset: number): boolean {
		const page = this.#pages.get(Math.floor(offset / PAGE_OFFSETS));
		const bit = offset % PAGE_OFFSETS;
		return (page !== undefined && ((page[bit >>> 3] as number) & (1 << (bit & 7))) !== 0) || isInRange(this.#ranges, offset);
	}

	/** All data, to be saved and given to `restore`. */
	get kept(): KeptGaps {
		return { count: this.#count, ranges: this.#ranges, pages: this.#pages };
	}

	/** Restores saved data into an empty one. */
	restore({ count, ranges, pages }: KeptGaps): void {
		this.#count = count;
		const starts = ranges.filter((_, index) => index % 2 === 0);
		const all = starts.map((from, index) => [from, ranges[2 * index + 1] as number] as const);
		for (const [number, bits] of pages) {
			const page = this.#memory.page();
			page?.set(bits);
			if (page) this.#pages.set(number, page);
			else all.push([number * PAGE_OFFSETS, (number + 1) * PAGE_OFFSETS]);
		}
		// A page without memory may lie before a long gap.
		all.sort(([left], [right]) => left - right);
		for (const [from, to] of all) this.#addRange(from, to);
	}

	#addOffset(offset: number): void {
		if (offset < (this.#ranges.at(-1) ?? 0)) return;
		const number = Math.floor(offset / PAGE_OFFSETS);
		const page = this.#pages.get(number) ?? this.#memory.page();
		if (!page) {
			this.#addRange(number * PAGE_OFFSETS, (number + 1) * PAGE_OFFSETS);
			return;
		}
		this.#pages.set(number, page);
		const bit = offset % PAGE_OFFSETS;
		page[bit >>> 3] = (page[bit >>> 3] as number) | (1 << (bit & 7));
	}

	#addRange(from: number, to: number): void {
		const end = this.#ranges.at(-1);
		if (end !== undefined && from <= end) this.#ranges[this.#ranges.length - 1] = Math.max(end, to);
		else this.#ranges.push(from, to);
	}
}

function isInRange(ranges: readonly number[], offset: number): boolean {
	let [low, high] = [0, ranges.length / 2 - 1];
	while (low <= high) {
		const middle = (low + high) >>> 1;
		if (offset < (ranges[2 * middle] as number)) high = middle - 1;
		else if (offset >= (ranges[2 * middle + 1] as number)) low = middle + 1;
		else return true;
	}
	return false;
}
