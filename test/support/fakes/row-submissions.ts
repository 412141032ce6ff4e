/** Rows for the batch writer without threads: submissions with a memory of every message's fate. */
import { separatorsFor } from "../../../src/core/rows/joined-texts.ts";
import type { RowFault, TableLayout } from "../../../src/core/rows/rows.ts";
import type { Submission } from "../../../src/sink/writer/pending-blocks.ts";
import { TextRows } from "../../../src/worker/inside/rows/gathered-rows.ts";
import { RowPacker } from "../../../src/worker/inside/rows/row-packer.ts";

const ROW_BYTES = 50;

/** A row as a test writes it; `values` by the layout's columns. */
export interface TestRow {
	readonly id: string;
	readonly offset: number;
	readonly partition?: number;
	readonly topic?: string;
	readonly timestamp?: number;
	readonly values?: readonly (string | null)[];
	readonly isDelete?: boolean;
}

/** A submission and what became of its rows, by offset. */
export interface TrackedSubmission extends Submission {
	readonly settledOffsets: number[];
	readonly refusedOffsets: Map<number, RowFault>;
	/** Resolves when every row was told its fate. */
	readonly done: Promise<void>;
	/** From here on nobody listens, as after a partition was given away. */
	release(): void;
}

/** Rows of one partition in one submission, packed for so many lanes as a thread does it. A message per row. */
export function submissionOf(layout: TableLayout, rows: readonly TestRow[], lanes = 1): TrackedSubmission {
	const settledOffsets: number[] = [];
	const refusedOffsets = new Map<number, RowFault>();
	let finish: () => void = () => {};
	let released = false;
	const done = new Promise<void>((resolve) => (finish = resolve));
	const told = () => {
		if (settledOffsets.length + refusedOffsets.size === rows.length) finish();
	};
	const offsetOf = (message: number) => rows[message]?.offset as number;
	const batch = {
		offsets: Float64Array.from(rows, ({ offset }) => offset),
		timestamps: Float64Array.from(rows, ({ timestamp, offset }) => timestamp ?? offset),
	};
	const ids = rows.map(({ id }) => id);
	const values = layout.columns.map((_, column) => rows.map((row) => row.values?.[column] ?? null));
	const gathered = {
		messages: rows.map((_, message) => message),
		ids,
		deletes: rows.map(({ isDelete }) => (isDelete ? 1 : 0)),
		bytes: rows.map(() => ROW_BYTES),
		values,
	};
	const blocks = new RowPacker(layout, lanes).pack(new TextRows(gathered), { from: 0, ...batch }, separatorsFor([ids, ...values]));
	return {
		topic: rows[0]?.topic ?? "t",
		partition: rows[0]?.partition ?? 0,
		batch,
		blocks,
		settledOffsets,
		refusedOffsets,
		done,
		get released() {
			return released;
		},
		release: () => {
			released = true;
		},
		settled: (message) => {
			settledOffsets.push(offsetOf(message));
			told();
		},
		settledAll: (messages) => {
			settledOffsets.push(...Array.from(messages, offsetOf));
			told();
		},
		refused: (message, fault) => {
			refusedOffsets.set(offsetOf(message), fault);
			told();
		},
	};
}

/** A layout; by default `events(id text, name text, amount bigint)` under the timestamp strategy. */
export function layoutOf(over: Partial<TableLayout> = {}): TableLayout {
	return {
		name: "events",
		id: { column: "id", type: "text" },
		columns: [columnOf("name", "text"), columnOf("amount", "bigint")],
		version: { kind: "timestamp" },
		withTopic: false,
		maxFutureMs: 86_400_000,
		create: true,
		...over,
	};
}

export function columnOf(name: string, type: string, nullable = true): TableLayout["columns"][number] {
	return { name, type, path: [name], nullable };
}
