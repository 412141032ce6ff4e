/**
 * A client that gives itself up, on a real Kafka: told whichever way it shows, with the reason, also where a poll would drop it behind
 * messages.
 */
import rdkafka from "node-rdkafka";
import { expect, inject, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { ReceivedMessage, TopicPartition } from "../../src/core/messages/message.ts";
import { ConsumerClient } from "../../src/kafka/client/consumer-client.ts";
import { consumerSettings } from "../../src/kafka/client/consumer-settings.ts";
import { codeOfLine, codeOfWords, wordsOf } from "../../src/kafka/client/error-words.ts";
import { KafkaError, kafkaErrors } from "../../src/kafka/client/kafka-error.ts";
import { loadTopic } from "../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");
const CONNECT_MS = 10_000;

/** A static member that polls when it is told to, and begins at offset 0. */
class StaticMember implements AsyncDisposable {
	readonly client: ConsumerClient;
	readonly fatal: { code: number; message: string }[] = [];
	assigned: readonly TopicPartition[] = [];

	constructor(group: string, topic: string, protocol: string) {
		const environment = {
			POCKAFFE_KAFKA_BROKERS: brokers,
			POCKAFFE_KAFKA_GROUP: group,
			POCKAFFE_KAFKA_TOPICS: topic,
			POCKAFFE_KAFKA_PROTOCOL: protocol,
			POCKAFFE_KAFKA_INSTANCE_ID: "the-one",
			POCKAFFE_KAFKA_PROPERTIES: JSON.stringify({ "fetch.wait.max.ms": 50 }),
		};
		const { settings, topicSettings } = consumerSettings(loadConfig({ file: undefined, environment, cwd: "/" }).config);
		this.client = new ConsumerClient(settings, topicSettings, systemClock);
		this.client.on("fatal", (fact) => this.fatal.push(fact));
		this.client.on("rebalance", ({ code, partitions }) => {
			if (code !== kafkaErrors.assignPartitions) {
				this.client.unassign(partitions, true);
				return;
			}
			this.assigned = partitions;
			this.client.assign(
				partitions.map((each) => ({ ...each, offset: 0 })),
				true,
			);
		});
	}

	async join(topic: string): Promise<void> {
		await this.client.connect(CONNECT_MS);
		this.client.subscribe([topic]);
	}

	poll(count: number): Promise<readonly ReceivedMessage[] | KafkaError> {
		return this.client.consume(count, 20).then(
			({ messages }) => messages,
			(error) => error,
		);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.client.close();
	}
}

async function scene(): Promise<{ topic: string; group: string }> {
	const topic = uniqueName("fatal");
	await loadTopic(
		brokers,
		{ name: topic, partitions: 1 },
		Array.from({ length: 5_000 }, () => ({ topic, key: "k", value: "v" })),
	);
	return { topic, group: uniqueName("g") };
}

describeOnKafka("a client that is fenced", () => {
	it("is told so by its log at once, whatever its polls bring; polls and commits say why, and it is told once", async () => {
		const { topic, group } = await scene();
		await using first = new StaticMember(group, topic, "classic");
		await first.join(topic);
		// It has messages in hand, and does not come to the end of them.
		await waitFor("a message", async () => ((await first.poll(1)) as ReceivedMessage[]).length > 0);
		await using second = new StaticMember(group, topic, "classic");
		await second.join(topic);
		await waitFor("the second's assignment", async () => {
			await second.poll(1);
			return second.assigned.length > 0;
		});
		await waitFor("the first to be told", () => first.fatal.length > 0);
		const told = { code: kafkaErrors.fencedInstanceId, message: wordsOf(kafkaErrors.fencedInstanceId) };
		expect(first.fatal).toEqual([told]);
		// A poll may drop it behind messages; where it says something it says the same.
		const polled = await first.poll(100);
		if (polled instanceof KafkaError) expect([polled.kafkaCode, polled.message]).toEqual([told.code, told.message]);
		const committing = first.client.commit([{ topic, partition: 0, offset: 1 }]).catch((error) => error);
		let refused: KafkaError | null = null;
		void committing.then((error) => (refused = error));
		await waitFor("the commit's result", async () => (await first.poll(1)) && refused !== null);
		expect([await committing].map(({ kafkaCode, message }) => [kafkaCode, message])).toEqual([[told.code, told.message]]);
		expect([first.fatal.length, second.fatal]).toEqual([1, []]);
	});

	it("by KIP-848 it is the newcomer that is refused, for as long as the other lives", async () => {
		const { topic, group } = await scene();
		await using first = new StaticMember(group, topic, "consumer");
		await first.join(topic);
		await waitFor("a message", async () => ((await first.poll(1)) as ReceivedMessage[]).length > 0);
		await using second = new StaticMember(group, topic, "consumer");
		await second.join(topic);
		await waitFor("the second to be told", async () => {
			await second.poll(1);
			return second.fatal.length > 0;
		});
		expect(second.fatal).toMatchObject([{ code: kafkaErrors.unreleasedInstanceId }]);
		expect(first.fatal).toEqual([]);
	});
});

describeOnKafka("librdkafka's words", () => {
	it("lead to their code, as a partition has them, as event.error has them, and in a line of the log", () => {
		const fenced = "Broker: Static consumer fenced by other consumer with same group.instance.id";
		expect(wordsOf(kafkaErrors.fencedInstanceId)).toBe(fenced);
		expect(codeOfWords(fenced)).toBe(kafkaErrors.fencedInstanceId);
		expect(codeOfWords("unknown topic or partition")).toBe(kafkaErrors.unknownTopicOrPartition);
		expect(codeOfLine(`Fatal error: ${fenced}: OffsetCommit failed: ${fenced}`, "Fatal error: ")).toBe(kafkaErrors.fencedInstanceId);
		expect([codeOfWords("anything"), codeOfLine("anything", "Fatal error: ")]).toEqual([-1, -1]);
		const codes = new Set(Object.values(rdkafka.CODES.ERRORS as unknown as Record<string, number>));
		for (const code of codes) expect(codeOfWords(wordsOf(code))).toBe(code);
		// What event.error leaves of them is still nobody else's.
		for (const code of codes) expect(codeOfWords((wordsOf(code).split(": ")[1] ?? wordsOf(code)).toLowerCase())).toBe(code);
	});
});
