/** What a group has committed, and setting it as an operator would, on a real Kafka. */
import rdkafka from "node-rdkafka";
import { systemClock } from "../../../src/core/clock.ts";
import type { TopicPartitionOffset } from "../../../src/core/messages/message.ts";
import { ClusterInspector, type GroupOffset } from "../../../src/kafka/topics.ts";
import { waitFor } from "../wait-for.ts";
import { kafkaAt } from "./load-topic.ts";

/** What a group has committed in a topic, and the topic's ends, partition by partition. */
export async function groupOffsets(brokers: string, group: string, topic: string): Promise<readonly GroupOffset[]> {
	await using inspector = await ClusterInspector.connect(kafkaAt(brokers), systemClock, group);
	return await inspector.groupOffsets([topic]);
}

/** Committed offsets by partition; null where none is. */
export async function committedOffsets(brokers: string, group: string, topic: string): Promise<(number | null)[]> {
	return (await groupOffsets(brokers, group, topic)).map(({ committed }) => committed);
}

/** A million messages on a busy machine. */
const LONGEST_MS = 480_000;

/** Waits until every partition of the topic has at least one commit and no lag. */
export async function untilCommitted(brokers: string, group: string, topic: string, timeoutMs = LONGEST_MS): Promise<void> {
	await using inspector = await ClusterInspector.connect(kafkaAt(brokers), systemClock, group);
	const isDone = async () => {
		const offsets = await inspector.groupOffsets([topic]);
		return offsets.length > 0 && offsets.every(({ committed, latest }) => committed === latest);
	};
	await waitFor(`all of ${topic} to be committed`, isDone, timeoutMs);
}

/** Sets offsets of a group that has no members. */
export async function setOffsets(brokers: string, group: string, offsets: readonly TopicPartitionOffset[]): Promise<void> {
	const consumer = new rdkafka.KafkaConsumer({ "bootstrap.servers": brokers, "group.id": group, "enable.auto.commit": false }, {});
	await new Promise<void>((resolve, reject) => consumer.connect({}, (error) => (error ? reject(error) : resolve())));
	consumer.commitSync(offsets.map(({ topic, partition, offset }) => ({ topic, partition, offset })));
	await new Promise<void>((resolve) => consumer.disconnect(() => resolve()));
}
