/** What becomes of a producer's records when it closes, on librdkafka's own mock cluster. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type MockCluster, startMockCluster } from "../../src/kafka/mock-cluster.ts";
import { Producer } from "../../src/kafka/producer.ts";
import { kafkaAt } from "../support/kafka/load-topic.ts";

describe("a producer that closes", () => {
	let cluster: MockCluster;
	let producer: Producer;

	beforeEach(async () => {
		cluster = await startMockCluster({ topics: ["events"] });
		producer = await Producer.connect(kafkaAt(cluster.brokers.join()));
	});

	afterEach(async () => {
		await cluster[Symbol.asyncDispose]();
	});

	it("delivers what it has within its time", async () => {
		const reports = Array.from({ length: 500 }, () => producer.produce({ topic: "events", partition: 0, key: "a", value: "1" }));
		await producer.close(10_000);
		expect((await Promise.all(reports)).map(({ offset }) => offset)).toEqual(reports.map((_, index) => index));
	});

	it("says the record's own timestamp, not the mock cluster's answer", async () => {
		const timestamps = [1_700_000_000_123, undefined].map(async (timestamp) => {
			const record = { topic: "events", key: "a", value: "1", ...(timestamp === undefined ? {} : { timestamp }) };
			return (await producer.produce(record)).timestamp;
		});
		const before = Date.now();
		const [given = 0, own = 0] = await Promise.all(timestamps);
		expect(given).toBe(1_700_000_000_123);
		expect(Math.abs(own - before)).toBeLessThan(60_000);
		await producer.close(0);
	});

	it("refuses what has no report by then", async () => {
		const away = await startMockCluster({ topics: ["events"] });
		const left = await Producer.connect(kafkaAt(away.brokers.join()));
		await away[Symbol.asyncDispose]();
		const refused = expect(left.produce({ topic: "events", key: "a", value: "1" })).rejects.toMatchObject({ code: "producer_closed" });
		await left.close(0);
		await refused;
		await producer.close(0);
	});
});
