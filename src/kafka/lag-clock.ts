/**
 * How far behind a partition is in time: the timestamp of the last committed message, remembered at the grain of received batches.
 * Pure; a few entries per partition.
 */
import { partitionName, type TopicPartition } from "../core/message.ts";

interface Mark {
	readonly nextOffset: number;
	readonly timestamp: number;
}

/** See the file's header. Timestamps in ms. */
export class LagClock {
	readonly #marks = new Map<string, Mark[]>();
	readonly #reached = new Map<string, number>();

	/** Messages up to `nextOffset` (excluded) were received, the last one made at `timestamp`. */
	received(partition: TopicPartition, nextOffset: number, timestamp: number): void {
		const name = partitionName(partition);
		const marks = this.#marks.get(name);
		if (marks) marks.push({ nextOffset, timestamp });
		else this.#marks.set(name, [{ nextOffset, timestamp }]);
	}

	/** The group's offset moved to `offset`. */
	committed(partition: TopicPartition, offset: number): void {
		const name = partitionName(partition);
		const marks = this.#marks.get(name) ?? [];
		let passed = 0;
		while (passed < marks.length && (marks[passed] as Mark).nextOffset <= offset) passed++;
		if (passed === 0) return;
		this.#reached.set(name, (marks[passed - 1] as Mark).timestamp);
		marks.splice(0, passed);
	}

	/** Seconds between the last committed message's timestamp and `nowMs`; null where none was committed here. */
	seconds(partition: TopicPartition, nowMs: number): number | null {
		const reached = this.#reached.get(partitionName(partition));
		return reached === undefined || reached < 0 ? null : Math.max(0, (nowMs - reached) / 1000);
	}

	forget(partition: TopicPartition): void {
		const name = partitionName(partition);
		this.#marks.delete(name);
		this.#reached.delete(name);
	}
}
