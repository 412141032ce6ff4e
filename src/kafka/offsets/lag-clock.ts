/**
 * The age of a partition's oldest unfinished message; messages received together count as one. If none was received yet: how long the
 * partition has waited at least. Pure; one entry per unfinished delivery.
 */
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";

interface Mark {
	readonly nextOffset: number;
	readonly timestamp: number;
}

/** Ages of unfinished messages. Timestamps in ms; -1 if messages have none. */
export class LagClock {
	readonly #marks = new Map<string, Mark[]>();
	/** Offsets at which partitions wait for a message of unknown age, and since when. */
	readonly #waiting = new Map<string, { readonly at: number; readonly since: number }>();

	/** A delivery was received. `timestamp`: its first message's; `nextOffset`: one past its last. */
	received(partition: TopicPartition, nextOffset: number, timestamp: number): void {
		const name = partitionName(partition);
		const marks = this.#marks.get(name);
		if (marks) marks.push({ nextOffset, timestamp });
		else this.#marks.set(name, [{ nextOffset, timestamp }]);
	}

	/** Timestamp of the oldest delivery that is not wholly below `committable`; null if there is none. */
	oldest(partition: TopicPartition, committable: number): number | null {
		const marks = this.#marks.get(partitionName(partition)) ?? [];
		let passed = 0;
		while (passed < marks.length && (marks[passed] as Mark).nextOffset <= committable) passed++;
		if (passed > 0) marks.splice(0, passed);
		return marks[0]?.timestamp ?? null;
	}

	/**
	 * Like `oldest`. If there is no such delivery, or it has no timestamp: the time (ms) since when the partition has been seen waiting at
	 * this offset. Its message is at least that old. Null if everything up to the high watermark is finished, or that is not known.
	 */
	oldestKnown(
		partition: TopicPartition,
		{ committable, highWatermark }: { readonly committable: number; readonly highWatermark: number | null },
		now: number,
	): number | null {
		const oldest = this.oldest(partition, committable);
		const name = partitionName(partition);
		if (oldest !== null && oldest >= 0) {
			this.#waiting.delete(name);
			return oldest;
		}
		if (oldest === null && (highWatermark === null || committable >= highWatermark)) {
			this.#waiting.delete(name);
			return null;
		}
		const known = this.#waiting.get(name);
		if (known?.at === committable) return known.since;
		this.#waiting.set(name, { at: committable, since: now });
		return now;
	}

	forget(partition: TopicPartition): void {
		this.#marks.delete(partitionName(partition));
		this.#waiting.delete(partitionName(partition));
	}
}
