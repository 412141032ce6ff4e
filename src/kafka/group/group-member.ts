/** Who handles what a consumer is given: assignments and messages. The group supervisor is one. */
import type { Suspicion } from "../../core/messages/hand-note.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import type { LogId } from "../../core/offsets/log-identity.ts";

/** A partition that begins. */
export interface BegunPartition extends TopicPartition {
	readonly offset: number;
	readonly committed: number | null;
	/** The log that the offsets are of. */
	readonly logId: LogId;
	/** Why nothing of it is to be handled yet; null where it may be. */
	readonly parked: { readonly code: string; readonly message: string } | null;
	/** Why it has to be careful; null where nothing is suspected. */
	readonly suspicion: Suspicion | null;
}

/** Handles assignments and messages. */
export interface GroupMember {
	/** It has so much in hand that more should come slowly. */
	readonly isCrowded: boolean;
	assignmentsReceived(partitions: readonly BegunPartition[]): void;
	/** The client fetches these anew, and all that was paused of them has to be paused again. */
	refetched(partitions: readonly TopicPartition[]): void;
	/** Resolves when the partitions may be given away; must resolve by its own deadline. */
	assignmentsRevoked(partitions: readonly TopicPartition[]): Promise<unknown>;
	assignmentsLost(partitions: readonly TopicPartition[]): void;
	/**
	 * After a pause that met a poll, as in a rebalance, the last message may come once more: librdkafka notes the position before it notes
	 * what was taken. It looks like a log that went back, and is taken for one.
	 */
	messagesReceived(partition: TopicPartition, batch: PackedBatch): void;
	/** Messages of it came and are gone: what is not finished has to be fetched again. */
	messagesNotTaken(partition: TopicPartition, reason: string): void;
	endOfPartition(partition: TopicPartition, offset: number): void;
}
