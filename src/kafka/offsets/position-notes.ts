/** What is noted of a group's positions beside its offsets, as who begins and commits needs it. Sink/start-recorder.ts keeps them. */

import type { TopicPartition } from "../../core/messages/message.ts";
import type { DisplacedOffset } from "../../core/offsets/displaced-offset.ts";
import type { NoteChange, ReachedPosition, StoredNote } from "../../core/offsets/position-note.ts";

/** The group's notes, for a start and for commits. Promises reject where the caller has to wait and try again. */
export interface PositionNotes {
	/** Names this process in the notes. */
	readonly owner: string;
	/** All notes of the group, by partition name; none where they can't be kept. */
	read(): Promise<ReadonlyMap<string, StoredNote>>;
	/** Stores notes of partitions that begin. Rejects too where somebody else changed one since it was read. */
	begin(changes: readonly NoteChange[]): Promise<void>;
	/**
	 * Notes how far partitions came, durably. Returns those that could not be noted: their note is of another log by now (`others`), or
	 * it is not what was noted last, because the database was put back to another time (`displaced`).
	 */
	reach(positions: readonly ReachedPosition[]): Promise<{
		readonly others: readonly TopicPartition[];
		readonly displaced: readonly DisplacedOffset[];
	}>;
	/** Those of these partitions whose note is not what was noted last. Changes nothing of the others. */
	compare(partitions: readonly TopicPartition[]): Promise<readonly DisplacedOffset[]>;
	/** The notes of these partitions belong to a log that was deleted. */
	forget(partitions: readonly TopicPartition[]): Promise<void>;
}
