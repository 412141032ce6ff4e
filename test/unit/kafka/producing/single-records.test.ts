/** Records that are produced one by one, by a producer that the test plays. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { packMessages } from "../../../../src/core/messages/message-codec.ts";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { Producer, type ProducerRecord } from "../../../../src/kafka/producer.ts";
import type { Part } from "../../../../src/kafka/producing/record-lane.ts";
import { connectSingleRecords, produceHint } from "../../../../src/kafka/producing/single-records.ts";
import { RecordPacker } from "../../../../src/worker/inside/rows/record-packer.ts";
import { kafkaAt } from "../../../support/kafka/load-topic.ts";

const kafka = { ...kafkaAt("127.0.0.1:1"), group: "g" };

/** The second of two records of a message at orders/2 offset 40. */
function second(record: object): Part {
	const packer = new RecordPacker({ topics: null, keeps: true });
	const message = { topic: "orders", partition: 2, offset: 40, timestamp: 9, key: null, value: null, headers: [] };
	packer.add(0, [{ topic: "t", key: "first" }, { topic: "t", ...record } as never], 0, 9, 1e9);
	const [block] = packer.take()?.blocks ?? [];
	const source = { topic: "orders", partition: 2, batch: packMessages([message]) };
	return { parcel: { source, block, first: 0 }, from: 1, to: 2 } as unknown as Part;
}

/** `fails` with: the client's answer; `topics`: those that exist. */
async function singles({ fails = null as Error | null, topics = new Map([["t", 3]]), bytes = 1 } = {}) {
	const produced: ProducerRecord[] = [];
	const close = vi.fn(async () => {});
	const connect = vi.spyOn(Producer, "connect").mockResolvedValue({
		produce: async (record: ProducerRecord) => {
			produced.push(record);
			if (fails) throw fails;
		},
		topics: async () => topics,
		close,
	} as never);
	return { client: await connectSingleRecords(kafka, bytes), produced, close, options: () => connect.mock.calls[0]?.[1] };
}

afterEach(() => vi.restoreAllMocks());

describe("a single record", () => {
	it("is produced with what the handler gave, and says where it comes from", async () => {
		const { client, produced, close } = await singles();
		await client.produce(second({ key: "k", value: "v", partition: 0, timestamp: 0, headers: [["own", "1"]] }));
		const from = { "pockaffe-source": "orders/2/40", "pockaffe-source-index": "1", "pockaffe-source-timestamp": "9" };
		expect(produced).toEqual([
			{
				...{ topic: "t", key: Buffer.from("k"), value: Buffer.from("v"), partition: 0, timestamp: 0 },
				headers: [["own", Buffer.from("1")], ...Object.entries(from), ["pockaffe-source-group", "g"]],
			},
		]);
		await client.close();
		expect(close).toHaveBeenCalledExactlyOnceWith(0);
	});

	it("goes where its key decides if the handler names no partition", async () => {
		const { client, produced } = await singles();
		await client.produce(second({ key: "k", value: null }));
		expect(produced[0]).not.toHaveProperty("partition");
	});

	it.each([
		["five seconds", 2 ** 20, 5_000],
		["two minutes if it is large", 2 ** 20 + 1, 120_000],
	])("may take %s", async (_, bytes, deliveryTimeoutMs) => {
		const { options } = await singles({ bytes });
		expect(options()).toEqual({ timeoutMs: 5_000, deliveryTimeoutMs });
	});
});

describe("a single record that got no answer in time", () => {
	const timedOut = new KafkaError("Local: Message timed out", kafkaErrors.messageTimedOut);

	it("is for a topic that does not exist, where the broker knows none of that name", async () => {
		const { client } = await singles({ fails: timedOut, topics: new Map([["other", 1]]) });
		const told = { kafkaCode: kafkaErrors.unknownTopicOrPartition, message: "the topic does not exist", cause: timedOut };
		await expect(client.produce(second({ key: "k" }))).rejects.toMatchObject(told);
	});

	it("is told as that where the topic is there, and so is any other error", async () => {
		const { client } = await singles({ fails: timedOut });
		await expect(client.produce(second({ key: "k" }))).rejects.toBe(timedOut);
		const tooLarge = new KafkaError("too large", kafkaErrors.messageTooLarge);
		const { client: other } = await singles({ fails: tooLarge, topics: new Map() });
		await expect(other.produce(second({ key: "k" }))).rejects.toBe(tooLarge);
	});
});

it("what can be done is said of a topic that is missing, or may not be written to, and of no other error", () => {
	const hint = (code: number) => produceHint(kafka, new KafkaError("no", code), "t");
	expect([kafkaErrors.unknownTopicOrPartition, kafkaErrors.unknownTopic].map(hint)).toEqual(
		Array(2).fill("is the name right? Else create it: pockaffe topic create t -p N"),
	);
	expect(hint(kafkaErrors.topicAuthorizationFailed)).toMatch(/^give the right: .* --operation Write --topic t$/);
	expect(hint(kafkaErrors.messageTooLarge)).toBeNull();
});
