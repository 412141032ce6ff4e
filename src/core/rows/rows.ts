/**
 * Rows on their way from a handler to a table: the layout of a table, and the rows of a batch of messages. Plain data that crosses the
 * thread boundary by structured clone; columns instead of objects, because a batch has thousands of rows.
 */
import { joinTexts, type Separators, splitTexts } from "./joined-texts.ts";

/** Types an id column may have; ids are compared in their canonical text. */
export type IdType = "text" | "uuid" | "smallint" | "int" | "bigint";

/** How a string for a bytea column is read. */
export const bytesEncodings = ["utf8", "hex", "base64"] as const;
export type BytesEncoding = (typeof bytesEncodings)[number];

/** A data column. `path`: where its value is in a row's `fields` (own properties only); `[name]` unless `from` is given. */
export interface ColumnLayout {
	readonly name: string;
	/** As the configuration gives it (`columnTypeOf` parses it): `text`, `bigint`, `numeric(10,2)`, `text[]`, `app.mood`, … */
	readonly type: string;
	/** For a bytea column; absent: utf8. */
	readonly encoding?: BytesEncoding;
	readonly path: readonly string[];
	/** false: a row (not a delete) without a value is refused with SQLSTATE 23502. */
	readonly nullable: boolean;
}

/** How two versions of a row are compared; the parts after the first break ties (DESIGN: timestamp, offset, field). */
export type VersionStrategy =
	| { readonly kind: "timestamp" }
	| { readonly kind: "offset" }
	/** `column` names one of the table's columns, of type bigint, numeric or timestamptz. */
	| { readonly kind: "field"; readonly column: string; readonly type: "bigint" | "numeric" | "timestamptz" };

/** A table that rows go to, resolved from the configuration. */
export interface TableLayout {
	/** The table's key in `tables`, and its name in SQL (`schema.table` is split at the dot). */
	readonly name: string;
	readonly id: { readonly column: string; readonly type: IdType };
	readonly columns: readonly ColumnLayout[];
	readonly version: VersionStrategy;
	/** True if several topics feed the tables: then `kafka_topic` is a column, and the last part of every version. */
	readonly withTopic: boolean;
	/** A message whose timestamp is further than this ahead of the wall clock (ms) is dead-lettered; only with the timestamp strategy. */
	readonly maxFutureMs: number;
	/** True: create the table at start if it is missing. */
	readonly create: boolean;
}

/** SQLSTATE in_failed_sql_transaction: the fault of a message's other rows if one of its rows is refused. */
export const REFUSED_TOGETHER = "25P02";

/** The fault of such a row; `of` is the row to blame. */
export function refusedTogether(of: { readonly table: string }, table: string, rowId: string): RowFault {
	const message = `not written, because another row of its message is refused (tables.${of.table}.atomic)`;
	return { table, rowId, sqlstate: REFUSED_TOGETHER, message };
}

/** Why a row can't be written, found in the thread or by the server. SQLSTATE of class 22, 23, 54 or P0001, or REFUSED_TOGETHER. */
export interface RowFault {
	readonly table: string;
	readonly rowId: string;
	readonly sqlstate: string;
	/** Says what is wrong, without the value. */
	readonly message: string;
}

/** Rows as one text per column (joined-texts.ts), made in the thread and passed to the server unchanged. */
export interface RowTexts {
	/** Canonical text of the ids. */
	readonly ids: string;
	/** Per data column of the layout, in its order: the value as the text that Postgres casts from, or null. */
	readonly columns: readonly string[];
	/** The message's timestamp in ms, at least 0. */
	readonly timestamps: string;
	/** The message's offset. */
	readonly offsets: string;
}

