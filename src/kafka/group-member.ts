/** Who handles what a consumer is given: assignments and messages. The group supervisor is one. */
import type { ReceivedMessage, TopicPartition } from "../core/message.ts";
import type { StartPosition } from "./start-position.ts";

/** See the file's header. */
export interface GroupMember {
	/** It has so much in hand that more should come slowly. */
	readonly isCrowded: boolean;
	assignmentsReceived(partitions: readonly StartPosition[]): void;
	/** Resolves when the partitions may be given away; must resolve by its own deadline. */
	assignmentsRevoked(partitions: readonly TopicPartition[]): Promise<unknown>;
	assignmentsLost(partitions: readonly TopicPartition[]): void;
	messagesReceived(partition: TopicPartition, messages: readonly ReceivedMessage[]): void;
	endOfPartition(partition: TopicPartition, offset: number): void;
}
