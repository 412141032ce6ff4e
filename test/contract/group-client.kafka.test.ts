/** The group client's contract on a real Apache Kafka, held by node-rdkafka's consumer, polled by the addon. */
import { afterAll, beforeAll, inject } from "vitest";
import { Producer } from "../../src/kafka/producer.ts";
import { kafkaAt } from "../support/kafka/load-topic.ts";
import { describeOnKafka } from "../support/kafka/real-kafka.ts";
import { withAddon } from "../support/project/with-addon.ts";
import { expulsionContract } from "./expulsion.contract.ts";
import { groupClientContract } from "./group-client.contract.ts";
import { openKafkaScene } from "./kafka-scene.ts";

let producer: Producer;
const open = (partitions: number) => openKafkaScene(producer, partitions);

describeOnKafka("on a real Kafka", () => {
	beforeAll(async () => {
		producer = await Producer.connect(kafkaAt(inject("kafkaBrokers")));
	});
	afterAll(() => producer[Symbol.asyncDispose]());
	groupClientContract("of librdkafka", open, withAddon);
	expulsionContract("of librdkafka", open);
});
