/**
 * The offsets of all assigned partitions, guarded by assignment epochs: every acknowledgement names the epoch it belongs to, one of
 * an older epoch is dropped (brod_group_coordinator: handle_ack drops older generations; node-rdkafka doesn't expose the generation,
 * so we count our own per partition). Pure; the committer asks it what is due.
 *
 * Step 2 of a message's way (docs/architecture.md).
 */

import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { LogId, Witness } from "../../core/offsets/log-identity.ts";
import { OffsetTracker } from "./offset-tracker.ts";

interface Entry extends TopicPartition {
	readonly epoch: number;
	readonly tracker: OffsetTracker;
	/** The log that the offsets belong to. */
	readonly logId: LogId;
	/** Last offset known to be committed; null if none. */
	committed: number | null;
	/** Offset of the last received record with a timestamp, a witness of the log; -1 before. */
	witnessOffset: number;
	witnessTimestamp: number;
}

/** Positions of one partition, for status and metrics. */
export interface PartitionOffsets {
	readonly epoch: number;
	readonly logId: LogId;
	readonly position: number;
	readonly committable: number;
	readonly committed: number | null;
	readonly unfinished: number;
}

/** An offset due for commit, with its epoch and what is known about its log. */
export interface DueOffset extends AssignedLog {
	readonly offset: number;
	readonly witness: Witness | null;
}

/** An assigned partition, and the log that its offsets belong to. */
export interface AssignedLog extends TopicPartition {
	readonly epoch: number;
	readonly logId: LogId;
}

/** Offset bookkeeping of this member. */
export class OffsetLedger {
	readonly #entries = new Map<string, Entry>();
	readonly #epochs = new Map<string, number>();

	/**
	 * A partition was assigned and starts at `offset`; returns the new epoch. `committed`: the group's committed offset, if any; `logId`: the
	 * log that these offsets belong to.
	 */
	assign(partition: TopicPartition, offset: number, committed: number | null, logId: LogId = null): number {
		const name = partitionName(partition);
		const epoch = this.#raise(name);
		this.#entries.set(name, {
			topic: partition.topic,
			partition: partition.partition,
			epoch,
			tracker: new OffsetTracker(offset),
			logId,
			committed,
			witnessOffset: -1,
			witnessTimestamp: -1,
		});
		return epoch;
	}

	/** A partition was released or lost: later reports of its workers are dropped. */
	release(partition: TopicPartition): void {
		const name = partitionName(partition);
		if (this.#entries.delete(name)) this.#raise(name);
	}

	/**
	 * Notes received offsets (ascending, at or past the position), with the last one's timestamp in ms (-1: none). False if the epoch is
	 * over.
	 */
	received(partition: TopicPartition, epoch: number, offsets: ArrayLike<number>, lastTimestamp = -1): boolean {
		const entry = this.#current(partition, epoch);
		if (!entry) return false;
		entry.tracker.received(offsets);
		if (offsets.length > 0 && lastTimestamp >= 0) {
			entry.witnessOffset = offsets[offsets.length - 1] as number;
			entry.witnessTimestamp = lastTimestamp;
		}
		return true;
	}

	/** Notes the next offset that may come: the partition's end, or the offset after those passed over. */
	endOfPartition(partition: TopicPartition, offset: number): void {
		this.#entries.get(partitionName(partition))?.tracker.endOfPartition(offset);
	}

	/**
	 * Returns a function that acknowledges messages of this epoch by offset. It returns false if the epoch is over, and drops the
	 * acknowledgement. Bound once per assignment, because it is called for every message.
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

	/** Offsets that are past the committed ones, for all partitions or the given ones. */
	due(partitions?: readonly TopicPartition[]): DueOffset[] {
		const entries = partitions
			? partitions.flatMap((partition) => this.#entries.get(partitionName(partition)) ?? [])
			: this.#entries.values();
		const due: DueOffset[] = [];
		for (const { topic, partition, epoch, tracker, committed, logId, witnessOffset, witnessTimestamp } of entries) {
			const offset = tracker.committable;
			if (committed !== null && offset <= committed) continue;
			const witness = witnessTimestamp < 0 ? null : { offset: witnessOffset, timestamp: witnessTimestamp };
			due.push({ topic, partition, offset, epoch, logId, witness });
		}
		return due;
	}

	/** Those of these positions whose epoch is not over. */
	current<Position extends TopicPartition & { readonly epoch: number }>(positions: readonly Position[]): Position[] {
		return positions.filter((position) => this.#current(position, position.epoch) !== undefined);
	}

	/** All assigned partitions. */
	get assigned(): AssignedLog[] {
		return Array.from(this.#entries.values(), ({ topic, partition, epoch, logId }) => ({ topic, partition, epoch, logId }));
	}

	/** Offsets were committed; those of an older epoch are ignored. */
	committed(offsets: readonly DueOffset[]): void {
		for (const due of offsets) {
			const entry = this.#current(due, due.epoch);
			if (entry && (entry.committed === null || due.offset > entry.committed)) entry.committed = due.offset;
		}
	}

	/** Positions of a partition; undefined if it isn't assigned. */
	of(partition: TopicPartition): PartitionOffsets | undefined {
		const entry = this.#entries.get(partitionName(partition));
		if (!entry) return undefined;
		const { epoch, tracker, committed, logId } = entry;
		return { epoch, logId, committed, position: tracker.position, committable: tracker.committable, unfinished: tracker.unfinished };
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
