/**
 * Rows whose texts are spans of the run's bytes, or of a second buffer for texts that had to be rewritten. No value becomes a string by
 * itself: all values of a column become one text at once. Knows nothing of JSON. Pure.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import { type Separators, usualSeparators } from "../../../core/rows/joined-texts.ts";
import { laneOf } from "../../../core/rows/rows.ts";
import type { GatheredRows } from "../rows/gathered-rows.ts";
import { ROW_OVERHEAD } from "../rows/row-encoder.ts";

/** Marks a null value: its span's start. */
const NULL = -1;
const [FNV_START, FNV_PRIME] = [0x811c9dc5, 0x01000193];
const FEWEST_ROWS = 256;
const FEWEST_BYTES = 4_096;
/** A buffer larger than this is not kept for the next run. */
const MOST_KEPT_BYTES = 2 ** 21;

/**
 * Gathers rows of one table as spans of bytes. Begin a row, give it its id and values, and add it; a row that is not added is dropped. Its
 * texts contain none of the usual separators.
 */
export class ScannedRows implements GatheredRows {
	/** Separators that the texts are joined with. */
	readonly separators = usualSeparators;
	#length = 0;
	#messages = new Int32Array(FEWEST_ROWS);
	#bytes = new Int32Array(FEWEST_ROWS);
	#deletes = new Uint8Array(FEWEST_ROWS);
	/** FNV-1a hash of each row's id. */
	#hashes = new Int32Array(FEWEST_ROWS);
	/** 1: the id is not ASCII. */
	#wideIds = new Uint8Array(FEWEST_ROWS);
	/** For each row, start and stop of the id and each column. Positions from the end of #source on are in #beside. */
	#spans: Int32Array;
	readonly #width: number;
	/** Whether any row, the row being made, or its id holds more than ASCII. */
	#isWide = false;
	#rowIsWide = false;
	#rowIdIsWide = false;
	#rowBytes = 0;
	#source: Uint8Array = new Uint8Array(0);
	#beside: Buffer = Buffer.allocUnsafe(FEWEST_BYTES);
	#besideLength = 0;
	#rowBeside = 0;
	#joined: Buffer = Buffer.allocUnsafe(FEWEST_BYTES);

	constructor(columns: number) {
		this.#width = 2 * (columns + 1);
		this.#spans = new Int32Array(FEWEST_ROWS * this.#width);
	}

	get length(): number {
		return this.#length;
	}

	get messages(): Int32Array {
		return this.#messages;
	}

	get bytes(): Int32Array {
		return this.#bytes;
	}

	get deletes(): Uint8Array {
		return this.#deletes;
	}

	/** Begins a run: spans refer to these bytes, and there are no rows. */
	begin(source: Uint8Array): void {
		this.#source = source;
		this.clear();
	}

