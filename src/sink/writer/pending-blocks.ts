/**
 * The blocks that wait in one lane, and the batches made of them. A batch takes blocks whole; of each id only the newest row counts.
 * Superseded rows of other blocks are sent along, marked; superseded rows of the same block, which the thread has set apart, are not
 * sent. All of them are settled with the newest row, so no block has to be split. Pure.
 *
 * Step 7 of a message's way (docs/architecture.md).
 */

import type { TopicPartition } from "../../core/messages/message.ts";
import { splitTexts, usualSeparators } from "../../core/rows/joined-texts.ts";
import { type RowBlock, rowsOf, type TableLayout } from "../../core/rows/rows.ts";
import { type PendingRow, PendingRows, type RowOwner } from "./sql/pending-rows.ts";
import { compareVersions, type RowVersion } from "./sql/row-version.ts";

/** The owner of a block, and the positions of its messages. */
export interface BlockOwner extends TopicPartition, RowOwner {
	readonly batch: { readonly offsets: ArrayLike<number>; readonly timestamps: ArrayLike<number> };
}

/** Rows of a handled batch, and the callbacks for their results: a partition worker's RowSubmission. */
export interface Submission extends BlockOwner {
	readonly blocks: readonly RowBlock[];
}

/** A block and its owner. */
export interface PendingBlock {
	readonly block: RowBlock;
	readonly owner: BlockOwner;
	/** Bytes of all rows, and of those to be sent. */
	readonly bytes: number;
	readonly sentBytes: number;
	/** Monotonic time at which it arrived. */
	readonly since: number;
}

/** A block of a batch. `superseded[row]` is 1 if the same batch has a newer row of its id; null if no row is superseded. */
export interface BatchBlock extends PendingBlock {
	superseded: Uint8Array | null;
}

/** Minimum blocks and bytes before blocks of released owners are looked for. */
const FEW = 64;
const LITTLE = 16 * 1024 * 1024;

/**
 * Maximum bytes of a batch including rows that are not sent, as a multiple of `maxBytes`: if the batch can't be written, all its rows are
 * unpacked.
 */
const MOST_SUPERSEDED = 8;

/** The blocks that wait in one lane, and the batches cut from them. */
export class PendingBlocks {
	#blocks: PendingBlock[] = [];
	#rows = 0;
	#bytes = 0;
	/** The part of the rows and bytes that would be sent. */
	#toSend = { rows: 0, bytes: 0 };
	/** Blocks and bytes at which those of released owners are looked for: twice what was left the last time. */
	#lookAt = { blocks: FEW, bytes: LITTLE };

	/** All rows, including superseded ones. */
	get rows(): number {
		return this.#rows;
	}

	get bytes(): number {
		return this.#bytes;
	}

	/** Monotonic time at which the oldest block arrived; null if there is none. */
	get since(): number | null {
		return this.#blocks[0]?.since ?? null;
	}

	/** Rows that would be sent, as far as their blocks know, and their bytes. */
	get toSend(): { readonly rows: number; readonly bytes: number } {
		return this.#toSend;
	}

