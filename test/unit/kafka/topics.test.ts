/** What the commands read of a cluster, from answers of node-rdkafka that the test plays. */
import rdkafka from "node-rdkafka";
import { afterEach, describe, expect, it, vi } from "vitest";
import { awaitTopic, ClusterInspector, createTopic } from "../../../src/kafka/topics.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";
import { kafkaAt } from "../../support/kafka/load-topic.ts";

const kafka = kafkaAt("127.0.0.1:1");
const partition = (id: number, leader = 1) => ({ id, leader, replicas: [1, 2], isrs: [2] });
/** First and next offset. */
const logs: Readonly<Record<string, readonly [number, number]>> = { "b/0": [0, 10], "b/1": [5, 5], "a/0": [6, 10], "a/2": [4, 8] };
const committed: Readonly<Record<string, number>> = { "b/0": 7, "b/1": 5, "a/0": 2 };

type Topics = readonly { readonly name: string; readonly partitions: readonly ReturnType<typeof partition>[] }[];

function play(...metadata: readonly Topics[]) {
	const { prototype } = rdkafka.KafkaConsumer as unknown as { prototype: Record<string, unknown> };
	const played = (name: string, call: (...given: never[]) => unknown) =>
		vi.spyOn(prototype as Record<string, () => unknown>, name).mockImplementation(call as never);
	let times = 0;
	const connected = played("connect", (_: never, done: (error: null, metadata: unknown) => void) => {
		done(null, { brokers: [], topics: metadata[Math.min(times++, metadata.length - 1)] });
	});
	const closed = played("disconnect", (done: () => void) => done());
	played("committed", (asked: { topic: string; partition: number }[], _: never, done: (error: null, found: unknown) => void) =>
		done(
			null,
			asked.map((each) => ({ ...each, offset: committed[`${each.topic}/${each.partition}`] })),
		),
	);
	played("queryWatermarkOffsets", (topic: string, id: number, _: never, done: (error: null, found: unknown) => void) => {
		const [lowOffset, highOffset] = logs[`${topic}/${id}`] as readonly [number, number];
		done(null, { lowOffset, highOffset });
	});
	return { connected, closed };
}

afterEach(() => vi.restoreAllMocks());

const cluster: Topics = [
	{ name: "b", partitions: [partition(1), partition(0)] },
	{ name: "__consumer_offsets", partitions: [partition(0)] },
	{ name: "a", partitions: [partition(2, 3), partition(0)] },
	{ name: "gone", partitions: [] },
];

describe("a cluster", () => {
	it("has topics, without Kafka's own, and their partitions in order", async () => {
		play(cluster);
		const inspector = await ClusterInspector.connect(kafka, new ManualClock());
		expect(inspector.topics).toEqual(["b", "a", "gone"]);
		expect([inspector.partitionsOf("a"), inspector.partitionsOf("nope")]).toEqual([[0, 2], []]);
	});

	it("describes a topic by partition: its leader, its replicas, those in sync, both ends of its log", async () => {
		play(cluster);
		const inspector = await ClusterInspector.connect(kafka, new ManualClock());
		expect(await inspector.describe("a")).toEqual([
			{ partition: 0, leader: 1, replicas: [1, 2], inSyncReplicas: [2], lowWatermark: 6, highWatermark: 10 },
			{ partition: 2, leader: 3, replicas: [1, 2], inSyncReplicas: [2], lowWatermark: 4, highWatermark: 8 },
		]);
		expect([await inspector.describe("nope"), await inspector.describe("gone")]).toEqual([null, null]);
	});

	it("tells a group's offsets by topic and partition: its lag as a number, and as a share of what its log has", async () => {
		play(cluster);
		const inspector = await ClusterInspector.connect(kafka, new ManualClock());
		expect(await inspector.groupOffsets(["b", "a"])).toEqual([
			// More is to be read than its log still has.
			{ topic: "a", partition: 0, committed: 2, latest: 10, lag: 8, lagPercent: 100 },
			{ topic: "a", partition: 2, committed: null, latest: 8, lag: null, lagPercent: null },
			{ topic: "b", partition: 0, committed: 7, latest: 10, lag: 3, lagPercent: 30 },
			{ topic: "b", partition: 1, committed: 5, latest: 5, lag: 0, lagPercent: 0 },
		]);
		expect((await inspector.groupOffsets(["b"])).map(({ topic }) => topic)).toEqual(["b", "b"]);
		expect(await inspector.groupOffsets(["nope"])).toEqual([]);
	});
});

describe("a new topic", () => {
	it("is there once each of its partitions has a leader", async () => {
		const { connected, closed } = play(
			[],
			[{ name: "new", partitions: [partition(0)] }],
			[{ name: "new", partitions: [partition(0), partition(1, -1)] }],
			[{ name: "new", partitions: [partition(0), partition(1, 0)] }],
		);
		vi.spyOn(ClusterInspector.prototype, "absent").mockResolvedValue({ code: "no_topic" } as never);
		const clock = new ManualClock();
		let isThere = false;
		const awaited = awaitTopic(kafka, clock, "new", 2).then(() => {
			isThere = true;
		});
		await clock.advance(299);
		expect([isThere, connected.mock.calls.length]).toEqual([false, 3]);
		await clock.advance(1);
		await awaited;
		expect([connected.mock.calls.length, closed.mock.calls.length]).toEqual([4, 4]);
	});

	it("without a leader for ten seconds is told", async () => {
		play([{ name: "new", partitions: [partition(0, -1)] }]);
		const clock = new ManualClock();
		const awaited = expect(awaitTopic(kafka, clock, "new", 1)).rejects.toMatchObject({ code: "topic_not_ready" });
		await clock.advance(10_200);
		await awaited;
	});

	it("that this user may not see is not waited for", async () => {
		play([]);
		vi.spyOn(ClusterInspector.prototype, "absent").mockResolvedValue({ code: "not_authorized" } as never);
		await awaitTopic(kafka, new ManualClock(), "new", 1);
	});

	it.each([
		["is there already", 36, { code: "topic_exists", message: "topic new is there already" }],
		["is refused", 44, { code: "kafka_44", message: "topic new could not be created: no" }],
	])("that %s is told as such, and nothing stays open", async (_, code, told) => {
		const disconnect = vi.fn();
		const create = vi.fn((_spec: unknown, _timeoutMs: number, done: (error: unknown) => void) => done({ code, message: "no" }));
		vi.spyOn(rdkafka.AdminClient, "create").mockReturnValue({ createTopic: create, disconnect } as never);
		await expect(createTopic(kafka, { name: "new", partitions: 3, replication: 2 })).rejects.toMatchObject(told);
		expect(create.mock.calls[0]?.[0]).toEqual({ topic: "new", num_partitions: 3, replication_factor: 2, config: {} });
		expect(disconnect).toHaveBeenCalledOnce();
	});
});
