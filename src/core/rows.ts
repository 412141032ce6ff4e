/**
 * Rows on their way from a handler to a table: what a table looks like, what a batch of messages came to.
 * Plain data that crosses the thread boundary by structured clone; columns, not objects, because a batch has thousands of rows.
 */

/** Types an id column may have; ids are compared in their canonical text. */
export type IdType = "text" | "uuid" | "smallint" | "int" | "bigint";

/** A data column. `path` is where its value is read in a row's `fields` (own properties only), `[name]` unless `from` is given. */
export interface ColumnLayout {
	readonly name: string;
	/** A type name as checked by the configuration: `text`, `bigint`, `numeric(10,2)`, `jsonb`, … */
	readonly type: string;
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
	/** True where several topics feed the tables: `kafka_topic` is a column and the last part of every version. */
	readonly withTopic: boolean;
	/** A message further ahead of the wall clock than this many ms is dead-lettered; only under the timestamp strategy. */
	readonly maxFutureMs: number;
	/** Create the table at start where it is missing. */
	readonly create: boolean;
}

/** Why a row can't go into its table: found in the thread or by the server. SQLSTATE of class 22, 23, 54 or P0001. */
export interface RowFault {
	readonly table: string;
	readonly rowId: string;
	readonly sqlstate: string;
	/** Says what is wrong without the value. */
	readonly message: string;
}

/** The rows of one batch for one table, column by column; every array has `length` entries, in message order. */
export interface RowBlock {
	readonly table: string;
	readonly length: number;
	/** Index of the row's message in the batch that was handed over. */
	readonly messages: Int32Array;
	/** Canonical text of the id. */
	readonly ids: readonly string[];
	/** 1: a delete (all data columns null but a version field), 0: an upsert. */
	readonly deletes: Uint8Array;
	/** Per data column of the layout, in its order: the value as the text that Postgres casts from, or null. */
	readonly columns: readonly (readonly (string | null)[])[];
	/** Rough size of a row in bytes, for cutting batches. */
	readonly bytes: Int32Array;
}