	/** Adds a block; `now`: monotonic time. */
	add(block: RowBlock, owner: BlockOwner, now: number): void {
		if (block.length === 0) return;
		let bytes = 0;
		let sentBytes = 0;
		for (let row = 0; row < block.bytes.length; row++) {
			bytes += block.bytes[row] as number;
			if (row < block.length) sentBytes = bytes;
		}
		const pending = { block, owner, bytes, sentBytes, since: now };
		this.#blocks.push(pending);
		this.#count(pending, 1);
		if (this.#blocks.length >= this.#lookAt.blocks || this.#bytes >= this.#lookAt.bytes) this.#dropReleased();
	}

	/** Takes the oldest blocks, with at most `maxRows` ids and about `maxBytes` to send, but at least one; null if there is none. */
	take(maxRows: number, maxBytes: number, layout: TableLayout): RowBatch | null {
		if (this.#blocks.length === 0) return null;
		const batch = new RowBatch(layout);
		let taken = 0;
		for (const pending of this.#blocks) {
			const isFull = batch.rows + pending.block.length > maxRows || batch.bytes + pending.sentBytes > maxBytes;
			const isHeavy = batch.allBytes + pending.bytes > MOST_SUPERSEDED * maxBytes;
			if (taken > 0 && (isFull || isHeavy)) break;
			batch.add(pending);
			this.#count(pending, -1);
			taken++;
		}
		this.#blocks.splice(0, taken);
		const { blocks, bytes } = this.#lookAt;
		this.#lookNext(Math.min(blocks, 2 * this.#blocks.length), Math.min(bytes, 2 * this.#bytes));
		return batch;
	}

	/**
	 * True while a block of this partition waits that its owner waits for. `cameBy` (monotonic time): only blocks that had arrived by then.
	 */
	holds(partition: TopicPartition, cameBy = Number.POSITIVE_INFINITY): boolean {
		return this.#blocks.some(({ owner, since }) => since <= cameBy && isOf(owner, partition));
	}

	/** Drops blocks of released owners: while the database is away, every new assignment brings the same rows again. */
	#dropReleased(): void {
		this.#blocks = this.#blocks.filter((pending) => {
			if (!pending.owner.released) return true;
			this.#count(pending, -1);
			return false;
		});
		this.#lookNext(2 * this.#blocks.length, 2 * this.#bytes);
	}

	#count({ block, bytes, sentBytes }: PendingBlock, sign: 1 | -1): void {
		this.#rows += sign * block.messages.length;
		this.#bytes += sign * bytes;
		this.#toSend = { rows: this.#toSend.rows + sign * block.length, bytes: this.#toSend.bytes + sign * sentBytes };
	}

	#lookNext(blocks: number, bytes: number): void {
		this.#lookAt = { blocks: Math.max(FEW, blocks), bytes: Math.max(LITTLE, bytes) };
	}
}

/** The rows of one statement, if they can be written together. */
export class RowBatch {
	readonly blocks: BatchBlock[] = [];
	readonly #layout: TableLayout;
	/** The newest row so far of each id, as a number over all blocks. */
	readonly #newest = new Map<string, number>();
	/** For each block: the number of its first row, and the version field's texts if the layout has one. */
	readonly #starts: number[] = [];
	readonly #fields: (readonly (string | null)[] | null)[] = [];
	readonly #field: number;
	#bytes = 0;
	#allBytes = 0;
	#sent = 0;
	#all = 0;

	constructor(layout: TableLayout) {
		this.#layout = layout;
		this.#field = versionField(layout);
	}

	/** Rows to be written: one per id. */
	get rows(): number {
		return this.#newest.size;
	}

	/** Superseded rows, in their own block or by another block. */
	get coalesced(): number {
		return this.#all - this.#newest.size;
	}

	/** Bytes of the rows to be sent. */
	get bytes(): number {
		return this.#bytes;
	}

	get allBytes(): number {
		return this.#allBytes;
	}

	/** All rows, including superseded ones. */
	get allRows(): number {
		return this.#all;
	}

	/** Monotonic time at which the oldest of its rows arrived. */
	get since(): number {
		return (this.blocks[0] as BatchBlock).since;
	}

