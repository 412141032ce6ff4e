/** What is noted of a group's positions beside its offsets, as who begins and commits needs it. Sink/start-recorder.ts keeps them. */
import type { TopicPartition } from "../core/message.ts";
import type { NoteChange, ReachedPosition, StoredNote } from "../core/position-note.ts";

/** See the file's header. Promises reject where the caller has to wait and try again. */
export interface PositionNotes {
	/** All notes of the group, by partition name; none where they can't be kept. */
	read(): Promise<ReadonlyMap<string, StoredNote>>;
	/** Stores notes of partitions that begin. Rejects too where somebody else changed one since it was read. */
	begin(changes: readonly NoteChange[]): Promise<void>;
	/** Notes how far partitions came, durably. Returns those whose note is of another log by now. */
	reach(positions: readonly ReachedPosition[]): Promise<readonly TopicPartition[]>;
	/** The notes of these partitions belong to a log that was deleted. */
	forget(partitions: readonly TopicPartition[]): Promise<void>;
}
