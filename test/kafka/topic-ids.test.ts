/**
 * The ids of topics of a real Kafka, whose text is the one that Kafka's own tools print; the rest is in the contract of the group client.
 */
import { expect, inject, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { ConsumerClient } from "../../src/kafka/client/consumer-client.ts";
import { LogReader } from "../../src/kafka/log-reader.ts";
import { ClusterInspector } from "../../src/kafka/topics.ts";
import { kafkaAt, loadTopic } from "../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { withAddon } from "../support/project/with-addon.ts";

describeOnKafka("the ids of topics", withAddon, () => {
	const brokers = inject("kafkaBrokers");
	const kafka = kafkaAt(brokers);

	it("are Kafka's, base64url, the same for whoever asks, and asking makes no topic", async () => {
		const topics = Array.from({ length: 20 }, () => uniqueName("ids"));
		const missing = uniqueName("missing");
		for (const name of topics) await loadTopic(brokers, { name, partitions: 1 }, []);
		await using inspector = await ClusterInspector.connect(kafka, systemClock);
		const ids = await inspector.topicIds([...topics, missing]);
		expect([...ids.keys()].sort()).toEqual([...topics].sort());
		// 16 bytes; of 20 ids one has a character in which base64 and base64url differ, but for once in a million.
		for (const id of ids.values()) expect(id).toMatch(/^[A-Za-z0-9_-]{21}[AQgw]$/);
		await using reader = await LogReader.connect(kafka, systemClock, "g", new AbortController().signal);
		expect(await reader.topicIds([...topics, missing])).toEqual(ids);
		await using after = await ClusterInspector.connect(kafka, systemClock);
		expect(after.topics).not.toContain(missing);
	});

	it("can't be asked of a client that was closed", async () => {
		const client = new ConsumerClient({ "bootstrap.servers": brokers, "group.id": uniqueName("g") }, {}, systemClock);
		await client.connect(10_000);
		expect(await client.close()).toBe(true);
		await expect(client.topicIds(["t"])).rejects.toMatchObject({ kafkaCode: -172 });
	});
});
