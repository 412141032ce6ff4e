/** Ending a producer while its broker is there: what node-rdkafka's own polling would do to a client that is being freed. */
import rdkafka from "node-rdkafka";
import { afterEach, expect, it, vi } from "vitest";
import { startMockCluster } from "../../src/kafka/mock-cluster.ts";
import { Producer } from "../../src/kafka/producer.ts";
import { kafkaAt } from "../support/kafka/load-topic.ts";

afterEach(() => {
	vi.restoreAllMocks();
});

it.each([0, 1_000])("a producer that is closed within %i ms is polled no more while another thread frees it", async (flushMs) => {
	await using mock = await startMockCluster({ topics: ["a"] });
	const producer = await Producer.connect(kafkaAt(mock.brokers.join(",")));
	await producer.produce({ topic: "a", key: "k", value: "v" });
	const intervals: unknown[] = [];
	const disconnect = rdkafka.Producer.prototype.disconnect as (...given: unknown[]) => unknown;
	vi.spyOn(rdkafka.Producer.prototype, "disconnect").mockImplementation(function (this: unknown, ...given: unknown[]) {
		intervals.push((this as { pollInterval?: unknown }).pollInterval);
		return disconnect.apply(this, given) as never;
	});
	await producer.close(flushMs);
	expect(intervals).toEqual([undefined]);
});

it("a producer that is closed twice is closed once: at the same time, and afterwards", async () => {
	await using mock = await startMockCluster({ topics: ["a"] });
	await using producer = await Producer.connect(kafkaAt(mock.brokers.join(",")));
	await producer.produce({ topic: "a", key: "k", value: "v" });
	await Promise.all([producer.close(1_000), producer.close(0)]);
	await producer.close(0);
	await expect(producer.produce({ topic: "a", key: "k", value: "v" })).rejects.toMatchObject({ code: "producer_closed" });
});
