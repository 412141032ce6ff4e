/** What a producer hands to librdkafka, and what it makes of its reports, on calls of node-rdkafka that the test plays. */
import rdkafka from "node-rdkafka";
import { afterEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../../../src/core/clock.ts";
import { kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { MOCK_APPEND_TIME_MS } from "../../../../src/kafka/mock-cluster.ts";
import { Producer } from "../../../../src/kafka/producer.ts";
import { kafkaAt } from "../../../support/kafka/load-topic.ts";

afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

type Report = { readonly partition: number; readonly offset: number; readonly timestamp?: number };

async function open(options: Parameters<typeof Producer.connect>[1] = {}) {
	const calls: unknown[][] = [];
	const opaques: unknown[] = [];
	const state = { isConnected: true, refusal: null as { message: string; code: number } | null, metadata: null as object | null };
	let raw: { emit(event: string, ...given: unknown[]): void } | null = null;
	const { prototype } = rdkafka.Producer as unknown as { prototype: Record<string, () => unknown> };
	const play = (name: string, call: (this: never, ...given: never[]) => unknown) =>
		vi.spyOn(prototype, name).mockImplementation(call as never);
	play("connect", function (this: never, given: object, done: (error: null, metadata: object) => void) {
		raw = this;
		calls.push(["connect", given]);
		done(null, {});
	} as never);
	play("setPollInterval", (ms: number) => void calls.push(["poll every", ms]));
	play("isConnected", () => state.isConnected);
	play("produce", ((...given: unknown[]) => {
		if (state.refusal) throw Object.assign(new Error(state.refusal.message), state.refusal);
		opaques.push(given[5]);
		calls.push(["produce", ...given.slice(0, 5), given[6]]);
	}) as never);
	play("getMetadata", (given: object, done: (error: object | null, metadata: object | null) => void) => {
		calls.push(["metadata", given]);
		done(state.refusal, state.metadata);
	});
	play("flush", (ms: number, done: () => void) => {
		calls.push(["flush", ms]);
		done();
	});
	play("disconnect", (ms: number, done: () => void) => {
		calls.push(["disconnect", ms]);
		done();
	});
	const producer = await Producer.connect(kafkaAt("k1:9092"), options);
	const emit = (event: string, ...given: unknown[]) => raw?.emit(event, ...given);
	return {
		...{ producer, calls, state },
		report: (index: number, report: Report) => emit("delivery-report", null, { ...report, opaque: opaques[index] }),
		failed: (index: number, message: string, code = -1) =>
			emit("delivery-report", Object.assign(new Error(message), { code }), { opaque: opaques[index] }),
		logged: (fac: string, message: string) => emit("event.log", { fac, message }),
	};
}

const record = { topic: "t", key: null, value: "v" };

describe("a producer", () => {
	it.each([
		[{}, 10_000],
		[{ timeoutMs: 1_500 }, 1_500],
	])("connects within its time (%j)", async (options, timeout) => {
		const { calls } = await open(options);
		expect(calls).toEqual([
			["poll every", 10],
			["connect", { timeout }],
		]);
	});

	it("hands on what a record says; where it says nothing, the key decides and the time is now", async () => {
		vi.useFakeTimers({ now: 1_700_000_000_000, toFake: ["Date"] });
		const { producer, calls } = await open();
		void producer.produce({
			topic: "t",
			partition: 0,
			key: "k",
			value: Buffer.from("v"),
			timestamp: 5,
			headers: [
				["a", "1"],
				["b", Buffer.from("2")],
			],
		});
		void producer.produce({ topic: "u", key: null, value: null });
		expect(calls.slice(2)).toEqual([
			["produce", "t", 0, Buffer.from("v"), Buffer.from("k"), 5, [{ a: "1" }, { b: Buffer.from("2") }]],
			["produce", "u", null, null, null, 1_700_000_000_000, []],
		]);
	});

	it("hands on an empty key or value as one that has memory: without, it would arrive as none", async () => {
		const { producer, calls } = await open();
		void producer.produce({ topic: "t", key: "", value: Buffer.alloc(0) });
		const [, , , value, key] = calls[2] as Buffer[];
		expect([value?.length, key?.length, value?.buffer.byteLength]).toEqual([0, 0, 1]);
	});

	it("resolves with where the record went, and with its own time unless the broker set one", async () => {
		const { producer, report } = await open();
		const sent = [1, 2, 3].map((timestamp) => producer.produce({ ...record, timestamp }));
		report(1, { partition: 4, offset: 9, timestamp: 77 });
		report(0, { partition: 3, offset: 8 });
		report(2, { partition: 5, offset: 7, timestamp: MOCK_APPEND_TIME_MS });
		expect(await Promise.all(sent)).toEqual([
			{ partition: 3, offset: 8, timestamp: 1 },
			{ partition: 4, offset: 9, timestamp: 77 },
			{ partition: 5, offset: 7, timestamp: 3 },
		]);
	});

	it("refuses a header's value with a NUL in it by its name, and everything once it is closed", async () => {
		const { producer, state, calls } = await open();
		const headers = [
			["fine", "1"],
			["odd", "a\0b"],
		] as const;
		await expect(producer.produce({ ...record, headers })).rejects.toMatchObject({
			code: "header_nul",
			message: "header odd: the client can't send a value with a NUL byte in it",
		});
		state.isConnected = false;
		await expect(producer.produce(record)).rejects.toMatchObject({ code: "producer_closed" });
		expect(calls).toHaveLength(2);
	});

	it("rejects with Kafka's code, which reports have only in words; it goes on", async () => {
		const { producer, failed, state } = await open();
		const sent = producer.produce(record);
		failed(0, "Broker: Message size too large");
		await expect(sent).rejects.toMatchObject({ kafkaCode: kafkaErrors.messageTooLarge });
		state.refusal = { message: "Local: Queue full", code: kafkaErrors.queueFull };
		await expect(producer.produce(record)).rejects.toMatchObject({ message: "Local: Queue full", kafkaCode: kafkaErrors.queueFull });
		state.refusal = { message: "in no list", code: -7 };
		await expect(producer.produce(record)).rejects.toMatchObject({ message: "in no list", kafkaCode: -7 });
		expect(producer.gaveUp).toBe(false);
	});

	it.each([
		["Local: Fatal error", kafkaErrors.fatal],
		["Local: Erroneous state", kafkaErrors.state],
		["Local: Purged in queue", kafkaErrors.purgedInQueue],
		["Local: Purged in flight", kafkaErrors.purgedInFlight],
	])("gave up for good at %s: its log gives the reason, a moment later", async (message, code) => {
		const { producer, failed, logged } = await open();
		const sent = producer.produce(record);
		failed(0, message, code);
		expect(producer.gaveUp).toBe(true);
		logged("FAIL", "[thrd:x]: Fatal error: Broker: Unknown member: no");
		logged("FATAL", "[thrd:main]: Fatal error: Broker: Invalid producer epoch: no");
		await expect(sent).rejects.toMatchObject({ message: expect.stringContaining("producer") });
		await expect(sent).rejects.not.toMatchObject({ message });
	});

	it("that gave up without a reason in its log says so after a second", async () => {
		const sleep = vi.spyOn(systemClock, "sleep").mockResolvedValue();
		const { producer, failed } = await open();
		const sent = producer.produce(record);
		failed(0, "Local: Fatal error", kafkaErrors.fatal);
		await expect(sent).rejects.toMatchObject({ message: "Local: Fatal error", kafkaCode: kafkaErrors.fatal });
		expect(sleep.mock.calls).toEqual([[1_000]]);
	});
});

describe("the topics that a producer sees", () => {
	it("are all, or the one that is named; without partitions one is none", async () => {
		const { producer, calls, state } = await open();
		state.metadata = {
			topics: [
				{ name: "a", partitions: [{}, {}] },
				{ name: "absent", partitions: [] },
			],
		};
		expect([...(await producer.topics())]).toEqual([["a", 2]]);
		await producer.topics("absent", 1_500);
		expect(calls.slice(2)).toEqual([
			["metadata", { allTopics: true, timeout: 10_000 }],
			["metadata", { topic: "absent", timeout: 1_500 }],
		]);
	});

	it("can't be had where Kafka does not answer", async () => {
		const { producer, state } = await open();
		state.refusal = { message: "Local: Timed out", code: kafkaErrors.timedOut };
		await expect(producer.topics()).rejects.toMatchObject({ kafkaCode: kafkaErrors.timedOut });
	});

	it("have no settings that can be known before it is connected", async () => {
		const { producer } = await open();
		expect(await producer.topicSettings(["a"])).toBe(null);
	});
});

describe("a producer that closes", () => {
	it("flushes for as long as it is given, is polled no more, and is closed once", async () => {
		const { producer, calls } = await open();
		await Promise.all([producer.close(1_500), producer.close(9)]);
		await producer[Symbol.asyncDispose]();
		expect(calls.slice(2)).toEqual([
			["flush", 1_500],
			["poll every", 0],
			["disconnect", 0],
		]);
		const other = await open();
		await other.producer.close(0);
		expect(other.calls.slice(2).map(([what]) => what)).toEqual(["poll every", "disconnect"]);
		const disposed = await open();
		await disposed.producer[Symbol.asyncDispose]();
		expect(disposed.calls[2]).toEqual(["flush", 5_000]);
	});

	it("waits for reports as long as some come, and refuses the records without one", async () => {
		const { producer, report, calls } = await open();
		const sent = [0, 1, 2, 3].map(() => producer.produce(record));
		const refused = expect(sent[3]).rejects.toMatchObject({
			code: "producer_closed",
			message: "the producer was closed before the record was reported",
		});
		setImmediate(() => {
			report(0, { partition: 0, offset: 0 });
			setImmediate(() => {
				report(1, { partition: 0, offset: 1 });
				report(2, { partition: 0, offset: 2 });
			});
		});
		await producer.close(0);
		await refused;
		expect((await Promise.all(sent.slice(0, 3))).map(({ offset }) => offset)).toEqual([0, 1, 2]);
		expect(calls.at(-1)).toEqual(["disconnect", 0]);
	});
});
