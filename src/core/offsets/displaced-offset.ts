/** An offset or note in the database that is not what its owner stored last. */
import type { TopicPartition } from "../messages/message.ts";

/**
 * taken_over: another member claimed the partition since · changed: another offset is there, or an older claim (a backup was restored, or
 * somebody set it) · gone: nothing is there any more.
 */
export interface DisplacedOffset extends TopicPartition {
	readonly kind: "taken_over" | "changed" | "gone";
	/** The offset that its owner stored last. */
	readonly expected: number;
	/** What is there now; null for gone. */
	readonly found: number | null;
}
