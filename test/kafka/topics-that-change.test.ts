/** Topics that appear, grow, are made again, or no longer hold what the group was to read: on a real Kafka, by the daemon as a process. */
import { expect, inject, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { Producer } from "../../src/kafka/producer.ts";
import { ClusterInspector } from "../../src/kafka/topics.ts";
import { type DaemonProcess, runDaemon } from "../support/daemons/daemon-process.ts";
import { committedOffsets, setOffsets, untilCommitted } from "../support/kafka/group-offsets.ts";
import { createTopicWith, deleteTopic, kafkaAt, loadTopic, raisePartitions } from "../support/kafka/load-topic.ts";
import { produceMany } from "../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres/test-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");
/** A client hears of new topics and partitions within this time (`topic.metadata.refresh.interval.ms` is ten seconds). */
const HEARD_OF_MS = 45_000;

interface Run extends AsyncDisposable {
	readonly daemon: DaemonProcess;
	readonly db: TestDatabase;
	readonly group: string;
}

async function start(kafka: Record<string, unknown>, group = uniqueName("g"), store = "kafka"): Promise<Run> {
	const folder = await temporaryFolder();
	const db = await createTestDatabase();
	const daemon = await runDaemon(folder.path, {
		kafka: { brokers: [brokers], group, ...kafka },
		handler: { module: "pockaffe:json" },
		database: { url: db.url },
		tables: { events: { columns: { name: "text" }, create: true } },
		offsets: { commitIntervalMs: 50, store },
	});
	const dispose = async () => {
		await daemon[Symbol.asyncDispose]();
		await db[Symbol.asyncDispose]();
		await folder[Symbol.asyncDispose]();
	};
	return { daemon, db, group, [Symbol.asyncDispose]: dispose };
}

function records(topic: string, count: number, { partition = 0, prefix = "k" } = {}) {
	return Array.from({ length: count }, (_, i) => ({
		topic,
		partition,
		key: `${prefix}${i}`,
		value: '{"name":"x"}',
		timestamp: 1_700_000_000_000 + i,
	}));
}

async function produce(topic: string, ...args: [count: number, where?: { partition?: number; prefix?: string }]): Promise<void> {
	await using producer = await Producer.connect(kafkaAt(brokers));
	await produceMany(producer, records(topic, ...args));
}

async function ids({ db }: Run): Promise<string[]> {
	return (await db.database.query('select id from events order by id collate "C"')).map(({ id }) => String(id));
}

async function untilRows(run: Run, count: number): Promise<void> {
	await waitFor(
		() => `${count} rows\n${run.daemon.output.slice(-2000)}`,
		async () => (await ids(run)).length === count,
		HEARD_OF_MS,
	);
}

describeOnKafka("topics that change", () => {
	it("are found by their pattern when they are made later, and begin at their beginning", async () => {
		const prefix = uniqueName("pattern");
		const [first, later, other] = [`${prefix}.first`, `${prefix}.later`, `not-${prefix}`];
		await loadTopic(brokers, { name: first, partitions: 1 }, records(first, 3));
		await using run = await start({ topics: [`^${prefix}\\..*`], startFrom: "latest" });
		await run.daemon.record("the start", ({ topic, from }) => topic === first && from === "latest");
		await loadTopic(brokers, { name: other, partitions: 1 }, records(other, 1, { prefix: "not-meant" }));
		await loadTopic(brokers, { name: later, partitions: 2 }, records(later, 5, { partition: 1, prefix: "later" }));
		await untilRows(run, 5);
		await untilCommitted(brokers, run.group, later);
		expect(await ids(run)).toEqual(["later0", "later1", "later2", "later3", "later4"]);
		expect(await run.daemon.stop()).toBe(0);
	});

	it("get more partitions while the daemon runs: the new ones are read from their beginning", async () => {
		const topic = uniqueName("grows");
		await loadTopic(brokers, { name: topic, partitions: 1 }, records(topic, 3));
		await using run = await start({ topics: [topic], startFrom: "latest" });
		await run.daemon.record("the start", ({ from }) => from === "latest");
		await raisePartitions(brokers, topic, 3);
		await produce(topic, 4, { partition: 2, prefix: "new" });
		await untilRows(run, 4);
		await untilCommitted(brokers, run.group, topic);
		expect(await committedOffsets(brokers, run.group, topic)).toEqual([3, 0, 4]);
		expect((await run.daemon.status()).partitions.map(({ partition }) => partition)).toEqual([0, 1, 2]);
		expect(await run.daemon.stop()).toBe(0);
	});

	it.each(["earliest", "latest"])(
		"are deleted and made again while the daemon runs: the new log is read from its beginning (startFrom %s)",
		async (startFrom) => {
			const topic = uniqueName("again");
			await loadTopic(brokers, { name: topic, partitions: 1 }, []);
			await using run = await start({ topics: [topic], startFrom, properties: { "session.timeout.ms": 6_000 } });
			await run.daemon.record("the start", ({ from }) => from === startFrom);
			await produce(topic, 20, { prefix: "old" });
			await untilRows(run, 20);
			await untilCommitted(brokers, run.group, topic);
			await deleteTopic(brokers, topic);
			await loadTopic(brokers, { name: topic, partitions: 1 }, records(topic, 7, { prefix: "new" }));
			await untilRows(run, 27);
			await untilCommitted(brokers, run.group, topic);
			expect(await committedOffsets(brokers, run.group, topic)).toEqual([7]);
			await produce(topic, 30, { prefix: "newer" });
			await untilRows(run, 57);
			await run.daemon.ready();
			expect(await run.daemon.stop()).toBe(0);
		},
	);
});

