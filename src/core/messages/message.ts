/** Types for where a message comes from, in Kafka's own terms. Everyone uses them; this file imports nothing of ours. */

/** A topic's partition. */
export interface TopicPartition {
	readonly topic: string;
	readonly partition: number;
}

/** A position in a partition: `offset` is the next message's offset, never the last one's. */
export interface TopicPartitionOffset extends TopicPartition {
	readonly offset: number;
}

/** The spelling of a partition in logs, keys and metrics of ours: `topic/3`. */
export function partitionName({ topic, partition }: TopicPartition): string {
	return `${topic}/${partition}`;
}

/** True if an entry of `kafka.topics` means this topic: a name, or a regular expression if it begins with ^. */
export function isTopicMeant(entry: string, topic: string): boolean {
	return entry.startsWith("^") ? new RegExp(entry).test(topic) : entry === topic;
}

/** A header as the handler sees it: name and value in the order of the record, duplicates kept. */
export type Header = [name: string, value: Buffer | null];

/** Types of a record's timestamp: the time its producer set, or when the broker appended it. The index is librdkafka's number. */
export const timestampTypes = ["undefined", "create", "append"] as const;
export type TimestampType = (typeof timestampTypes)[number];

/** A single message. `timestamp` is in ms; -1 if the record has none. */
export interface ReceivedMessage extends TopicPartition {
	readonly offset: number;
	readonly timestamp: number;
	/** Absent if not known. */
	readonly timestampType?: TimestampType;
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: readonly Header[];
}
