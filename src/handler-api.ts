/**
 * The types of a handler, exported by the package: `import type { Message, Outcome } from "pockaffe"`.
 * Stands alone: nothing of the daemon is imported here.
 */

/** A message, with the fields of Kaffe's message map. Key and value are copies that belong to the handler's thread. */
export interface Message {
	readonly topic: string;
	readonly partition: number;
	readonly offset: number;
	/** null: the record has no key. */
	readonly key: Buffer | null;
	/** null: the record has no value (a tombstone); an empty value is an empty buffer. */
	readonly value: Buffer | null;
	/** Timestamp of the record in ms; -1 if it has none. */
	readonly ts: number;
	/**
	 * Type of the timestamp: set by the producer (`create`) or by the broker (`append`). `undefined` if there is none, or it is not known.
	 */
	readonly tsType: "create" | "append" | "undefined";
	/** In the order of the record, duplicates kept. */
	readonly headers: readonly (readonly [name: string, value: Buffer | null])[];
}

/** The whole row: a column missing in `fields` becomes NULL. */
export interface Row {
	readonly id: string | number | bigint;
	readonly fields: Readonly<Record<string, unknown>>;
	/** Required if several tables are configured. */
	readonly table?: string;
	/** Records to produce beside the row. */
	readonly produce?: readonly ProducedRecord[];
}

/**
 * A record to produce. The message's offset is committed when the broker has every record of it and its rows are durable; a message that is
 * handled again produces its records again, with the same headers `pockaffe-source` (`topic/partition/offset` of the message),
 * `pockaffe-source-index` (which of its records) and `pockaffe-source-group` (who produced it).
 */
export interface ProducedRecord {
	readonly topic: string;
	/** Decides the partition (murmur2, as Java clients do); records with one key keep their order. Without it: any partition. */
	readonly key?: Buffer | Uint8Array | string | null;
	/** null or left out: a tombstone. */
	readonly value?: Buffer | Uint8Array | string | null;
	/** In this order; duplicates are kept. A message's own `headers` can be handed on. */
	readonly headers?: readonly (readonly [name: string, value: Buffer | Uint8Array | string | null])[];
	/** Partition to use instead of the key's. */
	readonly partition?: number;
	/** ms; default: the message's own, so that a record that is produced again is the same. */
	readonly timestamp?: number;
}

/** Records and no row. */
export interface Produce {
	readonly produce: readonly ProducedRecord[];
}

/** Deletes the row; it stays as a tombstone so that an older row can't bring it back. */
export interface Delete {
	readonly id: string | number | bigint;
	readonly delete: true;
	/** The version column, if `cas.version` is `field`. */
	readonly fields?: Readonly<Record<string, unknown>>;
	readonly table?: string;
	/** Records to produce beside the row. */
	readonly produce?: readonly ProducedRecord[];
}

/** Bad data: a dead letter at once, without another attempt. */
export interface Reject {
	readonly reject: string;
}

/**
 * The result of a message: nothing (null), a row, several, a delete, records to produce, or a rejection. `undefined` counts as null at run
 * time, but is not part of the type: so the compiler finds a forgotten `return`.
 */
export type Outcome = null | Row | Delete | Produce | Reject | readonly (Row | Delete | Produce)[];

/**
 * What `handleMessages` may return instead of a list. Messages up to and including offset `finishedTo` are finished (null: none). Later
 * ones stay unfinished until a later `finishedTo` covers them; while this state lives, they are not handed over again. A new state (after a
 * failed attempt, or in a new thread) gets them again before anything newer. Rows made from them may come with a later message's outcome:
 * the messages that a `finishedTo` covers are finished when the rows of the same answer are durable. Kaffe's `{:ok, offset}` and `{:ok,
 * :no_commit}`.
 */
export interface Finished {
	readonly outcomes?: readonly Outcome[];
	readonly finishedTo: number | null;
}

/** What `init` gets. `purpose` is `verify` if the handler runs only for a comparison, `reprocess` if rows are computed anew. */
export interface PartitionInfo {
	readonly topic: string;
	readonly partition: number;
	readonly purpose: "run" | "verify" | "reprocess";
	/** Names of the configured tables. */
	readonly tables: readonly string[];
}

/** Why a worker ends. `failed`: an attempt failed and the state is renewed. */
export type ExitReason = "shutdown" | "revoked" | "failed" | "restart";

/** A handler module: exactly one of handleMessage and handleMessages. Every function may be async. */
export interface Handler<State = unknown> {
	/** Called once per worker start and after each failed attempt; the result is the state. */
	init?(partition: PartitionInfo, options: unknown): State | Promise<State>;
	/** Handles one message. A throw or rejection is a failed attempt, and the message comes again with a new state. */
	handleMessage?(message: Message, state: State): Outcome | Promise<Outcome>;
	/**
	 * Handles at most 2,000 messages, in offset order. If a call throws, rejects or returns something that is no outcome, it is repeated with
	 * its first half, and so on, each time with a new state, until the message that fails alone is found. Side effects of a call may then
	 * happen again. Messages that the old state had left unfinished come again first, in an earlier call.
	 */
	handleMessages?(batch: Message[], state: State): readonly Outcome[] | Finished | Promise<readonly Outcome[] | Finished>;
	/** Called at the worker's end if its thread is still alive. */
	terminate?(reason: ExitReason, state: State): void | Promise<void>;
}
