/**
 * How old the oldest unfinished message of a partition is; messages received together count as one. If none was received yet: how long the
 * partition has waited at least. Pure; one entry for each delivery that is not finished.
 */
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";

interface Mark {
	readonly nextOffset: number;
	readonly timestamp: number;
}

/** How old unfinished messages are. Timestamps in ms, -1 where messages have none. */
export class LagClock {
	readonly #marks = new Map<string, Mark[]>();
	/** Where partitions wait for what nobody here knows the age of, and since when. */
	readonly #waiting = new Map<string, { readonly at: number; readonly since: number }>();

	/** A delivery was received: its first message was made at `timestamp`, `nextOffset` is one past its last. */
	received(partition: TopicPartition, nextOffset: number, timestamp: number): void {
		const name = partitionName(partition);
		const marks = this.#marks.get(name);
		if (marks) marks.push({ nextOffset, timestamp });
		else this.#marks.set(name, [{ nextOffset, timestamp }]);
	}

	/** The timestamp of the oldest delivery that isn't wholly below `committable`; null where there is none. */
	oldest(partition: TopicPartition, committable: number): number | null {
		const marks = this.#marks.get(partitionName(partition)) ?? [];
		let passed = 0;
		while (passed < marks.length && (marks[passed] as Mark).nextOffset <= committable) passed++;
		if (passed > 0) marks.splice(0, passed);
		return marks[0]?.timestamp ?? null;
	}

	/**
	 * The same; and where there is none, or it has no timestamp, since when (ms) the partition is seen to wait at this place: what it waits
	 * for is as old at least. Null where everything up to the high watermark is finished, or that is not known.
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
