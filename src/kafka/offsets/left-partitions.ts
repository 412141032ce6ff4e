/**
 * Where this member left the partitions that it gave away. If a partition begins again at the same place, nobody else has handled it
 * meanwhile. Eager groups give most partitions back at once. Pure.
 */
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { LogId } from "../../core/offsets/log-identity.ts";

/** A place in a log. */
export interface LeftAt {
	readonly logId: LogId;
	/** The next message. */
	readonly offset: number;
}

/** The partitions that were given away with all that was finished committed. */
export class LeftPartitions {
	readonly #left = new Map<string, LeftAt>();

	left(partition: TopicPartition, { logId, offset }: LeftAt): void {
		this.#left.set(partitionName(partition), { logId, offset });
	}

	/** The partition is assigned again: true if it begins where it was left. Then forgets the place. */
	goesOn(partition: TopicPartition, { logId, offset }: LeftAt): boolean {
		const left = this.#left.get(partitionName(partition));
		this.#left.delete(partitionName(partition));
		return left !== undefined && left.logId === logId && left.offset === offset;
	}
}
