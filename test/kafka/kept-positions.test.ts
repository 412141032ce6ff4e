/**
 * Kept positions on a real Kafka: topics that are made again while nobody looks, groups that Kafka forgets, logs that lose their beginning.
 */
import { expect, inject, it } from "vitest";
import type { DaemonProcess } from "../support/daemons/daemon-process.ts";
import { positionScene } from "../support/fakes/position-scene.ts";
import { deleteGroup, deleteRecords } from "../support/kafka/kafka-admin.ts";
import { deleteTopic, loadTopic } from "../support/kafka/load-topic.ts";
import { describeOnKafka } from "../support/kafka/real-kafka.ts";
import { slowness } from "../support/slowness.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");

async function post(daemon: DaemonProcess, path: string): Promise<void> {
	expect((await fetch(`${await daemon.url()}${path}`, { method: "POST" })).status).toBe(200);
}

describeOnKafka("a topic that is made again while no daemon runs", () => {
	it.each([
		["kafka", "earliest", ""],
		["kafka", "latest", ""],
		["postgres", "earliest", ""],
		["postgres", "latest", ""],
		["kafka", "latest", ", by a known record: without the addon nobody asks for ids"],
		["postgres", "latest", ", by a known record: without the addon nobody asks for ids"],
	])("is read from its beginning (offsets in %s, startFrom %s)%s", async (store, startFrom, how) => {
		const env: Record<string, string> = how === "" ? {} : { POCKAFFE_NATIVE: "off" };
		await using scene = await positionScene(brokers, { startFrom }, store);
		{
			await using daemon = scene.start(env);
			await daemon.record("the first start", ({ from }) => from === startFrom);
			await scene.produce("old", 5);
			await scene.untilRows(daemon, 5);
			await scene.untilCommitted();
			expect(await daemon.stop()).toBe(0);
		}
		await deleteTopic(brokers, scene.topic);
		await loadTopic(brokers, { name: scene.topic, partitions: 1 }, []);
		await scene.produce("new", 8);
		await using daemon = scene.start(env);
		const start = await daemon.record("the start", ({ from }) => from !== undefined);
		expect(start).toMatchObject({ offset: 0, from: "new_log", kept: 5, level: "warn" });
		await scene.untilRows(daemon, 13);
		await scene.untilCommitted();
		expect(await scene.committed()).toBe(8);
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
	});

	it("is read from its beginning also without the addon, by the timestamp of a record; the daemon says that it is missing", async () => {
		await using scene = await positionScene(brokers, {}, "postgres");
		const withoutAddon = { POCKAFFE_NATIVE: "off" };
		{
			await using daemon = scene.start(withoutAddon);
			await scene.produce("old", 5);
			await scene.untilRows(daemon, 5);
			await scene.untilCommitted();
			expect(daemon.records.filter(({ msg }) => msg.startsWith("POCKAFFE_NATIVE is off: topic ids are not available"))).toHaveLength(1);
			expect(await daemon.metric("pockaffe_build_info", 'addon="none",consuming="node_rdkafka"')).toBe(1);
			expect(await daemon.stop()).toBe(0);
		}
		await deleteTopic(brokers, scene.topic);
		await loadTopic(brokers, { name: scene.topic, partitions: 1 }, []);
		await scene.produce("new", 8);
		await using daemon = scene.start(withoutAddon);
		expect(await daemon.record("the start", ({ from }) => from !== undefined)).toMatchObject({ offset: 0, from: "new_log", kept: 5 });
		await scene.untilRows(daemon, 13);
		expect(await daemon.stop()).toBe(0);
	});
});

describeOnKafka("a group that Kafka forgot while it was stopped", () => {
	it.each(["earliest", "latest"])("goes on from where it had come (startFrom %s)", async (startFrom) => {
		await using scene = await positionScene(brokers, { startFrom });
		{
			await using daemon = scene.start();
			await daemon.record("the first start", ({ from }) => from === startFrom);
			await scene.produce("before", 5);
			await scene.untilRows(daemon, 5);
			await scene.untilCommitted();
			expect(await daemon.stop()).toBe(0);
		}
		await deleteGroup(brokers, scene.group);
		await scene.produce("meanwhile", 7);
		await using daemon = scene.start();
		const start = await daemon.record("the start", ({ from }) => from !== undefined);
		expect(start).toMatchObject({ offset: 5, from: "noted", level: "warn" });
		await scene.untilRows(daemon, 12);
		await scene.untilCommitted();
		expect(await daemon.metric("pockaffe_messages_consumed_total")).toBe(7);
		expect(await daemon.stop()).toBe(0);
	});
});

describeOnKafka("messages that were removed before they were read", () => {
	it("while the daemon was stopped are told once, counted, and noted (earliest)", async () => {
		await using scene = await positionScene(brokers, { onOffsetOutOfRange: "earliest" });
		await scene.produce("read", 3);
		{
			await using daemon = scene.start();
			await scene.untilRows(daemon, 3);
			await scene.untilCommitted();
			expect(await daemon.stop()).toBe(0);
		}
		await scene.produce("gone", 10);
		await scene.produce("kept", 5);
		await deleteRecords(brokers, scene.topic, 0, 13);
		await using daemon = scene.start();
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
	])("under a running daemon are told at once, and it goes on (%s)", async (onOffsetOutOfRange, expected) => {
		await using scene = await positionScene(brokers, { onOffsetOutOfRange });
		await using daemon = scene.start();
		await scene.produce("read", 3);
		await scene.untilRows(daemon, 3);
		await post(daemon, `/partitions/${scene.topic}/0/pause`);
		await scene.produce("gone", 10);
		await scene.produce("kept", 1);
		await deleteRecords(brokers, scene.topic, 0, 13);
		const resumedAt = performance.now();
		await post(daemon, `/partitions/${scene.topic}/0/resume`);
		const told = await daemon.record("the jump", ({ skipped }) => skipped !== undefined);
		expect(performance.now() - resumedAt).toBeLessThan(4_000 * (await slowness()));
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

	it("park the partition at once where nobody chose, with offset, bounds and loss, and resume looks again", async () => {
		await using scene = await positionScene(brokers);
		await using daemon = scene.start();
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
		expect(performance.now() - resumedAt).toBeLessThan(4_000 * (await slowness()));
		expect((await daemon.status()).partitions).toMatchObject([{ state: "parked", position: 3, committed: 3 }]);
		expect(await daemon.metric("pockaffe_partitions_parked", 'reason="out_of_range"')).toBe(1);
		await scene.produce("later", 2);
		await post(daemon, `/partitions/${scene.topic}/0/resume`);
		await waitFor("another look", async () => (await reason()).message.includes("(the log has 13 to 15)"));
		expect(await scene.committed()).toBe(3);
		expect((await scene.ids()).length).toBe(3);
		expect(await daemon.stop()).toBe(0);
	});
});
