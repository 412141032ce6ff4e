/** Kept positions on a real Kafka: topics that are made again while nobody looks, groups that Kafka forgets, logs that lose their beginning. */
import { expect, inject, it } from "vitest";
import { Producer } from "../../src/kafka/producer.ts";
import { type DaemonProcess, runDaemon } from "../support/daemon-process.ts";
import { committedOffsets, untilCommitted } from "../support/group-offsets.ts";
import { deleteGroup, deleteRecords } from "../support/kafka-admin.ts";
import { deleteTopic, kafkaAt, loadTopic } from "../support/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/real-kafka.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { createTestDatabase } from "../support/test-database.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");
const YEAR_2023 = 1_700_000_000_000;

/** A topic of one partition, a group and a database that outlive the daemons on them. */
async function open(kafka: Record<string, unknown> = {}, store = "kafka") {
	const [folder, db] = [await temporaryFolder(), await createTestDatabase()];
	const [topic, group] = [uniqueName("kept"), uniqueName("g")];
	await loadTopic(brokers, { name: topic, partitions: 1 }, []);
	const config = {
		kafka: { brokers: [brokers], topics: [topic], group, properties: { "session.timeout.ms": 6_000 }, ...kafka },
		handler: { module: "pockaffe:json" },
		database: { url: db.url },
		tables: { events: { columns: { name: "text" }, create: true } },
		offsets: { commitIntervalMs: 50, store },
		http: { port: 0, admin: true },
	};
	let produced = 0;
	const ids = async () => (await db.database.query('select id from events order by id collate "C"')).map(({ id }) => String(id));
	return {
		topic,
		group,
		db,
		ids,
		start: (env: Record<string, string> = {}) => runDaemon(folder.path, config, env),
		/** Records with these names for keys; each later than the one before, also in a topic made again. */
		async produce(prefix: string, count: number) {
			await using producer = await Producer.connect(kafkaAt(brokers));
			const records = Array.from({ length: count }, (_, i) => ({
				topic,
				partition: 0,
				key: `${prefix}${i}`,
				value: '{"name":"x"}',
				timestamp: YEAR_2023 + produced++,
			}));
			await producer.produceMany(records);
		},
		untilRows: (daemon: DaemonProcess, count: number) =>
			waitFor(`${count} rows\n${daemon.output.slice(-2000)}`, async () => (await ids()).length === count, 60_000),
		committed: () => committedOffsets(brokers, group, topic),
		untilCommitted: () => untilCommitted(brokers, group, topic),
		async [Symbol.asyncDispose]() {
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

async function post(daemon: DaemonProcess, path: string): Promise<void> {
	expect((await fetch(`${await daemon.url()}${path}`, { method: "POST" })).status).toBe(200);
}

describeOnKafka("a topic that is made again while no daemon runs", () => {
	it.each([
		["kafka", "earliest"],
		["kafka", "latest"],
		["postgres", "earliest"],
		["postgres", "latest"],
	])("is read from its beginning (offsets in %s, startFrom %s)", { timeout: 150_000 }, async (store, startFrom) => {
		await using scene = await open({ startFrom }, store);
		{
			await using daemon = await scene.start();
			await daemon.record("the first start", ({ from }) => from === startFrom);
			await scene.produce("old", 5);
			await scene.untilRows(daemon, 5);
			await scene.untilCommitted();
			expect(await daemon.stop()).toBe(0);
		}
		await deleteTopic(brokers, scene.topic);
		await loadTopic(brokers, { name: scene.topic, partitions: 1 }, []);
		await scene.produce("new", 8);
		await using daemon = await scene.start();
		const start = await daemon.record("the start", ({ from }) => from !== undefined);
		expect(start).toMatchObject({ offset: 0, from: "new_log", kept: 5, level: "warn" });
		await scene.untilRows(daemon, 13);
		await scene.untilCommitted();
		expect(await scene.committed()).toEqual([8]);
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
	});

	it("is read from its beginning also without the addon, by the timestamp of a record; the daemon says that it is missing", {
		timeout: 150_000,
	}, async () => {
		await using scene = await open({}, "postgres");
		const withoutAddon = { POCKAFFE_NATIVE: "off" };
		{
			await using daemon = await scene.start(withoutAddon);
			await scene.produce("old", 5);
			await scene.untilRows(daemon, 5);
			await scene.untilCommitted();
			expect(daemon.records.filter(({ msg }) => msg.startsWith("POCKAFFE_NATIVE is off: Kafka's ids of topics can't be had"))).toHaveLength(
				1,
			);
			expect(await daemon.metric("pockaffe_build_info", 'addon="none"')).toBe(1);
			expect(await daemon.stop()).toBe(0);
		}
		await deleteTopic(brokers, scene.topic);
		await loadTopic(brokers, { name: scene.topic, partitions: 1 }, []);
		await scene.produce("new", 8);
		await using daemon = await scene.start(withoutAddon);
		expect(await daemon.record("the start", ({ from }) => from !== undefined)).toMatchObject({ offset: 0, from: "new_log", kept: 5 });
		await scene.untilRows(daemon, 13);
		expect(await daemon.stop()).toBe(0);
	});
});

describeOnKafka("a group that Kafka forgot while it was stopped", () => {
	it.each(["earliest", "latest"])("goes on from where it had come (startFrom %s)", { timeout: 150_000 }, async (startFrom) => {
		await using scene = await open({ startFrom });
		{
			await using daemon = await scene.start();
			await daemon.record("the first start", ({ from }) => from === startFrom);
			await scene.produce("before", 5);
			await scene.untilRows(daemon, 5);
			await scene.untilCommitted();
			expect(await daemon.stop()).toBe(0);
		}
		await deleteGroup(brokers, scene.group);
		await scene.produce("meanwhile", 7);
		await using daemon = await scene.start();
		const start = await daemon.record("the start", ({ from }) => from !== undefined);
		expect(start).toMatchObject({ offset: 5, from: "noted", level: "warn" });
		await scene.untilRows(daemon, 12);
		await scene.untilCommitted();
		expect(await daemon.metric("pockaffe_messages_consumed_total")).toBe(7);
		expect(await daemon.stop()).toBe(0);
	});
});

describeOnKafka("messages that were removed before they were read", () => {
	it("while the daemon was stopped are told once, counted, and noted (earliest)", { timeout: 150_000 }, async () => {
		await using scene = await open({ onOffsetOutOfRange: "earliest" });
		await scene.produce("read", 3);
		{
			await using daemon = await scene.start();
			await scene.untilRows(daemon, 3);
			await scene.untilCommitted();
			expect(await daemon.stop()).toBe(0);
		}
		await scene.produce("gone", 10);
		await scene.produce("kept", 5);
		await deleteRecords(brokers, scene.topic, 0, 13);
		await using daemon = await scene.start();
		const told = await daemon.record("the jump", ({ skipped }) => skipped !== undefined);
		expect(told).toMatchObject({
			topic: scene.topic,
			partition: 0,
			position: 3,
			offset: 13,
			skipped: 10,
			low: 13,
			high: 18,
			level: "warn",
		});
		await scene.untilRows(daemon, 8);
		await scene.untilCommitted();
		expect(daemon.records.filter(({ skipped }) => skipped !== undefined)).toHaveLength(1);
		expect(await daemon.metric("pockaffe_offsets_skipped_total", 'reason="log_begins_after"')).toBe(10);
		const [note] = await scene.db.database.query("select skipped, reached_offset::int4 as reached from pockaffe_offsets_start");
		expect(note).toEqual({ skipped: [{ from: 3, to: 13, reason: "log_begins_after" }], reached: 18 });
		expect(await daemon.stop()).toBe(0);
	});

	it.each([
		["earliest", ["kept"]],
		["latest", []],
	])("under a running daemon are told at once, and it goes on (%s)", { timeout: 150_000 }, async (onOffsetOutOfRange, expected) => {
		await using scene = await open({ onOffsetOutOfRange });
		await using daemon = await scene.start();
		await scene.produce("read", 3);
		await scene.untilRows(daemon, 3);
		await post(daemon, `/partitions/${scene.topic}/0/pause`);
		await scene.produce("gone", 10);
		await scene.produce("kept", 1);
		await deleteRecords(brokers, scene.topic, 0, 13);
		const resumedAt = performance.now();
		await post(daemon, `/partitions/${scene.topic}/0/resume`);
		const told = await daemon.record("the jump", ({ skipped }) => skipped !== undefined);
		expect(performance.now() - resumedAt).toBeLessThan(4_000);
		const offset = onOffsetOutOfRange === "earliest" ? 13 : 14;
		expect(told).toMatchObject({ position: 3, offset, skipped: offset - 3, low: 13, high: 14 });
		await scene.untilCommitted();
		await scene.produce("later", 2);
		await scene.untilRows(daemon, 5 + expected.length);
		await scene.untilCommitted();
		expect((await scene.ids()).filter((id) => id.startsWith("kept")).length).toBe(expected.length);
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
	});

	it("park the partition at once where nobody chose, with offset, bounds and loss, and resume looks again", {
		timeout: 150_000,
	}, async () => {
		await using scene = await open();
		await using daemon = await scene.start();
		await scene.produce("read", 3);
		await scene.untilRows(daemon, 3);
		await post(daemon, `/partitions/${scene.topic}/0/pause`);
		await scene.produce("gone", 10);
		await deleteRecords(brokers, scene.topic, 0, 13);
		const resumedAt = performance.now();
		await post(daemon, `/partitions/${scene.topic}/0/resume`);
		const reason = () => waitFor("the reason", async () => (await daemon.notReady()).find(({ code }) => code === "parked"));
		expect((await reason()).message).toMatch(
			/offset 3 is out of range \(the log has 13 to 13\): 10 offsets were removed before they were read/,
		);
		expect(performance.now() - resumedAt).toBeLessThan(4_000);
		expect((await daemon.status()).partitions).toMatchObject([{ state: "parked", position: 3, committed: 3 }]);
		expect(await daemon.metric("pockaffe_partitions_parked", 'reason="out_of_range"')).toBe(1);
		await scene.produce("later", 2);
		await post(daemon, `/partitions/${scene.topic}/0/resume`);
		await waitFor("another look", async () => (await reason()).message.includes("(the log has 13 to 15)"));
		expect(await scene.committed()).toEqual([3]);
		expect((await scene.ids()).length).toBe(3);
		expect(await daemon.stop()).toBe(0);
	});
});
