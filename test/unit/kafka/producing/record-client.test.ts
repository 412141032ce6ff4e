/** The client that sends a daemon's records, over calls of node-rdkafka that the test plays. */
import rdkafka from "node-rdkafka";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { packMessages } from "../../../../src/core/messages/message-codec.ts";
import { kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { connectRecordClient } from "../../../../src/kafka/producing/record-client.ts";
import type { Part } from "../../../../src/kafka/producing/record-lane.ts";
import { RecordPacker } from "../../../../src/worker/inside/rows/record-packer.ts";
import { kafkaAt } from "../../../support/kafka/load-topic.ts";

const kafka = { ...kafkaAt("127.0.0.1:1"), group: "g" };
const NOW = 1_700_000_000_000;

/** `refuses` from this many records on, with this error. */
function play({ after = Number.POSITIVE_INFINITY, error = {}, topics = [] as object[] } = {}) {
	const calls: unknown[][] = [];
	const { prototype } = rdkafka.Producer as unknown as { prototype: Record<string, (...given: never[]) => unknown> };
	const played = (name: string, call: (...given: never[]) => unknown) => vi.spyOn(prototype, name).mockImplementation(call);
	let raw: { emit(event: string, ...facts: unknown[]): void } | undefined;
	vi.spyOn(prototype, "connect").mockImplementation(function (this: never, _: never, done: (error: null, metadata: object) => void) {
		raw = this;
		done(null, {});
	});
	played("disconnect", (_: never, done: () => void) => done());
	const intervals = played("setPollInterval", () => {});
	played("getMetadata", (_: never, done: (error: null, metadata: object) => void) => done(null, { topics }));
	played("produce", (...given: unknown[]) => {
		if (calls.length >= after) throw Object.assign(new Error("no"), error);
		calls.push(given);
	});
	return { calls, intervals, emit: (event: string, ...facts: unknown[]) => raw?.emit(event, ...facts) };
}

/** Records of one message without a timestamp, at orders/2 offset 40, from number 100 on. */
function part(from: number, to: number, ...records: readonly object[]): Part {
	const packer = new RecordPacker({ topics: null, keeps: true });
	const message = { topic: "orders", partition: 2, offset: 40, timestamp: -1, key: null, value: null, headers: [] };
	packer.add(0, records.map((record) => ({ topic: "t", ...record })) as never, 0, -1, 1e9);
	const [block] = packer.take()?.blocks ?? [];
	return { parcel: { source: { topic: "orders", partition: 2, batch: packMessages([message]) }, block, first: 100 }, from, to } as never;
}

const three = [{ key: "a" }, { key: "b" }, { key: "c" }];

beforeEach(() => vi.useFakeTimers({ now: NOW, toFake: ["Date"] }));
afterEach(() => {
	vi.useRealTimers();
	vi.restoreAllMocks();
});

it("a record is handed over with what the handler gave, its number, and where it comes from", async () => {
	const { calls } = play();
	const client = await connectRecordClient(kafka, () => {});
	const own = { key: "k", value: null, partition: 0, timestamp: 0, headers: [["own", "1"]] };
	expect(client.produce(part(1, 2, { key: "first" }, own))).toEqual({ taken: 1, error: null });
	const source = [{ "pockaffe-source": "orders/2/40" }, { "pockaffe-source-index": "1" }, { "pockaffe-source-timestamp": "-1" }];
	const headers = [{ own: Buffer.from("1") }, ...source, { "pockaffe-source-group": "g" }];
	expect(calls).toEqual([["t", 0, null, Buffer.from("k"), 0, 101, headers]]);
});

it("a record without a partition goes where its key decides, and one without a time gets the present one", async () => {
	const { calls } = play();
	const client = await connectRecordClient(kafka, () => {});
	client.produce(part(0, 1, { key: "k", value: "" }));
	expect(calls[0]?.slice(0, 6)).toEqual(["t", null, Buffer.alloc(0), Buffer.from("k"), NOW, 100]);
});

it("a full queue takes fewer, which is no error; a refusal is one, and says of which record", async () => {
	play({ after: 2, error: { message: "Local: Queue full" } });
	const full = await connectRecordClient(kafka, () => {});
	expect(full.produce(part(0, 3, ...three))).toEqual({ taken: 2, error: null });
	vi.restoreAllMocks();
	play({ after: 1, error: { message: "Broker: Message size too large" } });
	const strict = await connectRecordClient(kafka, () => {});
	const error = expect.objectContaining({ kafkaCode: kafkaErrors.messageTooLarge });
	expect(strict.produce(part(0, 3, ...three))).toEqual({ taken: 1, error });
});

it("a topic has so many partitions, of which some may have no leader; one that is hidden or missing has none", async () => {
	const partitions = [0, -1, 4, -1].map((leader, id) => ({ id, leader }));
	play({
		topics: [
			{ name: "other", partitions: partitions.slice(0, 1) },
			{ name: "t", partitions },
		],
	});
	const client = await connectRecordClient(kafka, () => {});
	expect(await client.partitions("t")).toEqual({ count: 4, leaderless: [1, 3] });
	expect(await client.partitions("nope")).toEqual({ count: 0, leaderless: [] });
});

it("reports are passed on until the client is closed, and nobody polls it from then on", async () => {
	const { emit, intervals } = play();
	const told: unknown[] = [];
	const client = await connectRecordClient(kafka, (topic, number, error) => told.push([topic, number, error?.kafkaCode ?? null]));
	emit("delivery-report", null, { topic: "t", opaque: 100 });
	emit("delivery-report", new Error("Broker: Message size too large"), { topic: "u", opaque: 7 });
	expect(told).toEqual([
		["t", 100, null],
		["u", 7, kafkaErrors.messageTooLarge],
	]);
	await client.close();
	emit("delivery-report", null, { topic: "t", opaque: 101 });
	expect(told.length).toBe(2);
	expect(intervals.mock.calls).toEqual([[5], [0]]);
});

it("why a client gave up is what its log said first", async () => {
	const { emit } = play();
	const client = await connectRecordClient(kafka, () => {});
	emit("event.log", { fac: "FAIL", message: "[thrd:main]: Fatal error: Broker: Unknown member: no" });
	expect(client.gaveUp).toBeNull();
	emit("event.log", { fac: "FATAL", message: "[thrd:main]: Fatal error: Broker: Cluster authorization failed: no" });
	emit("event.log", { fac: "FATAL", message: "[thrd:main]: Fatal error: Broker: Unknown member: no" });
	expect(client.gaveUp).toMatchObject({ kafkaCode: kafkaErrors.clusterAuthorizationFailed });
});
