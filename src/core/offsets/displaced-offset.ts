/** An offset or note in the database that differs from what its owner stored last. */
import type { TopicPartition } from "../messages/message.ts";

/**
 * taken_over: another member claimed the partition since · changed: another offset is stored, or an older claim (a backup was restored, or
 * somebody set it) · gone: nothing is stored any more.
 */
export interface DisplacedOffset extends TopicPartition {
	readonly kind: "taken_over" | "changed" | "gone";
	/** The offset that its owner stored last. */
	readonly expected: number;
	/** What is stored now; null if gone. */
	readonly found: number | null;
}