	/** Removes all rows. */
	clear(): void {
		this.#length = 0;
		this.#besideLength = 0;
		this.#isWide = false;
		if (this.#beside.length > MOST_KEPT_BYTES) this.#beside = Buffer.allocUnsafe(FEWEST_BYTES);
		if (this.#joined.length > MOST_KEPT_BYTES) this.#joined = Buffer.allocUnsafe(FEWEST_BYTES);
	}

	/** Begins a row. */
	beginRow(): void {
		if (this.#length === this.#messages.length) this.#grow();
		this.#rowBytes = ROW_OVERHEAD;
		this.#rowIsWide = false;
		this.#rowIdIsWide = false;
		this.#rowBeside = this.#besideLength;
	}

	/** Sets the row's id to bytes `start` to `stop`; `isWide`: not only ASCII. */
	id(start: number, stop: number, isWide: boolean): void {
		this.#rowIdIsWide = isWide;
		this.#span(0, start, stop, isWide);
	}

	/** Sets the row's id to a text that is not in the run's bytes. */
	idText(text: string): void {
		this.#rowIdIsWide = this.#write(0, text);
	}

	/** Sets the row's value in a column. */
	value(column: number, start: number, stop: number, isWide: boolean): void {
		this.#span(column + 1, start, stop, isWide);
	}

	valueText(column: number, text: string): void {
		this.#write(column + 1, text);
	}

	nullValue(column: number): void {
		const at = this.#length * this.#width + 2 * (column + 1);
		this.#spans[at] = NULL;
		this.#rowBytes++;
	}

	/** Approximate bytes of the row that was begun. */
	get rowBytes(): number {
		return this.#rowBytes;
	}

	/** Adds the row, of message `message`. */
	add(message: number, isDelete: boolean): void {
		const row = this.#length++;
		this.#deletes[row] = isDelete ? 1 : 0;
		this.#messages[row] = message;
		this.#bytes[row] = this.#rowBytes;
		this.#wideIds[row] = this.#rowIdIsWide ? 1 : 0;
		this.#isWide ||= this.#rowIsWide;
		this.#rowBeside = this.#besideLength;
		this.#hashes[row] = this.#hashOf(row);
	}

	/** Drops the row that was begun. */
	forget(): void {
		this.#besideLength = this.#rowBeside;
	}

	laneOf(row: number, lanes: number): number {
		if (lanes === 1) return 0;
		if (this.#wideIds[row] === 1) return laneOf(this.joinIds([row]), lanes);
		return ((this.#hashes[row] as number) >>> 0) % lanes;
	}

	numberIds(): { numbers: Int32Array; different: number } {
		let size = FEWEST_ROWS;
		while (size < 2 * this.#length) size *= 2;
		const rows = new Int32Array(size).fill(-1);
		const numbers = new Int32Array(this.#length);
		let different = 0;
		for (let row = 0; row < this.#length; row++) {
			let at = (this.#hashes[row] as number) & (size - 1);
			for (; (rows[at] as number) >= 0; at = (at + 1) & (size - 1)) if (this.#haveOneId(rows[at] as number, row)) break;
			const present = rows[at] as number;
			if (present < 0) rows[at] = row;
			numbers[row] = present < 0 ? different++ : (numbers[present] as number);
		}
		return { numbers, different };
	}

	joinIds(rows: readonly number[], by: Separators = usualSeparators): string {
		return this.#join(0, rows, by);
	}

	joinColumn(column: number, rows: readonly number[], by: Separators): string {
		return this.#join(column + 1, rows, by);
	}

	#span(place: number, start: number, stop: number, isWide: boolean): void {
		const at = this.#length * this.#width + 2 * place;
		this.#spans[at] = start;
		this.#spans[at + 1] = stop;
		this.#rowBytes += isWide ? charactersIn(this.#source, start, stop) : stop - start;
		if (isWide) this.#rowIsWide = true;
	}

	/** Writes the text beside the run's bytes; returns whether it is not ASCII. */
	#write(place: number, text: string): boolean {
		const most = 3 * text.length;
		if (this.#besideLength + most > this.#beside.length) this.#beside = grown(this.#beside, this.#besideLength + most);
		const start = this.#besideLength;
		const length = this.#beside.write(text, start);
		this.#besideLength += length;
		const at = this.#length * this.#width + 2 * place;
		this.#spans[at] = this.#source.length + start;
		this.#spans[at + 1] = this.#source.length + this.#besideLength;
		this.#rowBytes += text.length;
		const isWide = length !== text.length;
		if (isWide) this.#rowIsWide = true;
		return isWide;
	}

	#hashOf(row: number): number {
		const at = row * this.#width;
		const stop = this.#spans[at + 1] as number;
		let hash = FNV_START;
		for (let i = this.#spans[at] as number; i < stop; i++) hash = Math.imul(hash ^ this.#byteAt(i), FNV_PRIME);
		return hash;
	}

	#haveOneId(one: number, other: number): boolean {
		if (this.#hashes[one] !== this.#hashes[other]) return false;
		const [oneAt, otherAt] = [this.#spans[one * this.#width] as number, this.#spans[other * this.#width] as number];
		const length = (this.#spans[one * this.#width + 1] as number) - oneAt;
		if ((this.#spans[other * this.#width + 1] as number) - otherAt !== length) return false;
		for (let i = 0; i < length; i++) if (this.#byteAt(oneAt + i) !== this.#byteAt(otherAt + i)) return false;
		return true;
	}

	#byteAt(at: number): number {
		const { length } = this.#source;
		return (at < length ? this.#source[at] : this.#beside[at - length]) as number;
	}

	#join(place: number, rows: readonly number[], { separator, nullMark }: Separators): string {
		const [between, none] = [separator.charCodeAt(0), nullMark.charCodeAt(0)];
		const source = this.#source;
		const beside = this.#beside;
		const sourceLength = source.length;
		const spans = this.#spans;
		const sourceView = viewOf(source);
		let joined = this.#joined;
		let joinedView = viewOf(joined);
		let length = 0;
		for (let i = 0; i < rows.length; i++) {
			const at = (rows[i] as number) * this.#width + 2 * place;
			let start = spans[at] as number;
			let stop = spans[at + 1] as number;
			if (start === NULL) [start, stop] = [0, 0];
			if (length + stop - start + 2 > joined.length) {
				joined = grown(joined, length + stop - start + 2);
				joinedView = viewOf(joined);
				this.#joined = joined;
			}
			if (i > 0) joined[length++] = between;
			if (spans[at] === NULL) joined[length++] = none;
			else if (start < sourceLength) {
				// Four bytes at a time.
				for (; start <= stop - 4; start += 4, length += 4) joinedView.setInt32(length, sourceView.getInt32(start, true), true);
				while (start < stop) joined[length++] = source[start++] as number;
			} else for (let from = start - sourceLength; from < stop - sourceLength; from++) joined[length++] = beside[from] as number;
		}
		return joined.toString(this.#isWide ? "utf8" : "latin1", 0, length);
	}

	#grow(): void {
		const length = 2 * this.#messages.length;
		const larger = <T extends Int32Array | Uint8Array>(values: T, made: T): T => {
			made.set(values);
			return made;
		};
		this.#messages = larger(this.#messages, new Int32Array(length));
		this.#bytes = larger(this.#bytes, new Int32Array(length));
		this.#hashes = larger(this.#hashes, new Int32Array(length));
		this.#spans = larger(this.#spans, new Int32Array(length * this.#width));
		this.#wideIds = larger(this.#wideIds, new Uint8Array(length));
		this.#deletes = larger(this.#deletes, new Uint8Array(length));
	}
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
	return new DataView(buffer, byteOffset, byteLength);
}

function grown(buffer: Buffer, needed: number): Buffer {
	const larger = Buffer.allocUnsafe(Math.max(needed, 2 * buffer.length));
	buffer.copy(larger);
	return larger;
}

/** The text's length as JavaScript counts it: two for a character of four UTF-8 bytes. */
function charactersIn(bytes: Uint8Array, start: number, stop: number): number {
	let count = 0;
	for (let at = start; at < stop; at++) {
		const byte = bytes[at] as number;
		if ((byte & 0xc0) !== 0x80) count += byte >= 0xf0 ? 2 : 1;
	}
	return count;
}
