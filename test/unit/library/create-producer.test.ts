/** What is produced where, by how `produceSync` is called. */
import { describe, expect, it } from "vitest";
import type { Producer, ProducerRecord } from "../../../src/kafka/producer.ts";
import { LibraryProducer } from "../../../src/library/create-producer.ts";

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