describeOnKafka("a topic that is made again at once, and longer than it was", () => {
	it.each(["kafka", "postgres"])("is read from its beginning (offsets in %s)", async (store) => {
		const topic = uniqueName("longer");
		await loadTopic(brokers, { name: topic, partitions: 2 }, []);
		await using run = await start({ topics: [topic], properties: { "session.timeout.ms": 6_000 } }, uniqueName("g"), store);
		await run.daemon.record("the start", ({ from }) => from === "earliest");
		await produce(topic, 20, { prefix: "old" });
		await untilRows(run, 20);
		await untilCommitted(brokers, run.group, topic);
		await deleteTopic(brokers, topic);
		await loadTopic(brokers, { name: topic, partitions: 2 }, records(topic, 500, { prefix: "new" }));
		await untilRows(run, 520);
		await untilCommitted(brokers, run.group, topic);
		await run.daemon.ready();
		expect(await run.daemon.stop()).toBe(0);
	});
});

describeOnKafka("a position outside the log", () => {
	/** The log holds offsets 10 to 14. */
	async function topicWithoutItsBeginning(): Promise<string> {
		const topic = uniqueName("retention");
		await createTopicWith(brokers, { name: topic, partitions: 1 }, { "retention.ms": "3600000" });
		await produce(topic, 10, { prefix: "gone" });
		await waitFor("retention", async () => (await lowWatermark(topic)) === 10);
		await using producer = await Producer.connect(kafkaAt(brokers));
		const now = Date.now();
		await produceMany(
			producer,
			records(topic, 5, { prefix: "kept" }).map((record) => ({ ...record, timestamp: now })),
		);
		return topic;
	}

	it.each([
		["below its beginning", 3],
		["past its end", 1_000],
	])("%s parks the partition, says so, and goes on once the offset is set right", async (_, offset) => {
		const topic = await topicWithoutItsBeginning();
		const group = uniqueName("g");
		await setOffsets(brokers, group, [{ topic, partition: 0, offset }]);
		{
			await using run = await start({ topics: [topic] }, group);
			const reasons = await waitFor(
				"the reason",
				async () => (await run.daemon.notReady()).filter(({ code }) => code === "parked")[0],
				60_000,
			);
			expect(reasons).toMatchObject({ topic, partition: 0 });
			expect(reasons.message).toMatch(new RegExp(`offset ${offset} is out of range .the log has 10 to 15.*onOffsetOutOfRange`));
			expect(await ids(run)).toEqual([]);
			expect(await committedOffsets(brokers, group, topic)).toEqual([offset]);
			expect(await run.daemon.stop()).toBe(0);
		}
		await setOffsets(brokers, group, [{ topic, partition: 0, offset: 12 }]);
		await using run = await start({ topics: [topic] }, group);
		await untilRows(run, 3);
		await run.daemon.ready();
		expect(await run.daemon.stop()).toBe(0);
	});

	it.each([
		["earliest", 3, 5],
		["latest", 3, 0],
		["earliest", 1_000, 5],
		["latest", 1_000, 0],
	] as const)("goes to the %s offset where it is configured so (from %i)", async (onOffsetOutOfRange, offset, count) => {
		const topic = await topicWithoutItsBeginning();
		const group = uniqueName("g");
		await setOffsets(brokers, group, [{ topic, partition: 0, offset }]);
		await using run = await start({ topics: [topic], onOffsetOutOfRange }, group);
		await untilCommitted(brokers, group, topic);
		expect((await ids(run)).length).toBe(count);
		await produce(topic, 2, { prefix: "more" });
		await untilRows(run, count + 2);
		await untilCommitted(brokers, group, topic);
		await run.daemon.ready();
		expect(await run.daemon.stop()).toBe(0);
	});

	it("are deleted: said as such, ready no more, and read from their beginning when they are made again", async () => {
		const topic = uniqueName("deleted");
		await loadTopic(brokers, { name: topic, partitions: 1 }, records(topic, 10));
		await using run = await start({ topics: [topic] });
		await waitFor("ten rows", async () => (await ids(run)).length === 10);
		await untilCommitted(brokers, run.group, topic);
		await deleteTopic(brokers, topic);
		const reason = await waitFor(
			"the reason",
			async () => (await run.daemon.notReady()).find(({ code }) => code === "topic_missing"),
			HEARD_OF_MS,
		);
		expect(reason).toMatchObject({
			topic,
			partition: null,
			message: expect.stringMatching(`^topic ${topic} was deleted: create it again: pockaffe topic create ${topic} -p N`),
		});
		expect(run.daemon.output).not.toContain("was deleted and created again");
		await loadTopic(brokers, { name: topic, partitions: 1 }, records(topic, 5, { prefix: "n" }));
		await waitFor("the new log's rows", async () => (await ids(run)).length === 15, HEARD_OF_MS);
		await run.daemon.ready(HEARD_OF_MS);
		expect(await run.daemon.stop()).toBe(0);
	});

	it("are missing at the start: told by name, and found when they are made", async () => {
		const topic = uniqueName("missing");
		await using run = await start({ topics: [topic] });
		const reason = await waitFor("the reason", async () => (await run.daemon.notReady()).find(({ code }) => code === "topic_missing"));
		expect(reason).toMatchObject({ topic, message: expect.stringMatching(`^topic ${topic} does not exist: is the name right`) });
		await loadTopic(brokers, { name: topic, partitions: 1 }, records(topic, 5));
		await waitFor("its rows", async () => (await ids(run)).length === 5, HEARD_OF_MS);
		await run.daemon.ready(HEARD_OF_MS);
		expect(await run.daemon.stop()).toBe(0);
	});
});

async function lowWatermark(topic: string): Promise<number | undefined> {
	await using inspector = await ClusterInspector.connect(kafkaAt(brokers), systemClock);
	return (await inspector.describe(topic))?.[0]?.lowWatermark;
}
