/**
 * The offsets of all assigned partitions, guarded by assignment epochs: every acknowledgement names the epoch it belongs to, one of
 * an older epoch is dropped (brod_group_coordinator: handle_ack drops older generations; node-rdkafka doesn't expose the generation,
 * so we count our own per partition). Pure; the committer asks it what is due.
 *
 * Step 2 of a message's way (README).
 */
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../core/message.ts";
import { OffsetTracker } from "./offset-tracker.ts";

interface Entry extends TopicPartition {
	readonly epoch: number;
	readonly tracker: OffsetTracker;
	/** Last offset known to be committed; null where none is. */
	committed: number | null;
}

/** Positions of one partition, for status and metrics. */
export interface PartitionOffsets {
	readonly epoch: number;
	readonly position: number;
	readonly committable: number;
	readonly committed: number | null;
	readonly unfinished: number;
}

/** An offset that is due for commit, with the epoch it was taken under. */
export interface DueOffset extends TopicPartitionOffset {
	readonly epoch: number;
}

/** Offset bookkeeping of this member. */
export class OffsetLedger {
	readonly #entries = new Map<string, Entry>();
	readonly #epochs = new Map<string, number>();

	/** A partition was assigned, to start at `offset`; returns the new epoch. `committed` is what the group has committed, if anything. */
	assign(partition: TopicPartition, offset: number, committed: number | null): number {
		const name = partitionName(partition);
		const epoch = this.#raise(name);
		this.#entries.set(name, {
			topic: partition.topic,
			partition: partition.partition,
			epoch,
			tracker: new OffsetTracker(offset),
			committed,
		});
		return epoch;
	}

	/** A partition was released or lost: what its workers still report is dropped from here on. */
	release(partition: TopicPartition): void {
		const name = partitionName(partition);
		if (this.#entries.delete(name)) this.#raise(name);
	}

	/** Notes received offsets (ascending, at or past the position). False where the epoch is over. */
	received(partition: TopicPartition, epoch: number, offsets: ArrayLike<number>): boolean {
		const entry = this.#current(partition, epoch);
		entry?.tracker.received(offsets);
		return entry !== undefined;
	}

	/** Notes the end of a partition, the next offset that will be written. */
	endOfPartition(partition: TopicPartition, offset: number): void {
		this.#entries.get(partitionName(partition))?.tracker.endOfPartition(offset);
	}

	/**
	 * Acknowledges messages of this epoch by offset: false where the epoch is over by then and the acknowledgement was dropped. Bound
	 * once per assignment, because it is called for every message.
	 */
	acknowledger(partition: TopicPartition, epoch: number): (offset: number) => boolean {
		const name = partitionName(partition);
		const entry = this.#current(partition, epoch);
		return (offset) => {
			if (entry === undefined || this.#entries.get(name) !== entry) return false;
			entry.tracker.finished(offset);
			return true;
		};
	}

	/** Offsets that moved past what is committed, of all partitions or of those given. */
	due(partitions?: readonly TopicPartition[]): DueOffset[] {
		const entries = partitions
			? partitions.flatMap((partition) => this.#entries.get(partitionName(partition)) ?? [])
			: this.#entries.values();
		const due: DueOffset[] = [];
		for (const { topic, partition, epoch, tracker, committed } of entries) {
			const offset = tracker.committable;
			if (committed === null || offset > committed) due.push({ topic, partition, offset, epoch });
		}
		return due;
	}

	/** Offsets were committed; those of an older epoch are ignored. */
	committed(offsets: readonly DueOffset[]): void {
		for (const { epoch, offset, ...partition } of offsets) {
			const entry = this.#current(partition, epoch);
			if (entry && (entry.committed === null || offset > entry.committed)) entry.committed = offset;
		}
	}

	/** Positions of a partition; undefined where it isn't assigned. */
	of(partition: TopicPartition): PartitionOffsets | undefined {
		const entry = this.#entries.get(partitionName(partition));
		if (!entry) return undefined;
		const { epoch, tracker, committed } = entry;
		return { epoch, committed, position: tracker.position, committable: tracker.committable, unfinished: tracker.unfinished };
	}

	#current(partition: TopicPartition, epoch: number): Entry | undefined {
		const entry = this.#entries.get(partitionName(partition));
		return entry?.epoch === epoch ? entry : undefined;
	}

	#raise(name: string): number {
		const epoch = (this.#epochs.get(name) ?? 0) + 1;
		this.#epochs.set(name, epoch);
		return epoch;
	}
}
