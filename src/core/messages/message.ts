/**
 * The words for where a message comes from. Kafka's own terms; everyone uses them, nothing here imports anything of ours.
 */

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

/** Whether an entry of `kafka.topics` means this topic: a name, or a regular expression where it begins with ^. */
export function isTopicMeant(entry: string, topic: string): boolean {
	return entry.startsWith("^") ? new RegExp(entry).test(topic) : entry === topic;
}

/** A header as the handler sees it: name and value in the order of the record, duplicates kept. */
export type Header = [name: string, value: Buffer | null];

/** What a record's timestamp is: the time its producer set, or when the broker appended it. At librdkafka's number for it. */
export const timestampTypes = ["undefined", "create", "append"] as const;
export type TimestampType = (typeof timestampTypes)[number];

/** A message by itself. `timestamp` is in ms, -1 where the record has none. */
export interface ReceivedMessage extends TopicPartition {
	readonly offset: number;
	readonly timestamp: number;
	/** Left out where nobody knows. */
	readonly timestampType?: TimestampType;
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: readonly Header[];
}
