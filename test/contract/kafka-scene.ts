/** A topic, a group and clients of librdkafka on a real Apache Kafka, for the group client's contract. */
import { once } from "node:events";
import rdkafka from "node-rdkafka";
import { inject } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/core/clock.ts";
import { ConsumerClient } from "../../src/kafka/client/consumer-client.ts";
import { consumerSettings } from "../../src/kafka/client/consumer-settings.ts";
import type { GroupClient } from "../../src/kafka/client/group-client.ts";
import type { Producer } from "../../src/kafka/producer.ts";
import { deleteTopic, loadTopic } from "../support/kafka/load-topic.ts";
import { uniqueName } from "../support/kafka/real-kafka.ts";
import { waitFor } from "../support/wait-for.ts";
import type { GroupScene } from "./group-scene.ts";

const brokers = inject("kafkaBrokers");
/**
 * A member is given up after it; without polling, after the same time. Short, for three tests wait for it, yet longer than a busy machine
 * stalls.
 */
const SESSION_MS = 3_000;
/** How soon librdkafka sees that the poll interval was exceeded. */
const CHECKED_WITHIN_MS = 700;
const CONNECT_MS = 10_000;
const FIRST_TIMESTAMP = 1_700_000_000_000;

/** Offsets that an aborted transaction of one message takes. */
const GAP = 2;

/** A transaction that is aborted: a record that nobody sees, and the mark of its end. */
async function abortTransaction(topic: string, partition: number): Promise<void> {
	const settings = { "bootstrap.servers": brokers, "transactional.id": uniqueName("transaction") };
	const raw = new rdkafka.Producer(settings as never);
	const done = (call: (callback: (error: unknown) => void) => void) =>
		new Promise<void>((resolve, reject) => call((error) => (error ? reject(error) : resolve())));
	raw.connect();
	await once(raw, "ready");
	await done((callback) => raw.initTransactions(CONNECT_MS, callback));
	await done((callback) => raw.beginTransaction(callback));
	raw.produce(topic, partition, Buffer.from("nobody sees this"), null);
	await done((callback) => raw.flush(CONNECT_MS, callback));
	await done((callback) => raw.abortTransaction(CONNECT_MS, callback));
	await done((callback) => raw.disconnect(callback));
}

/** Opens one, whose records go through this producer. */
export async function openKafkaScene(producer: Producer, partitions: number): Promise<GroupScene> {
	const [topic, group] = [uniqueName("contract"), uniqueName("g")];
	await loadTopic(brokers, { name: topic, partitions }, []);
	const environment = {
		POCKAFFE_KAFKA_BROKERS: brokers,
		POCKAFFE_KAFKA_GROUP: group,
		POCKAFFE_KAFKA_TOPICS: topic,
		POCKAFFE_DRAIN_TIMEOUT_MS: "2000",
		POCKAFFE_KAFKA_PROPERTIES: JSON.stringify({
			"session.timeout.ms": SESSION_MS,
			"max.poll.interval.ms": SESSION_MS,
			// So that a member hears of a change soon.
			"heartbeat.interval.ms": 100,
			"fetch.wait.max.ms": 50,
		}),
	};
	const { settings, topicSettings } = consumerSettings(loadConfig({ file: undefined, environment, cwd: "/" }).config);
	const clients: { client: GroupClient; closed: boolean }[] = [];
	const next = Array.from({ length: partitions }, () => 0);
	const append = (partition: number, timestamp: number, key: string) =>
		producer.produce({ topic, partition, key, value: `value of ${key}`, timestamp });
	const scene: GroupScene = {
		topic,
		partitions,
		async connect() {
			const client = new ConsumerClient(settings, topicSettings, systemClock);
			await client.connect(CONNECT_MS);
			const entry = { client, closed: false };
			const close = client.close.bind(client);
			client.close = () => {
				entry.closed = true;
				return close();
			};
			clients.push(entry);
			return client;
		},
		async produce(partition, keys) {
			const sent = keys.map((key) => append(partition, FIRST_TIMESTAMP + (next[partition] as number)++, key));
			await Promise.all(sent);
		},
		async produceAt(partition, timestamps) {
			for (const timestamp of timestamps) await append(partition, timestamp, "k");
		},
		async leaveGap(partition) {
			const client = clients[0]?.client ?? (await scene.connect());
			const end = async () => (await client.watermarks({ topic, partition })).high;
			const before = await end();
			await abortTransaction(topic, partition);
			// The broker answers before the mark of the end is written.
			return waitFor("the end of the gap", async () => {
				const now = await end();
				return now === before + GAP ? now : null;
			});
		},
		until: async (what, holds) => void (await waitFor(what, holds)),
		settled: (promise) => promise,
		async recreate() {
			await deleteTopic(brokers, topic);
			await loadTopic(brokers, { name: topic, partitions }, []);
		},
		async exceedMaxPoll() {
			const exceededAt = performance.now() + SESSION_MS + CHECKED_WITHIN_MS;
			await waitFor("the longest poll interval to pass", () => performance.now() > exceededAt);
		},
		async [Symbol.asyncDispose]() {
			await Promise.all(clients.filter(({ closed }) => !closed).map(({ client }) => client.close()));
		},
	};
	return scene;
}
