/**
 * Facts about rows that can't be written although others of their table can: the first such row of a partition and table, and how many
 * there are.
 */
import type { TopicPartition } from "../messages/message.ts";

/** Rows of one table and partition; the first in the log. */
interface WaitingRows extends TopicPartition {
	readonly table: string;
	/** The first of these rows, and how many there are. */
	readonly id: string;
	readonly offset: number;
	readonly rows: number;
	/** Wall-clock time at which their wait began, ms. */
	readonly sinceMs: number;
}

/** Rows that can't be written. */
export interface StuckFact extends WaitingRows {
	readonly sqlstate: string;
	/** The server's words, and who holds the lock if it is one. */
	readonly message: string;
	/** What to do; null if nothing is better than the message. */
	readonly hint: string | null;
}

/** Rows that wait for their parents. */
export interface AwaitedFact extends WaitingRows {
	/** The foreign key that the first waits for. */
	readonly constraint: string | null;
	/** How long the table's rows may wait, ms. */
	readonly waitMs: number;
}
