/** The interface of the part that handles assignments and messages. The group supervisor implements it. */
import type { Suspicion } from "../../core/messages/hand-note.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import type { LogId } from "../../core/offsets/log-identity.ts";

/** A partition that begins. */
export interface BegunPartition extends TopicPartition {
	readonly offset: number;
	readonly committed: number | null;
	/** The log that the offsets belong to. */
	readonly logId: LogId;
	/** Why nothing of it may be handled yet; null if it may. */
	readonly parked: { readonly code: string; readonly message: string } | null;
	/** Why it has to be handled carefully; null if nothing is suspected. */
	readonly suspicion: Suspicion | null;
}

/** Handles assignments and messages. */
export interface GroupMember {
	/** True if so much is in hand that more messages should arrive slowly. */
	readonly isCrowded: boolean;
	assignmentsReceived(partitions: readonly BegunPartition[]): void;
	/** The client fetches these partitions again: those that were paused have to be paused again. */
	refetched(partitions: readonly TopicPartition[]): void;
	/** Resolves when the partitions may be given away; must resolve by its own deadline. */
	assignmentsRevoked(partitions: readonly TopicPartition[]): Promise<unknown>;
	assignmentsLost(partitions: readonly TopicPartition[]): void;
	/**
	 * Takes messages. After a pause during a poll, as in a rebalance, the last message may come a second time, because librdkafka stores the
	 * position before it stores what was taken. That looks like a log that went back, and is treated as one.
	 */
	messagesReceived(partition: TopicPartition, batch: PackedBatch): void;
	/** Messages of the partition arrived and were lost: what is not finished has to be fetched again. */
	messagesNotTaken(partition: TopicPartition, reason: string): void;
	endOfPartition(partition: TopicPartition, offset: number): void;
}
