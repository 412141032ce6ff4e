/**
 * Assigned partitions whose database is older than the group's offset, as their starts found out: a backup was restored, and rows may be
 * missing. A partition is listed until the offset was set back, or somebody removed the remark from the note.
 */
import type { Clock } from "../../core/clock.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { RestoredStretch } from "../../core/offsets/position-note.ts";
import type { PositionNotes } from "../offsets/position-notes.ts";
import type { StartPosition } from "../starts/start-position.ts";

/** Such a partition, and since when that is known (wall clock, ms). */
export interface RestoredPartition extends TopicPartition, RestoredStretch {
	readonly sinceMs: number;
}

/** What it needs. */
export interface RestoredPartitionsParts {
	readonly clock: Clock;
	readonly notes: Pick<PositionNotes, "read">;
	readonly isAssigned: (name: string) => boolean;
}

/** The assigned partitions whose database is older than the group's offset. */
export class RestoredPartitions {
	readonly #parts: RestoredPartitionsParts;
	readonly #found = new Map<string, RestoredPartition>();

	constructor(parts: RestoredPartitionsParts) {
		this.#parts = parts;
	}

	get all(): readonly RestoredPartition[] {
		return [...this.#found].flatMap(([name, each]) => (this.#parts.isAssigned(name) ? each : []));
	}

	/** A partition begins. */
	started({ topic, partition, note: { note } }: Pick<StartPosition, "topic" | "partition" | "note">): void {
		const name = partitionName({ topic, partition });
		const { restored } = note;
		if (restored) this.#found.set(name, { topic, partition, ...restored, sinceMs: this.#parts.clock.now() });
		else this.#found.delete(name);
	}

	/** Reads whether it is still noted. Rejects if the notes can't be read. */
	async look(): Promise<void> {
		if (this.#found.size === 0) return;
		const notes = await this.#parts.notes.read();
		for (const name of this.#found.keys()) {
			const stored = notes.get(name);
			if (stored && !stored.note.restored) this.#found.delete(name);
		}
	}
}
