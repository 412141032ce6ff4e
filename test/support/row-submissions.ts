/** Rows for the batch writer without threads: submissions with a memory of every message's fate. */
import { laneOf, type RowFault, type TableLayout } from "../../src/core/rows.ts";
import type { Submission } from "../../src/sink/batch-writer.ts";
import { blockOf } from "./row-blocks.ts";

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

/** Rows of one partition in one submission, parted by so many lanes as a thread does it. A message per row. */
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
	return {
		topic: rows[0]?.topic ?? "t",
		partition: rows[0]?.partition ?? 0,
		batch: {
			offsets: Float64Array.from(rows, ({ offset }) => offset),
			timestamps: Float64Array.from(rows, ({ timestamp, offset }) => timestamp ?? offset),
		},
		blocks: byLane(rows, lanes).map(([lane, messages]) => {
			const its = messages.map((message) => rows[message] as TestRow);
			return blockOf({
				table: layout.name,
				lane,
				messages,
				ids: its.map(({ id }) => id),
				deletes: its.map(({ isDelete }) => isDelete === true),
				columns: layout.columns.map((_, column) => its.map(({ values }) => values?.[column] ?? null)),
				offsets: its.map(({ offset }) => offset),
				timestamps: its.map(({ timestamp, offset }) => timestamp ?? offset),
			});
		}),
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

function byLane(rows: readonly TestRow[], lanes: number): [lane: number, messages: number[]][] {
	const messages: number[][] = Array.from({ length: lanes }, () => []);
	for (const [message, { id }] of rows.entries()) messages[laneOf(id, lanes)]?.push(message);
	return [...messages.entries()].filter(([, its]) => its.length > 0);
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
