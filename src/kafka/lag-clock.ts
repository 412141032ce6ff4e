/**
 * How old the oldest unfinished message of a partition is, at the grain of what was received together. Pure; an entry per delivery
 * that isn't finished yet.
 */
import { partitionName, type TopicPartition } from "../core/message.ts";

interface Mark {
	readonly nextOffset: number;
	readonly timestamp: number;
}

/** See the file's header. Timestamps in ms, -1 where messages have none. */
export class LagClock {
	readonly #marks = new Map<string, Mark[]>();

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

	forget(partition: TopicPartition): void {
		this.#marks.delete(partitionName(partition));
	}
}