/** The rows of one batch for one table and one of the writer's lanes, packed. Its own texts cover the first `length` rows. */
export interface RowBlock extends RowTexts {
	readonly table: string;
	/** Number of rows to send: all, or the newest of each id; rows of one message in their order. */
	readonly length: number;
	/** Rows of one id are always in the same lane (`laneOf`), out of the number of lanes that the thread knows. */
	readonly lane: number;
	/** Index of each row's message in the batch: first the rows to send, then those in `superseded`. */
	readonly messages: Int32Array;
	/** Per row, in the order of `messages`. 1: a delete (all data columns null except a version field); 0: an upsert. */
	readonly deletes: Uint8Array;
	/** Per row, in the order of `messages`: its approximate size in bytes, for cutting batches. */
	readonly bytes: Int32Array;
	readonly separators: Separators;
	/** Rows that newer rows of the block supersede. One is written only if the newer row can't be. Null if there are none. */
	readonly superseded: RowTexts | null;
}

/** One row of a block. `values` are the data columns' texts in the layout's order. */
export interface BlockRow {
	readonly message: number;
	readonly id: string;
	readonly isDelete: boolean;
	readonly values: readonly (string | null)[];
	readonly bytes: number;
}

/**
 * All rows of a block, one by one; few callers need that. Superseded rows come first, so that among equal versions of an id the one that
 * counts is last.
 */
export function rowsOf(block: RowBlock): BlockRow[] {
	const { length, messages, superseded } = block;
	const rows = rowsIn(block, block, 0, length);
	return superseded ? [...rowsIn(block, superseded, length, messages.length - length), ...rows] : rows;
}

function rowsIn({ messages, deletes, bytes, separators }: RowBlock, texts: RowTexts, first: number, count: number): BlockRow[] {
	const ids = splitTexts(texts.ids, count, separators) as string[];
	const values = texts.columns.map((column) => splitTexts(column, count, separators));
	return ids.map((id, index) => ({
		message: messages[first + index] as number,
		id,
		isDelete: deletes[first + index] === 1,
		values: values.map((column) => column[index] ?? null),
		bytes: bytes[first + index] as number,
	}));
}

/** The block without the rows of these messages. Rows that they superseded have to be sent then. */
export function withoutMessages(block: RowBlock, dropped: ReadonlyMap<number, unknown>): RowBlock {
	const whole = withSuperseded(block);
	const { separators, length } = whole;
	const kept: number[] = [];
	for (let row = 0; row < length; row++) if (!dropped.has(whole.messages[row] as number)) kept.push(row);
	const filtered = (joined: string) => {
		const values = splitTexts(joined, length, separators);
		return joinTexts(
			kept.map((row) => values[row] ?? null),
			separators,
		);
	};
	return {
		...whole,
		length: kept.length,
		messages: Int32Array.from(kept, (row) => whole.messages[row] as number),
		deletes: Uint8Array.from(kept, (row) => whole.deletes[row] as number),
		bytes: Int32Array.from(kept, (row) => whole.bytes[row] as number),
		ids: filtered(whole.ids),
		columns: whole.columns.map(filtered),
		timestamps: filtered(whole.timestamps),
		offsets: filtered(whole.offsets),
	};
}

/** The same rows, all to be sent, superseded ones first. */
function withSuperseded(block: RowBlock): RowBlock {
	const { length, messages, deletes, bytes, superseded, separators } = block;
	if (superseded === null) return block;
	const both = (first: string, second: string) => first + separators.separator + second;
	const order = Int32Array.from(messages, (_, row) => (row + length) % messages.length);
	return {
		...block,
		length: messages.length,
		messages: order.map((row) => messages[row] as number),
		deletes: Uint8Array.from(order, (row) => deletes[row] as number),
		bytes: order.map((row) => bytes[row] as number),
		ids: both(superseded.ids, block.ids),
		columns: superseded.columns.map((column, index) => both(column, block.columns[index] as string)),
		timestamps: both(superseded.timestamps, block.timestamps),
		offsets: both(superseded.offsets, block.offsets),
		superseded: null,
	};
}

/** The lane of an id, out of `lanes` (1 or more). FNV-1a over the whole id: distributes ids that differ only at the end. */
export function laneOf(id: string, lanes: number): number {
	if (lanes === 1) return 0;
	let value = 0x811c9dc5;
	for (let i = 0; i < id.length; i++) value = Math.imul(value ^ id.charCodeAt(i), 0x01000193);
	return (value >>> 0) % lanes;
}
