/** Messages with rows for several tables, submitted without threads as a worker does it; remembers every row's fate. */
import { separatorsFor } from "../../../src/core/rows/joined-texts.ts";
import type { RowFault, TableLayout } from "../../../src/core/rows/rows.ts";
import type { Submission } from "../../../src/sink/writer/pending-blocks.ts";
import { TextRows } from "../../../src/worker/inside/rows/gathered-rows.ts";
import { RowPacker } from "../../../src/worker/inside/rows/row-packer.ts";

const ROW_BYTES = 50;

/** A row as a handler returns it; `values` by the layout's columns. */
export interface MessageRow {
	readonly table: string;
	readonly id: string;
	readonly values?: readonly (string | null)[];
	readonly isDelete?: boolean;
}

/** A handled message. Its timestamp is its offset. */
export interface RowMessage {
	readonly offset: number;
	readonly rows: readonly MessageRow[];
}

/** A submission and what became of its rows. */
export interface TrackedMessages extends Submission {
	/** The offset of each settled row's message. */
	readonly settledOffsets: number[];
	readonly refusals: { readonly offset: number; readonly fault: RowFault }[];
	/** Resolves when every row was told its fate. */
	readonly done: Promise<void>;
	readonly isDone: boolean;
	release(): void;
}

/** One run of messages of a partition. */
export function messagesOf(
	layouts: readonly TableLayout[],
	messages: readonly RowMessage[],
	{ topic = "t", partition = 0, lanes = 1 } = {},
): TrackedMessages {
	const settledOffsets: number[] = [];
	const refusals: TrackedMessages["refusals"] = [];
	const count = messages.reduce((sum, { rows }) => sum + rows.length, 0);
	let finish: () => void = () => {};
	let isReleased = false;
	const done = new Promise<void>((resolve) => (finish = resolve));
	const isDone = () => settledOffsets.length + refusals.length >= count;
	const told = () => {
		if (isDone()) finish();
	};
	const batch = {
		offsets: Float64Array.from(messages, ({ offset }) => offset),
		timestamps: Float64Array.from(messages, ({ offset }) => offset),
	};
	const blocks = layouts.flatMap((layout) => {
		const rows = messages.flatMap(({ rows: each }, message) => each.map((row) => ({ ...row, message })));
		const own = rows.filter(({ table }) => table === layout.name);
		const ids = own.map(({ id }) => id);
		const values = layout.columns.map((_, column) => own.map((row) => row.values?.[column] ?? null));
		const gathered = {
			messages: own.map(({ message }) => message),
			ids,
			deletes: own.map(({ isDelete }) => (isDelete ? 1 : 0)),
			bytes: own.map(() => ROW_BYTES),
			values,
		};
		return new RowPacker(layout, lanes).pack(new TextRows(gathered), { from: 0, ...batch }, separatorsFor([ids, ...values]));
	});
	return {
		topic,
		partition,
		batch,
		blocks,
		settledOffsets,
		refusals,
		done,
		get isDone() {
			return isDone();
		},
		get released() {
			return isReleased;
		},
		release: () => {
			isReleased = true;
		},
		settled: (message) => {
			settledOffsets.push(messages[message]?.offset as number);
			told();
		},
		settledAll: (all) => {
			settledOffsets.push(...Array.from(all, (message) => messages[message]?.offset as number));
			told();
		},
		refused: (message, fault) => {
			refusals.push({ offset: messages[message]?.offset as number, fault });
			told();
		},
	};
}
