/** The same contract, held by node-rdkafka's own `consume`, as where the addon is missing. */
import { afterAll, beforeAll, expect, inject, vi } from "vitest";
import { nativeMissing } from "../../src/kafka/native.ts";
import { Producer } from "../../src/kafka/producer.ts";
import { kafkaAt } from "../support/kafka/load-topic.ts";
import { describeOnKafka } from "../support/kafka/real-kafka.ts";
import { expulsionContract } from "./expulsion.contract.ts";
import { groupClientContract } from "./group-client.contract.ts";
import { openKafkaScene } from "./kafka-scene.ts";

// Before anything loads it.
vi.hoisted(() => {
	process.env.POCKAFFE_NATIVE = "off";
});

let producer: Producer;
const open = (partitions: number) => openKafkaScene(producer, partitions);

describeOnKafka("on a real Kafka", () => {
	beforeAll(async () => {
		expect(nativeMissing).toBe("POCKAFFE_NATIVE is off");
		producer = await Producer.connect(kafkaAt(inject("kafkaBrokers")));
	});
	afterAll(() => producer[Symbol.asyncDispose]());
	groupClientContract("of node-rdkafka", open, { skip: true });
	expulsionContract("of node-rdkafka", open);
});
