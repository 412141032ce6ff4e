/** Polls by node-rdkafka's own consume, of a client that the test plays. */
import { EventEmitter } from "eventemitter3";
import type { KafkaConsumer as RawConsumer } from "node-rdkafka";
import { expect, it } from "vitest";
import { unpackMessages } from "../../../../src/core/messages/message-codec.ts";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import { PlainPolls } from "../../../../src/kafka/polling/plain-polls.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

class PlayedConsumer extends EventEmitter {
	brings: readonly object[] = [];
	fails: object | null = null;

	/** For how many messages it was asked, and how long it waits for each. */
	readonly asked: string[] = [];
	#timeoutMs = 1_000;

	setDefaultConsumeTimeout(timeoutMs: number): void {
		this.#timeoutMs = timeoutMs;
	}

	consume(count: number, done: (error: object | null, messages: readonly object[]) => void): void {
		this.asked.push(`${count} within ${this.#timeoutMs}`);
		done(this.fails, this.brings);
	}
}

it("messages of a partition that no memory is had for are told as not taken; those of the others come", async () => {
	const raw = new PlayedConsumer();
	const errorOf = ({ message, code }: { message: string; code: number }) => new KafkaError(message, code);
	const polls = new PlainPolls(raw as unknown as RawConsumer, { timestampType: "create", errorOf, clock: new ManualClock() });
	const message = (partition: number, offset: number, value: object = Buffer.from("v")) => ({
		...{ topic: "t", partition, offset, timestamp: 0 },
		...{ key: null, value },
	});
	raw.brings = [message(0, 1), message(1, 5), message(1, 6, { length: Number.MAX_SAFE_INTEGER }), message(2, 9), message(0, 2)];
	const { batches, notTaken, errors } = await polls.poll(1_000, 100);
	expect(batches.map(({ partition, batch }) => [partition, ...batch.offsets])).toEqual([
		[0, 1, 2],
		[2, 9],
	]);
	const reason = expect.stringMatching(/^messages from offset 5 on can't be packed: ./);
	expect([notTaken, errors]).toEqual([[{ topic: "t", partition: 1, reason }], []]);
});

it("one message is waited for; more are taken as they are there, for the wait is each message's", async () => {
	const raw = new PlayedConsumer();
	const errorOf = ({ message, code }: { message: string; code: number }) => new KafkaError(message, code);
	const polls = new PlainPolls(raw as unknown as RawConsumer, { timestampType: "create", errorOf, clock: new ManualClock() });
	raw.brings = [{ topic: "t", partition: 0, offset: 1, timestamp: 0, key: null, value: null }];
	await polls.poll(1_000, 100);
	await polls.poll(1_000, 100);
	raw.brings = [];
	await polls.poll(1, 50);
	await polls.poll(1_000, 70);
	expect(raw.asked).toEqual(["1 within 100", "1000 within 0", "1 within 50", "1 within 70"]);
	raw.brings = [{ topic: "t", partition: 0, offset: 2, timestamp: 0, key: null, value: null }];
	await polls.poll(1_000, 100);
	await polls.poll(2, 100);
	expect(raw.asked.at(-1)).toBe("2 within 0");
});

function open() {
	const raw = new PlayedConsumer();
	const errorOf = ({ message, code }: { message: string; code: number }) => new KafkaError(message, code);
	const polls = new PlainPolls(raw as unknown as RawConsumer, { timestampType: "append", errorOf, clock: new ManualClock() });
	return { raw, polls };
}

it("a message comes with its headers in order, as bytes, and with the configured type of its timestamp", async () => {
	const { raw, polls } = open();
	const headers = [{ b: Buffer.from("1") }, { a: "2" }, { b: null }, { c: undefined }, { n: 5 }];
	raw.brings = [
		{ topic: "t", partition: 0, offset: 4, timestamp: 77, key: Buffer.from("k"), value: null, headers },
		{ topic: "t", partition: 0, offset: 5, timestamp: 78, key: null, value: Buffer.from("v") },
	];
	const { batches } = await polls.poll(1_000, 100);
	const [first, second] = batches.flatMap(({ topic, partition, batch }) => unpackMessages({ topic, partition }, batch));
	expect(first).toMatchObject({ offset: 4, timestamp: 77, timestampType: "append", key: Buffer.from("k"), value: null });
	expect(first?.headers).toEqual([
		["b", Buffer.from("1")],
		["a", Buffer.from("2")],
		["b", null],
		["c", null],
		["n", Buffer.from("5")],
	]);
	expect(second).toMatchObject({ offset: 5, timestampType: "append", key: null, value: Buffer.from("v"), headers: [] });
});

it("ends that were met are told once, by the poll that they came with; an error takes the place of the messages", async () => {
	const { raw, polls } = open();
	raw.emit("partition.eof", { topic: "t", partition: 2, offset: 9, error: "eof" });
	expect(await polls.poll(1_000, 100)).toEqual({ batches: [], notTaken: [], ends: [{ topic: "t", partition: 2, offset: 9 }], errors: [] });
	raw.fails = { message: "Local: Timed out", code: -185 };
	const { ends, errors, batches } = await polls.poll(1_000, 100);
	expect([ends, batches]).toEqual([[], []]);
	expect(errors).toMatchObject([{ message: "Local: Timed out", kafkaCode: -185 }]);
});

it("behind a poll that met an end while messages were being produced no more are asked for than came in two milliseconds, or 32", async () => {
	const raw = new PlayedConsumer();
	let now = 0;
	// Each poll takes ten milliseconds.
	const clock = Object.assign(new ManualClock(), { monotonic: () => (now += 10) });
	const errorOf = ({ message, code }: { message: string; code: number }) => new KafkaError(message, code);
	const polls = new PlainPolls(raw as unknown as RawConsumer, { timestampType: "create", errorOf, clock });
	const message = (offset: number) => ({ topic: "t", partition: 0, offset, timestamp: 0, key: null, value: null });
	const bring = async (count: number, end?: number) => {
		raw.brings = Array.from({ length: count }, (_, index) => message(index));
		if (end !== undefined) raw.emit("partition.eof", { topic: "t", partition: 0, offset: end });
		await polls.poll(1_000, 100);
	};
	await bring(1);
	await bring(40, 40);
	await bring(1);
	await bring(1);
	expect(raw.asked).toEqual(["1 within 100", "1000 within 0", "1 within 100", "32 within 0"]);
});
