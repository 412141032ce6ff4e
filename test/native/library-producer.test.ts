/** The library's producer, with Kaffe's calls, on librdkafka's own mock cluster: topics of four partitions. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type MockCluster, startMockCluster } from "../../src/kafka/mock-cluster.ts";
import { createProducer, type LibraryProducer, type ProducerConfig } from "../../src/library/create-producer.ts";

describe("createProducer", () => {
	let cluster: MockCluster;
	const opened: LibraryProducer[] = [];

	beforeEach(async () => {
		cluster = await startMockCluster({ topics: ["events", "other"] });
	});

	afterEach(async () => {
		for (const producer of opened.splice(0)) await producer.close();
		await cluster[Symbol.asyncDispose]();
	});

	async function producerWith(config: Partial<ProducerConfig> = {}): Promise<LibraryProducer> {
		const producer = await createProducer({ kafka: { brokers: cluster.brokers }, topics: ["events"], ...config });
		opened.push(producer);
		return producer;
	}

	it("produces a record to the first topic, or to one that is named", async () => {
		const producer = await producerWith();
		expect(await producer.produceSync("key1", "value")).toMatchObject({ topic: "events", offset: 0 });
		expect(await producer.produceSync("other", "key1", Buffer.from("value"))).toMatchObject({ topic: "other", offset: 0 });
		await expect((await producerWith({ topics: [] })).produceSync("key1", "value")).rejects.toMatchObject({ code: "no_topic" });
	});

	it("produces a list in order, and puts a key where Java clients do", async () => {
		const producer = await producerWith();
		const delivered = await producer.produceSync("events", [
			{ key: "key1", value: "1" },
			{ key: "key1", value: null, headers: [["a", "1"]], timestamp: 5 },
			{ key: "key1", value: "3", partition: 0 },
		]);
		// murmur2 of key1, of four partitions. The mock broker tells no timestamps.
		const partition = 0;
		expect(delivered).toMatchObject([{ partition, offset: 0 }, { partition, offset: 1 }, { partition: 0 }]);
		expect(await producer.produceSync("key1", "4")).toMatchObject({ partition, offset: 3 });
	});

	it("takes turns, or a chance, or what a function says", async () => {
		const turns = await producerWith({ partitionStrategy: "round-robin" });
		const all = await turns.produceSync(
			"events",
			["a", "a", "a", "a", "a"].map((key) => ({ key, value: "v" })),
		);
		expect(all.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 0]);
		expect(await turns.produceSync("a", "v")).toMatchObject({ partition: 1 });
		const chance = await producerWith({ partitionStrategy: "random" });
		expect([0, 1, 2, 3]).toContain((await chance.produceSync("a", "v")).partition);
		const chosen = await producerWith({
			partitionStrategy: (topic, partitions, key) => (topic === "events" ? partitions - 1 : Number(key)),
		});
		expect(await chosen.produceSync("a", "v")).toMatchObject({ partition: 3 });
		await expect(chosen.produceSync("other", "7", "v")).rejects.toThrow("partitionStrategy chose 7 of the 4 partitions of other");
	});

	it("rejects with the first error of a list, once each has its answer", async () => {
		const producer = await producerWith();
		const records = [{ value: "1" }, { value: "2", partition: 9 }, { value: "3" }];
		await expect(producer.produceSync("events", records)).rejects.toThrow(/partition/i);
	});

	it("says all that is wrong in its configuration", async () => {
		await expect(createProducer({ kafka: { brokers: ["nowhere"] } })).rejects.toThrow(/kafka\.brokers.*host:port/s);
	});
});
