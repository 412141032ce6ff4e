/**
 * Packs the rows of a run into blocks: separated by lane, the newest row of each id apart from superseded ones, each column as one text.
 * Pure.
 */
import type { Separators } from "../../../core/rows/joined-texts.ts";
import type { RowBlock, RowTexts, TableLayout } from "../../../core/rows/rows.ts";
import { codeAt, latin1Of } from "../built-ins.ts";
import type { GatheredRows } from "./gathered-rows.ts";

/** Positions of a run's messages: message `from` is the first entry. */
export interface RunPositions {
	readonly from: number;
	readonly offsets: ArrayLike<number>;
	/** ms; -1 if a message has none. */
	readonly timestamps: ArrayLike<number>;
}

/** Skip the scan for a while if fewer than 1 row in this many was superseded. */
const WORTH = 16;
/** Runs without a scan after one that found little. */
const RUNS_BETWEEN_LOOKS = 16;

/** Packs the rows of run after run of one table. */
export class RowPacker {
	readonly #layout: TableLayout;
	readonly #lanes: number;
	/** Runs left to pack without a scan for superseded rows. */
	#runsToPass = 0;

	/** `lanes`: number of the writer's lanes. */
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
	 * For each row, 1 if the run has a newer row of its id; null if no row is superseded, or the scan was skipped. Rows of a run are compared
	 * by timestamp and offset. The writer compares again across runs; a version field is compared only there.
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
			// Overlapping calls end in any order. Of one message's rows the later one counts.
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

/** Joins numbers, 0 or more, as one text. Neighbours often have the same timestamp, which is then copied. */
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

/** A safe integer of JavaScript has no more digits. */
const MOST_DIGITS = 16;
const PART = 1e9;
const PART_DIGITS = 9;
let digits = Buffer.allocUnsafe(MOST_DIGITS * 256);

/** Writes an integer's digits from `at` on; returns where they end. About five times as fast as a string per number. */
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
