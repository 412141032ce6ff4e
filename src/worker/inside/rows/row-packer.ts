/**
 * The rows of a run as blocks: parted by lane, of each id the newest apart from those it stands for, each column one text. Pure.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import type { Separators } from "../../../core/rows/joined-texts.ts";
import type { RowBlock, RowTexts, TableLayout } from "../../../core/rows/rows.ts";
import { codeAt, latin1Of } from "../built-ins.ts";
import type { GatheredRows } from "./gathered-rows.ts";

/** Where the messages of a run lie: message `from` is the first entry. */
export interface RunPositions {
	readonly from: number;
	readonly offsets: ArrayLike<number>;
	/** ms, -1 where there is none. */
	readonly timestamps: ArrayLike<number>;
}

/** Below one superseded row in so many it isn't worth the look. */
const WORTH = 16;
/** Runs after a look that found little, until the next. */
const RUNS_BETWEEN_LOOKS = 16;

/** Packs the rows of run after run of one table. */
export class RowPacker {
	readonly #layout: TableLayout;
	readonly #lanes: number;
	/** Runs that are packed without a look for superseded rows. */
	#runsToPass = 0;

	/** `lanes`: how many the writer has. */
	constructor(layout: TableLayout, lanes: number) {
		this.#layout = layout;
		this.#lanes = lanes;
	}

	/** One block per lane that has rows. */
	pack(rows: GatheredRows, positions: RunPositions, separators: Separators): RowBlock[] {
		const isSuperseded = this.#supersededRows(rows, positions);
		const lanes = Array.from({ length: this.#lanes }, () => ({ sent: [] as number[], superseded: [] as number[] }));
		for (let row = 0; row < rows.length; row++) {
			const lane = lanes[rows.laneOf(row, this.#lanes)];
			lane?.[isSuperseded?.[row] === 1 ? "superseded" : "sent"].push(row);
		}
		return [...lanes.entries()]
			.filter(([, { sent }]) => sent.length > 0)
			.map(([lane, { sent, superseded }]) => {
				const both = superseded.length === 0 ? sent : [...sent, ...superseded];
				return {
					table: this.#layout.name,
					length: sent.length,
					lane,
					messages: numbersOf(new Int32Array(both.length), rows.messages, both),
					deletes: numbersOf(new Uint8Array(both.length), rows.deletes, both),
					bytes: numbersOf(new Int32Array(both.length), rows.bytes, both),
					separators,
					...this.#textsOf(rows, sent, positions, separators),
					superseded: superseded.length === 0 ? null : this.#textsOf(rows, superseded, positions, separators),
				};
			});
	}

	/**
	 * 1 by row where a newer one of its id is in the run; null where none was found or looked for. Versions are compared by what all rows of a
	 * run differ in: timestamp and offset. Whoever writes compares again, across runs; a version field is compared only there.
	 */
	#supersededRows(rows: GatheredRows, { from, offsets, timestamps }: RunPositions): Uint8Array | null {
		const { kind } = this.#layout.version;
		if (kind === "field" || this.#runsToPass-- > 0) return null;
		const { numbers, different } = rows.numberIds();
		const found = rows.length - different;
		this.#runsToPass = found * WORTH < rows.length ? RUNS_BETWEEN_LOOKS : 0;
		if (found === 0) return null;
		const placeOf = (row: number) => (rows.messages[row] as number) - from;
		const timeOf = (row: number) => (kind === "offset" ? 0 : atLeastZero(timestamps[placeOf(row)] as number));
		const offsetOf = (row: number) => offsets[placeOf(row)] as number;
		const newest = new Int32Array(different).fill(-1);
		const isSuperseded = new Uint8Array(rows.length);
		for (let row = 0; row < rows.length; row++) {
			const id = numbers[row] as number;
			const present = newest[id] as number;
			if (present < 0) {
				newest[id] = row;
				continue;
			}
			// Calls that overlap end in any order; of one message's rows the later counts.
			const later = timeOf(row) - timeOf(present) || offsetOf(row) - offsetOf(present);
			isSuperseded[later >= 0 ? present : row] = 1;
			if (later >= 0) newest[id] = row;
		}
		return isSuperseded;
	}

	#textsOf(rows: GatheredRows, those: readonly number[], { from, offsets, timestamps }: RunPositions, by: Separators): RowTexts {
		const positions = (values: ArrayLike<number>) => joinPositions(rows.messages, those, values, from, by.separator);
		return {
			ids: rows.joinIds(those, by),
			columns: this.#layout.columns.map((_, column) => rows.joinColumn(column, those, by)),
			timestamps: positions(timestamps),
			offsets: positions(offsets),
		};
	}
}

function atLeastZero(value: number): number {
	return value < 0 ? 0 : value;
}

function numbersOf<T extends Int32Array | Uint8Array>(into: T, values: ArrayLike<number>, rows: readonly number[]): T {
	for (let i = 0; i < rows.length; i++) into[i] = values[rows[i] as number] as number;
	return into;
}

/** Numbers, at least 0, as one text. Neighbours often have the same timestamp, which is copied. */
function joinPositions(
	messages: ArrayLike<number>,
	rows: readonly number[],
	values: ArrayLike<number>,
	from: number,
	separator: string,
): string {
	const most = (MOST_DIGITS + separator.length) * rows.length;
	if (digits.length < most) digits = Buffer.allocUnsafe(2 * most);
	const between: number[] = [];
	for (let j = 0; j < separator.length; j++) between[j] = codeAt(separator, j);
	let at = 0;
	let last = -1;
	let lastAt = 0;
	for (let i = 0; i < rows.length; i++) {
		if (i > 0) for (let j = 0; j < separator.length; j++) digits[at++] = between[j] as number;
		const value = atLeastZero(values[(messages[rows[i] as number] as number) - from] as number);
		const start = at;
		if (value === last) for (let j = lastAt; j < start - separator.length; j++) digits[at++] = digits[j] as number;
		else at = writeDigits(value, at);
		last = value;
		lastAt = start;
	}
	return latin1Of(digits, at);
}

/** As many as an integer of JavaScript's has. */
const MOST_DIGITS = 16;
const PART = 1e9;
const PART_DIGITS = 9;
let digits = Buffer.allocUnsafe(MOST_DIGITS * 256);

/** Writes an integer's digits from `at` on; where they end. Some five times as fast as a text of each number. */
function writeDigits(value: number, at: number): number {
	if (value < PART) return writePart(value, at, widthOf(value));
	const low = value % PART;
	return writePart(low, writeDigits((value - low) / PART, at), PART_DIGITS);
}

function writePart(value: number, at: number, width: number): number {
	let left = value | 0;
	for (let i = at + width - 1; i >= at; i--) {
		const rest = (left / 10) | 0;
		digits[i] = 0x30 + left - 10 * rest;
		left = rest;
	}
	return at + width;
}

function widthOf(value: number): number {
	let width = 1;
	for (let limit = 10; value >= limit; limit *= 10) width++;
	return width;
}
