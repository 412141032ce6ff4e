/** Letters of a topic as the commands see them: found by a filter, counted, marked, written again. On a topic in memory. */
import { beforeEach, describe, expect, it } from "vitest";
import { type DeadLetter, refusedRowsOf, type StoredLetter } from "../../../../src/core/dead-letters/dead-letter.ts";
import type { ReceivedMessage } from "../../../../src/core/messages/message.ts";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import { letterHeaders, readLetterRecord, type TextHeader } from "../../../../src/kafka/dead-letters/dead-letter-record.ts";
import { DeadLetterTopicStore } from "../../../../src/kafka/dead-letters/dead-letter-topic-store.ts";
import type { LogRange } from "../../../../src/kafka/log-reader.ts";
import type { ProducerRecord } from "../../../../src/kafka/producer.ts";
import { deadLetter, lettersIn, replayFailure } from "../../../support/fakes/dead-letters.ts";
import { kafkaAt } from "../../../support/kafka/load-topic.ts";

const origin = { consumerGroup: "g", version: "1" };

let partitions: ReceivedMessage[][];
/** What the next records meet, one after the other. */
let meets: (Error | null)[];
/** Of readers and producers. */
let closed: string[];
let asked: string[];
let store: DeadLetterTopicStore;

function append(partition: number, { key, value, headers = [] }: Pick<ProducerRecord, "key" | "value" | "headers">): void {
	const list = partitions[partition] as ReceivedMessage[];
	const told = headers.map(([name, content]): [string, Buffer | null] => [name, content === null ? null : Buffer.from(content)]);
	const timestamp = 1_000 + partitions.flat().length;
	const place = { topic: "dlq", partition, offset: list.length, timestamp };
	list.push({ ...place, key: key as Buffer | null, value: value as Buffer | null, headers: told });
}

function holds(partition: number, over: Partial<DeadLetter> = {}, group = "g"): void {
	const letter = deadLetter(over);
	append(partition, {
		key: letter.key,
		value: letter.value,
		headers: letterHeaders(letter, { ...origin, consumerGroup: group }) as TextHeader[],
	});
}

beforeEach(() => {
	[partitions, meets, closed, asked] = [[[], [], []], [], [], []];
	const reader = {
		get metadata() {
			return { brokers: [], topics: [{ name: "dlq", partitions: partitions.map((_, id) => ({ id })) }] };
		},
		watermarks: async ({ partition }: { partition: number }) => ({ low: 0, high: partitions[partition]?.length }),
		topicIds: async () => new Map(),
		async *read(ranges: readonly LogRange[]) {
			for (const { topic, partition, from, to } of ranges) yield [{ topic, partition }, partitions[partition]?.slice(from, to) ?? []];
		},
		[Symbol.asyncDispose]: async () => void closed.push("reader"),
	};
	const producer = {
		produce: async ({ topic, partition = -1, ...record }: ProducerRecord) => {
			asked.push(`${topic}/${partition}`);
			const error = meets.shift();
			if (error) throw error;
			append(partition as number, record as never);
		},
		topics: async (topic: string) => void asked.push(`topics ${topic}`),
		[Symbol.asyncDispose]: async () => void closed.push("producer"),
	};
	store = new DeadLetterTopicStore({
		...{ ...origin, kafka: kafkaAt("127.0.0.1:1"), topic: "dlq", clock: null as never, signal: new AbortController().signal },
		...{ connectReader: async () => reader as never, connectProducer: async () => producer as never },
	});
});

const placeOf = ({ topic, partition, offset }: Pick<StoredLetter, "topic" | "partition" | "offset">) => `${topic}/${partition}@${offset}`;
const states = async () => (await lettersIn(store)).map((letter) => `${placeOf(letter)} ${letter.state} ${letter.attempts}`);

