/** What is produced where, by how `produceSync` is called. */
import { describe, expect, it } from "vitest";
import type { Producer, ProducerRecord } from "../../../src/kafka/producer.ts";
import { createProducer, LibraryProducer } from "../../../src/library/create-producer.ts";

function scene() {
	const produced: string[] = [];
	const produce = async ({ topic, key, value }: ProducerRecord) => {
		produced.push(`${topic} ${key}=${value}`);
		return { partition: 0, offset: 0, timestamp: 0 };
	};
	const producer = new LibraryProducer({ produce } as unknown as Producer, { kafka: { brokers: [] }, topics: ["first"] });
	const call = (...given: unknown[]) => (producer.produceSync as (...all: unknown[]) => Promise<unknown>).call(producer, ...given);
	return { produced, call };
}

describe("produceSync", () => {
	it("takes key and value, a topic before them, or a list", async () => {
		const { produced, call } = scene();
		await call("k", "v");
		await call("out", "k", null);
		await call("out", [{ value: "v" }, { key: Buffer.from("k"), value: Buffer.from("v") }]);
		expect(produced).toEqual(["first k=v", "out k=null", "out null=v", "out k=v"]);
	});

	it.each<[given: unknown[], words: string]>([
		[["out", "k", undefined], "a record's value must be a Buffer, a string or null, not undefined"],
		[["k", undefined], "a record's value must be"],
		[["out", 5, "v"], "a record's key must be a Buffer, a string or null, not number"],
		[["out", undefined, "v"], "a record's key must be"],
		[["out", [{ key: "k" }]], "a record's value must be"],
		[["k", { n: 1 }], "a record's value must be a Buffer, a string or null, not object"],
		[[null, "k", "v"], "a topic is named by a string"],
		[[undefined, [{ value: "v" }]], "a topic is named by a string"],
	])("refuses what is no record, and produces nothing: %o", async (given, words) => {
		const { produced, call } = scene();
		await expect(call(...given)).rejects.toThrow(words);
		expect(produced).toEqual([]);
	});
});

describe("a list's records", () => {
	it("keep headers, timestamp and a chosen partition 0 on their way to the client, which is closed with the producer", async () => {
		const given: ProducerRecord[] = [];
		const closed: (number | undefined)[] = [];
		const client = {
			topics: async () => new Map([["out", 4]]),
			close: async (withinMs?: number) => closed.push(withinMs),
			produce: async (record: ProducerRecord) => {
				given.push(record);
				return { partition: 0, offset: 0, timestamp: 0 };
			},
		};
		const producer = new LibraryProducer(client as unknown as Producer, { kafka: { brokers: [] }, partitionStrategy: () => 0 });
		await producer.produceSync("out", [{ value: "v", headers: [["a", "1"]], timestamp: 5 }]);
		await producer[Symbol.asyncDispose]();
		expect(given).toMatchObject([{ topic: "out", key: null, partition: 0, headers: [["a", "1"]], timestamp: 5 }]);
		expect(closed).toHaveLength(1);
	});

	it("are refused by the name of what is wrong with them", async () => {
		const { call } = scene();
		await expect(call("out", [{ key: 5, value: "v" }])).rejects.toThrow(/key must be/);
		await expect(call("out", [{ key: "k", value: 5 }])).rejects.toThrow(/value must be/);
	});
});

describe("createProducer", () => {
	const kafka = { brokers: ["127.0.0.1:1"] };

	it.each<[written: object, words: string]>([
		[{ partitionStrategy: "md5" }, 'partitionStrategy: "md5" – must be murmur2, random, round-robin or a function'],
		[{ partitionStrategy: null }, "partitionStrategy: null – must be"],
		[{ topics: "orders" }, 'topics: "orders" – must be a list of names'],
		[{ topics: [""] }, 'topics: [""] – must be a list of names'],
		[{ kafka: {} }, "kafka.brokers – is needed: host:port"],
		[{ kafka: undefined }, "kafka.brokers – is needed: host:port"],
		[{ topic: ["orders"] }, "topic – is no known key (did you mean topics?)"],
	])("refuses what would go elsewhere or nowhere: %o", async (written, words) => {
		await expect(createProducer({ kafka, ...written } as never)).rejects.toMatchObject({
			code: "config_invalid",
			message: expect.stringContaining(words),
		});
	});
});
