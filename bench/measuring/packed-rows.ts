/**
 * Rows as a worker thread hands them over: packed by the thread's own encoder and copied as they cross the thread's boundary. Nothing
 * else of them stays in memory, as in the daemon.
 */
import type { RowBlock, TableLayout } from "../../src/core/rows/rows.ts";
import type { Submission } from "../../src/sink/writer/pending-blocks.ts";
import { RowEncoder } from "../../src/worker/inside/rows/row-encoder.ts";

/** A row to be written; `values` by the layout's columns. */
export interface BenchRow {
	readonly id: string;
	readonly values: readonly string[];
}

/** A submission whose end can be awaited. `refusals`: what was wrong with the first that were refused. */
export interface PackedSubmission extends Submission {
	readonly done: Promise<void>;
	readonly refusals: readonly string[];
}

const REFUSALS = 3;

/** `count` rows of the log's offsets from `first` on, offset and timestamp (ms) the row's number; parted by so many lanes. */
export function packRows(
	layout: TableLayout,
	{ first, count, partition, lanes }: { first: number; count: number; partition: number; lanes: number },
	rowAt: (i: number) => BenchRow,
): PackedSubmission {
	const encoder = new RowEncoder(layout, lanes);
	for (let message = 0; message < count; message++) {
		const { id, values } = rowAt(first + message);
		const encoded = encoder.upsert(message, id, Object.fromEntries(layout.columns.map(({ name }, column) => [name, values[column]])));
		if ("fault" in encoded) throw new Error(encoded.fault.message);
	}
	const numbers = Float64Array.from({ length: count }, (_, message) => first + message);
	const batch = { offsets: numbers, timestamps: numbers };
	const blocks: RowBlock[] = structuredClone(encoder.take({ from: 0, ...batch }));
	const refusals: string[] = [];
	let left = count;
	let finish = () => {};
	const done = new Promise<void>((resolve) => {
		finish = resolve;
	});
	const told = (rows: number) => {
		left -= rows;
		if (left === 0) finish();
	};
	return {
		topic: "t",
		partition,
		batch,
		blocks,
		done,
		refusals,
		released: false,
		settled: () => told(1),
		settledAll: ({ length }) => told(length),
		refused: (_message, { rowId, message }) => {
			if (refusals.length < REFUSALS) refusals.push(`row ${rowId} was refused: ${message}`);
			told(1);
		},
	};
}