describe("letters of a topic", () => {
	beforeEach(() => {
		holds(1, { topic: "orders", partition: 2, offset: 9 });
		holds(0, { topic: "orders", partition: 2, offset: 7, reason: "rejected" });
		holds(2, { topic: "a", partition: 3, offset: 8, topicId: "log-2" });
		holds(0, { topic: "orders", partition: 0, offset: 11, state: "skipped" });
		holds(0, { topic: "orders", partition: 0, offset: 12 }, "another group");
	});

	it("are read by topic, partition and offset, as many as wanted", async () => {
		const all = ["a/3@8", "orders/0@11", "orders/2@7", "orders/2@9"];
		expect((await lettersIn(store)).map(placeOf)).toEqual(all);
		expect((await lettersIn(store, {}, 2)).map(placeOf)).toEqual(all.slice(0, 2));
		expect((await lettersIn(store, {}, 4)).map(placeOf)).toEqual(all);
		expect(closed).toEqual(["reader", "reader", "reader"]);
	});

	it("of several logs of a topic come log by log, and by time where their offsets are equal", async () => {
		holds(2, { topic: "a", partition: 3, offset: 9, topicId: "log-1" });
		holds(1, { topic: "a", partition: 3, offset: 5, topicId: null, timestamp: 30 });
		holds(1, { topic: "a", partition: 3, offset: 5, topicId: null, timestamp: 20 });
		const found = await lettersIn(store, { topic: "a" });
		expect(found.map(({ offset, topicId, timestamp }) => [topicId, offset, timestamp])).toEqual([
			[null, 5, 20],
			[null, 5, 30],
			["log-1", 9, 1_700_000_000_000],
			["log-2", 8, 1_700_000_000_000],
		]);
	});

	it.each([
		[{ topic: "orders", partition: 2 }, ["orders/2@7", "orders/2@9"]],
		[{ offset: 8 }, ["a/3@8"]],
		[{ reason: "rejected" }, ["orders/2@7"]],
		[{ states: ["skipped"] }, ["orders/0@11"]],
		[{ states: ["open"], topicId: null }, ["orders/2@7", "orders/2@9"]],
		[{ topicId: "log-2" }, ["a/3@8"]],
		[{ partition: 0, reason: "rejected" }, []],
	] as const)("are found by %o", async (filter, expected) => {
		expect((await lettersIn(store, filter as never)).map(placeOf)).toEqual(expected);
	});

	it("are counted by topic and state", async () => {
		expect(await store.count({})).toEqual([
			{ topic: "a", state: "open", letters: 1 },
			{ topic: "orders", state: "open", letters: 2 },
			{ topic: "orders", state: "skipped", letters: 1 },
		]);
	});

	it("tell when each came first and last, and with what", async () => {
		holds(1, { topic: "orders", partition: 2, offset: 9, attempts: 3, error: "again" });
		const [letter] = await lettersIn(store, { offset: 9 });
		expect(letter).toMatchObject({ error: "again", firstAt: "1970-01-01T00:00:01.000Z", lastAt: "1970-01-01T00:00:01.005Z" });
		expect(`${letter?.key} ${letter?.value}`).toBe("key value");
	});

	it("count as not replayed, with the rows that were refused, until they are", async () => {
		holds(1, { ...replayFailure, topic: "b", offset: 1 });
		const [letter] = await lettersIn(store, { topic: "a" });
		await store.settle([{ letter: letter as StoredLetter, failure: null }]);
		const left = await store.unreplayed();
		expect(left.map(placeOf).sort()).toEqual(["b/2@1", "orders/0@11", "orders/2@7", "orders/2@9"]);
		const one = left.find(({ topic }) => topic === "b");
		expect(one).toMatchObject({ reason: "row_fault", state: "open", rowsLeftOut: 0 });
		expect(one?.rows).toEqual(refusedRowsOf({ ...deadLetter(replayFailure) } as never));
	});

	it("are discarded where they are open or skipped", async () => {
		const [letter] = await lettersIn(store, { offset: 7 });
		await store.settle([{ letter: letter as StoredLetter, failure: null }]);
		expect(await store.discard({ topic: "orders" })).toBe(2);
		expect(await states()).toEqual(["a/3@8 open 1", "orders/0@11 discarded 1", "orders/2@7 replayed 1", "orders/2@9 discarded 1"]);
		expect(await store.discard({ topic: "orders" })).toBe(0);
	});

	it("can't be deleted", async () => {
		await expect(store.purge()).rejects.toMatchObject({ code: "letters_in_topic" });
	});
});

describe("a letter that was replayed", () => {
	const read = async () => (await lettersIn(store))[0] as StoredLetter;

	it("is marked in every partition that has records of it, behind them", async () => {
		holds(0);
		holds(2);
		await store.settle([{ letter: await read(), failure: null }]);
		expect(partitions.map((list) => list.length)).toEqual([2, 0, 2]);
		for (const partition of [0, 2]) {
			const mark = partitions[partition]?.[1] as ReceivedMessage;
			expect([mark.value, `${mark.key}`, readLetterRecord(mark)]).toMatchObject([null, "key", { type: "mark", state: "replayed" }]);
		}
		expect(await states()).toEqual(["orders/2@7 replayed 1"]);
	});

	it("and opened anew elsewhere is discarded there alone", async () => {
		holds(0);
		await store.settle([{ letter: await read(), failure: null }]);
		holds(2);
		expect(await states()).toEqual(["orders/2@7 open 1"]);
		expect(await store.discard({})).toBe(1);
		expect(partitions.map((list) => list.length)).toEqual([2, 0, 2]);
		expect(await states()).toEqual(["orders/2@7 discarded 1"]);
	});

	it("and failed stays what it was, with what the replay met", async () => {
		holds(1, { attempts: 3 });
		await store.settle([{ letter: await read(), failure: { ...replayFailure, attempts: 2 } }]);
		expect(await read()).toMatchObject({ state: "open", attempts: 5, reason: "row_fault", error: "out of range", sqlstate: "22003" });
		expect(partitions.map((list) => list.length)).toEqual([0, 2, 0]);
	});

	it.each(["skipped", "discarded"] as const)("and failed stays %s", async (state) => {
		holds(1, { state: state === "skipped" ? "skipped" : "open" });
		if (state === "discarded") await store.discard({});
		await store.settle([{ letter: await read(), failure: replayFailure }]);
		expect(await read()).toMatchObject({ state, error: "out of range" });
	});

	it("is written briefly where it is too large with what the replay met", async () => {
		holds(1);
		meets = [new KafkaError("too large", 10)];
		await store.settle([{ letter: await read(), failure: { ...replayFailure, error: "x".repeat(10_000) } }]);
		expect((await read()).error.length).toBeLessThan(10_000);
		expect(asked).toEqual(["dlq/1", "dlq/1"]);
	});

	it("is told as it is where it can't be written for another reason", async () => {
		holds(1);
		meets = [new KafkaError("no", 7)];
		await expect(store.settle([{ letter: await read(), failure: replayFailure }])).rejects.toThrow("no");
		expect(asked).toEqual(["dlq/1"]);
	});

	it("is written to a partition that was added meanwhile, once the producer has asked for it", async () => {
		holds(2);
		meets = [new KafkaError("unknown partition", -190)];
		await store.settle([{ letter: await read(), failure: null }]);
		expect(asked).toEqual(["dlq/2", "topics dlq", "dlq/2"]);
		await store[Symbol.asyncDispose]();
		expect(closed.at(-1)).toBe("producer");
	});

	it("and is none of those that this store has read is left alone", async () => {
		holds(1);
		await store.settle([{ letter: { ...(await read()) }, failure: null }]);
		expect(asked).toEqual([]);
	});
});
