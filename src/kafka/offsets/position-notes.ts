/** The notes about a group's positions, kept beside its offsets, as starts and commits use them. sink/start-recorder.ts keeps them. */

import type { TopicPartition } from "../../core/messages/message.ts";
import type { DisplacedOffset } from "../../core/offsets/displaced-offset.ts";
import type { NoteChange, ReachedPosition, StoredNote } from "../../core/offsets/position-note.ts";

/** The group's notes, for starts and commits. Promises reject if the caller has to wait and try again. */
export interface PositionNotes {
	/** Identifies this process in the notes. */
	readonly owner: string;
	/** All notes of the group, by partition name; empty if they can't be kept. */
	read(): Promise<ReadonlyMap<string, StoredNote>>;
	/** Stores notes of partitions that begin. Also rejects if somebody else changed one since it was read. */
	begin(changes: readonly NoteChange[]): Promise<void>;
	/**
	 * Notes durably how far partitions came. Returns those that could not be noted: their note belongs to another log by now (`others`), or
	 * is not what was noted last because the database was restored to an earlier time (`displaced`).
	 */
	reach(positions: readonly ReachedPosition[]): Promise<{
		readonly others: readonly TopicPartition[];
		readonly displaced: readonly DisplacedOffset[];
	}>;
	/** Returns those of these partitions whose note differs from what was noted last. Does not change the others. */
	compare(partitions: readonly TopicPartition[]): Promise<readonly DisplacedOffset[]>;
	/** The notes of these partitions belong to a deleted log. */
	forget(partitions: readonly TopicPartition[]): Promise<void>;
}