	/** True if it has a row of one of these ids. */
	hasAny(ids: Iterable<string>): boolean {
		for (const id of ids) if (this.#newest.has(id)) return true;
		return false;
	}

	/** True if a row to be sent is a delete. */
	get hasDeletes(): boolean {
		return this.blocks.some(({ block: { deletes, length } }) => deletes.subarray(0, length).includes(1));
	}

	/** False if some value contains a usual separator: such rows go one by one, in a statement of their own making. */
	get isUsual(): boolean {
		return this.blocks.every(({ block }) => block.separators.separator === usualSeparators.separator);
	}

	add(pending: PendingBlock): void {
		const { block } = pending;
		const first = this.#sent;
		this.blocks.push({ ...pending, superseded: null });
		this.#starts.push(first);
		this.#fields.push(this.#field < 0 ? null : splitTexts(block.columns[this.#field] as string, block.length, block.separators));
		this.#bytes += pending.sentBytes;
		this.#allBytes += pending.bytes;
		this.#sent += block.length;
		this.#all += block.messages.length;
		const ids = splitTexts(block.ids, block.length, block.separators) as string[];
		for (let row = 0; row < ids.length; row++) this.#place(ids[row] as string, first + row);
	}

	/** True while it holds rows of this partition that their owner waits for. */
	holds(partition: TopicPartition, cameBy = Number.POSITIVE_INFINITY): boolean {
		return this.blocks.some(({ owner, since }) => since <= cameBy && isOf(owner, partition));
	}

	/** Its rows one by one, for a batch that can't be written as a whole. */
	toPendingRows(): PendingRows {
		const pending = new PendingRows(this.#layout);
		let order = 0;
		for (const { block, owner } of this.blocks) {
			for (const row of pendingRowsOf(block, owner, this.#layout, order)) pending.add(row);
			order += block.messages.length;
		}
		return pending;
	}

	/** Notes a row; of equal versions (several rows of one id in one message) the last counts. */
	#place(id: string, row: number): void {
		const present = this.#newest.get(id);
		if (present === undefined) {
			this.#newest.set(id, row);
			return;
		}
		const isNewer = compareVersions(this.#versionOf(row), this.#versionOf(present), this.#layout.version) >= 0;
		if (isNewer) this.#newest.set(id, row);
		this.#supersede(isNewer ? present : row);
	}

	#supersede(row: number): void {
		const index = this.#blockOf(row);
		const batch = this.blocks[index] as BatchBlock;
		batch.superseded ??= new Uint8Array(batch.block.length);
		batch.superseded[row - (this.#starts[index] as number)] = 1;
	}

	#versionOf(row: number): RowVersion {
		const index = this.#blockOf(row);
		const { block, owner } = this.blocks[index] as BatchBlock;
		const at = row - (this.#starts[index] as number);
		const message = block.messages[at] as number;
		return {
			field: this.#fields[index]?.[at] ?? null,
			timestamp: Math.max(0, owner.batch.timestamps[message] as number),
			offset: owner.batch.offsets[message] as number,
			partition: owner.partition,
			topic: owner.topic,
		};
	}

	#blockOf(row: number): number {
		let low = 0;
		let high = this.#starts.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if ((this.#starts[middle] as number) <= row) low = middle;
			else high = middle - 1;
		}
		return low;
	}
}

/** A block's rows in the order of their messages; overlapping calls do not keep that order. */
export function* pendingRowsOf(block: RowBlock, owner: BlockOwner, layout: TableLayout, firstOrder: number): Generator<PendingRow> {
	const field = versionField(layout);
	let order = firstOrder;
	for (const row of rowsOf(block).sort((left, right) => left.message - right.message)) {
		yield {
			...row,
			timestamp: Math.max(0, owner.batch.timestamps[row.message] as number),
			offset: owner.batch.offsets[row.message] as number,
			partition: owner.partition,
			topic: owner.topic,
			field: field < 0 ? null : (row.values[field] ?? null),
			owner,
			order: order++,
			superseded: null,
		};
	}
}

/** Index of the data column that is the version; -1 if none is. */
function versionField({ version, columns }: TableLayout): number {
	return version.kind === "field" ? columns.findIndex(({ name }) => name === version.column) : -1;
}

function isOf(owner: BlockOwner, { topic, partition }: TopicPartition): boolean {
	return owner.partition === partition && owner.topic === topic && !owner.released;
}
