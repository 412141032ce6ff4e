/** A topic of a real Kafka, made and filled by one producer, in the events' order. */
import rdkafka, { type IAdminClient } from "node-rdkafka";
import type { Config } from "../../../src/config/config.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { Producer, type ProducerRecord } from "../../../src/kafka/producer.ts";
import { awaitTopic, createTopic } from "../../../src/kafka/topics.ts";
import { waitFor } from "../wait-for.ts";
import { produceMany } from "./produce-many.ts";

/** A configuration with nothing but brokers. */
export function loadConfigAt(brokers: string): Config {
	return loadConfig({ file: undefined, environment: { POCKAFFE_KAFKA_BROKERS: brokers }, cwd: "/" }).config;
}

/** Its `kafka`. */
export function kafkaAt(brokers: string): Config["kafka"] {
	return loadConfigAt(brokers).kafka;
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
	return await produceMany(producer, records);
}

/** Creates a topic with settings of its own (`max.message.bytes`, …). */
export async function createTopicWith(
	brokers: string,
	topic: { readonly name: string; readonly partitions: number },
	config: Record<string, string>,
): Promise<void> {
	await administer(brokers, (admin, done) => {
		admin.createTopic({ topic: topic.name, num_partitions: topic.partitions, replication_factor: 1, config } as never, 30_000, done);
	});
	await awaitTopic(kafkaAt(brokers), systemClock, topic.name, topic.partitions);
}

/** Deletes a topic that somebody may make again at once, so that nobody could see it gone. */
export async function removeTopic(brokers: string, name: string): Promise<void> {
	await administer(brokers, (admin, done) => admin.deleteTopic(name, 30_000, done));
}

/** Deletes a topic and waits until the broker knows it no longer. */
export async function deleteTopic(brokers: string, name: string): Promise<void> {
	await removeTopic(brokers, name);
	await using producer = await Producer.connect(kafkaAt(brokers));
	await waitFor(`topic ${name} to be gone`, async () => !(await producer.topics()).has(name));
}

/** Raises the number of a topic's partitions. */
export async function raisePartitions(brokers: string, name: string, partitions: number): Promise<void> {
	await administer(brokers, (admin, done) => admin.createPartitions(name, partitions, 30_000, done));
	await awaitTopic(kafkaAt(brokers), systemClock, name, partitions);
}

async function administer(brokers: string, act: (admin: IAdminClient, done: (error: unknown) => void) => void): Promise<void> {
	const admin = rdkafka.AdminClient.create({ "bootstrap.servers": brokers });
	try {
		await new Promise<void>((resolve, reject) => act(admin, (error) => (error ? reject(error) : resolve())));
	} finally {
		admin.disconnect();
	}
}
