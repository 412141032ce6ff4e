/** A topic of a real Kafka, made and filled by one producer, in the events' order. */
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/core/clock.ts";
import { Producer, type ProducerRecord } from "../../src/kafka/producer.ts";
import { awaitTopic, createTopic } from "../../src/kafka/topics.ts";

/** `kafka` of a configuration with nothing but brokers. */
export function kafkaAt(brokers: string): Config["kafka"] {
	const environment = { POCKAFFE_KAFKA_BROKERS: brokers };
	return loadConfig({ file: undefined, environment, cwd: "/" }).config.kafka;
}

/** Creates the topic and produces the records, with the producer's `properties`; resolves with how many. */
export async function loadTopic(
	brokers: string,
	topic: { readonly name: string; readonly partitions: number },
	records: Iterable<ProducerRecord>,
	properties: Record<string, string> = {},
): Promise<number> {
	const kafka = { ...kafkaAt(brokers), properties };
	await createTopic(kafka, { ...topic, replication: 1 });
	await awaitTopic(kafka, systemClock, topic.name, topic.partitions);
	await using producer = await Producer.connect(kafka, { lingerMs: 20 });
	return await producer.produceMany(records);
}
