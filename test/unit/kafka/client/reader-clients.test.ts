/** The clients of readers without a group: with which settings they connect, and that they are closed whatever happens. */
import rdkafka from "node-rdkafka";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ConsumerClient } from "../../../../src/kafka/client/consumer-client.ts";
import { newestMessages } from "../../../../src/kafka/client/newest-messages.ts";
import { LogReader } from "../../../../src/kafka/log-reader.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";
import { kafkaAt } from "../../../support/kafka/load-topic.ts";

afterEach(() => void vi.restoreAllMocks());

interface Raw {
	readonly globalConfig: Record<string, unknown>;
	readonly topicConfig: Record<string, unknown>;
}

const metadata = { brokers: [{ id: 1, host: "k1", port: 9_092 }], topics: [] };
const one = { topic: "t", partition: 3 };

describe("a reader of the log", () => {
	type Connect = (options: object, done: (error: Error | null, metadata?: object) => void) => void;

	/** Each client connects like this. */
	function connecting(connect: Connect) {
		const raws: Raw[] = [];
		const prototype = rdkafka.KafkaConsumer.prototype as unknown as { connect: Connect };
		vi.spyOn(prototype, "connect").mockImplementation(function (this: Raw, options, done) {
			raws.push(this);
			connect(options, done);
		});
		const close = vi.spyOn(ConsumerClient.prototype, "close").mockResolvedValue(true);
		return { raws, close };
	}

	it("connects within ten seconds, commits nothing, hears of ends, and prefetches little", async () => {
		let asked: object = {};
		const { raws, close } = connecting((options, done) => {
			asked = options;
			done(null, metadata);
		});
		const reader = await LogReader.connect(kafkaAt("k1:9092"), new ManualClock(), "audit", new AbortController().signal);
		expect([asked, reader.metadata]).toEqual([{ timeout: 10_000 }, metadata]);
		expect(raws[0]?.globalConfig).toMatchObject({
			"bootstrap.servers": "k1:9092",
			"group.id": "audit",
			"enable.auto.commit": false,
			"enable.auto.offset.store": false,
			"enable.partition.eof": true,
			"queued.max.messages.kbytes": 1_024,
		});
		expect(raws[0]?.topicConfig).toEqual({ "auto.offset.reset": "earliest" });
		expect(close).not.toHaveBeenCalled();
		await reader[Symbol.asyncDispose]();
		expect(close).toHaveBeenCalledOnce();
	});

	it.each([
		["append", "append"],
		["", "undefined"],
	] as const)(
		"gives messages the type of timestamps that is configured where the client can't tell: %j is %s",
		async (timestampType, type) => {
			const { raws } = connecting((_, done) => done(null, metadata));
			const kafka = { ...kafkaAt("k1:9092"), timestampType };
			const reader = await LogReader.connect(kafka, new ManualClock(), "audit", new AbortController().signal);
			const message = { ...one, offset: 4, timestamp: 5, key: null, value: null };
			Object.assign(raws[0] as object, {
				...{ assign: () => {}, incrementalUnassign: () => {}, subscription: () => [], setDefaultConsumeTimeout: () => {} },
				consume: (_: number, done: (error: null, messages: object[]) => void) => done(null, [message]),
			});
			const read: unknown[] = [];
			for await (const [, messages] of reader.read([{ ...one, from: 4, to: 5 }])) read.push(...messages);
			expect(read).toMatchObject([{ offset: 4, timestampType: type }]);
		},
	);

	it("that can't connect, or is interrupted meanwhile, leaves no client behind", async () => {
		const { close } = connecting((_, done) => done(new Error("no broker")));
		const connected = LogReader.connect(kafkaAt("k1:9092"), new ManualClock(), "audit", new AbortController().signal);
		await expect(connected).rejects.toMatchObject({ code: "kafka_connect" });
		expect(close).toHaveBeenCalledOnce();
		vi.restoreAllMocks();
		const silent = connecting(() => {});
		const interrupt = new AbortController();
		const waiting = LogReader.connect(kafkaAt("k1:9092"), new ManualClock(), "audit", interrupt.signal);
		interrupt.abort(new Error("SIGINT"));
		await expect(waiting).rejects.toThrow("SIGINT");
		expect(silent.close).toHaveBeenCalledOnce();
	});
});

describe("the newest messages", () => {
	type Brought = Awaited<ReturnType<ConsumerClient["consume"]>>;

	/** Reads two partitions for three seconds, of which each poll takes one. */
	async function reading(...polls: Brought[]) {
		const clock = new ManualClock();
		await clock.advance(7_000);
		const calls: unknown[] = [];
		vi.spyOn(ConsumerClient.prototype, "connect").mockImplementation(async function (this: ConsumerClient, timeoutMs) {
			const { globalConfig, topicConfig } = this.raw as Raw;
			const names = ["group.id", "enable.auto.commit", "enable.partition.eof"];
			calls.push(["connect", timeoutMs, names.map((name) => globalConfig[name]), topicConfig]);
		});
		vi.spyOn(ConsumerClient.prototype, "assign").mockImplementation((...given) => void calls.push(["assign", ...given]));
		const consume = vi.spyOn(ConsumerClient.prototype, "consume").mockImplementation(async () => {
			await clock.advance(1_000);
			return polls.shift() ?? { messages: [], ends: [] };
		});
		vi.spyOn(ConsumerClient.prototype, "close").mockImplementation(async (...given) => calls.push(["close", ...given]) > 0);
		const from = [
			{ ...one, offset: 5 },
			{ ...one, partition: 4, offset: 9 },
		];
		return { calls, consume, from, read: newestMessages(kafkaAt("k1:9092"), clock, from, { group: "audit", withinMs: 3_000 }) };
	}

	const message = (offset: number) => ({ ...one, offset, timestamp: 77, key: null, value: null, headers: [] });

	it("are read from where they are wanted to the end of each log, by a client that joins no group and commits nothing", async () => {
		const [end, other] = [
			{ ...one, offset: 7 },
			{ ...one, partition: 4, offset: 9 },
		];
		const { calls, consume, from, read } = await reading(
			{ messages: [message(5), message(6)], ends: [end] },
			{ messages: [message(7)], ends: [other] },
		);
		expect((await read).map(({ offset }) => offset)).toEqual([5, 6, 7]);
		expect(calls).toEqual([
			["connect", 3_000, ["audit", false, true], { "auto.offset.reset": "error" }],
			["assign", from, false],
			["close", { withinMs: 3_000 }],
		]);
		expect(consume).toHaveBeenCalledTimes(2);
	});

	it("are those that came in the time that it has", async () => {
		const { consume, read } = await reading({ messages: [message(5)], ends: [] });
		expect((await read).map(({ offset }) => offset)).toEqual([5]);
		expect(consume).toHaveBeenCalledTimes(3);
	});

	it("are refused with Kafka's error, and the client is closed", async () => {
		const { calls, consume, read } = await reading();
		consume.mockRejectedValue(new Error("no right"));
		await expect(read).rejects.toThrow("no right");
		await settle();
		expect(calls.at(-1)).toEqual(["close", { withinMs: 3_000 }]);
	});
});
