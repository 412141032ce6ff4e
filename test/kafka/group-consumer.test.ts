/** Membership on a real Kafka: start positions, partitions that change hands by each protocol, and nothing lost or handled out of order. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { Producer, type ProducerRecord } from "../../src/kafka/producer.ts";
import { type DaemonProcess, runDaemon } from "../support/daemons/daemon-process.ts";
import { differences, eventLog, eventTable, foldEvents, readTable } from "../support/daemons/event-log.ts";
import { committedOffsets } from "../support/kafka/group-offsets.ts";
import { kafkaAt, loadTopic } from "../support/kafka/load-topic.ts";
import { produceMany } from "../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../support/postgres/test-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");

function configFor(kafka: Record<string, unknown>, url: string): Record<string, unknown> {
	return {
		kafka: { brokers: [brokers], ...kafka },
		handler: { module: "pockaffe:json" },
		database: { url },
		tables: { events: eventTable },
		offsets: { commitIntervalMs: 100 },
	};
}

describeOnKafka("the start position", () => {
	const records = (topic: string): ProducerRecord[] =>
		Array.from({ length: 10 }, (_, i) => ({
			topic,
			partition: 0,
			key: `k${i}`,
			value: '{"name":"x"}',
			timestamp: 1_700_000_000_000 + i * 1_000,
		}));

	it.each<[startFrom: string | number, offset: number]>([
		["earliest", 0],
		["latest", 10],
		[1_700_000_004_500, 5],
		["2023-11-14T22:13:27Z", 7],
		[1_800_000_000_000, 10],
	])("%s is resolved and committed before the first message, and so holds after a crash", async (startFrom, offset) => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("start"), uniqueName("g")];
		await loadTopic(brokers, { name: topic, partitions: 1 }, records(topic));
		// A handler that doesn't exist: nothing but the start itself can be committed.
		const config = { ...configFor({ topics: [topic], group, startFrom }, db.url), handler: { module: "./nowhere.mjs" } };
		await using daemon = await runDaemon(folder.path, config);
		const resolved = await daemon.record("the start", ({ from }) => from !== undefined);
		expect(resolved).toMatchObject({ topic, partition: 0, offset });
		expect(await daemon.stop("SIGKILL")).toBe(137);
		expect(await committedOffsets(brokers, group, topic)).toEqual([offset]);
	});

	it("of a partition that appears later is its beginning, also under latest", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, later, group] = [uniqueName("a"), uniqueName("a"), uniqueName("g")];
		await loadTopic(brokers, { name: topic, partitions: 1 }, records(topic));
		await using daemon = await runDaemon(folder.path, configFor({ topics: [topic, later], group, startFrom: "latest" }, db.url));
		try {
			await daemon.record("the first start", (record) => record.topic === topic && record.from === "latest");
			await loadTopic(brokers, { name: later, partitions: 1 }, records(later));
			await daemon.record(
				"the later start",
				(record) => record.topic === later && record.from === "beginning" && record.offset === 0,
				60_000,
			);
			await waitFor("its rows", async () => (await db.database.query("select 1 from events")).length === 10);
		} finally {
			expect(await daemon.stop()).toBe(0);
		}
	});
});

describeOnKafka("partitions that change hands", () => {
	it.each(["classic", "eager", "consumer"])("by protocol %s: nothing is lost, and no key goes back", async (protocol) => {
		await using folder = await temporaryFolder();
		await using second = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("hands"), uniqueName("g")];
		const log = { topic, count: 60_000, ids: 2_000, partitions: 6, seed: 21, wander: false, deletes: 0.02 };
		const events = [...eventLog(log)];
		await loadTopic(brokers, { name: topic, partitions: 6 }, events.slice(0, 20_000));
		const config = configFor({ topics: [topic], group, protocol, properties: { "session.timeout.ms": 6_000 } }, db.url);
		if (protocol === "consumer") delete (config.kafka as { properties?: object }).properties;
		const first = await runDaemon(folder.path, config);
		await using producer = await Producer.connect(kafkaAt(brokers), { lingerMs: 5 });
		await first.ready();
		const other = await runDaemon(second.path, config);
		await produceMany(producer, events.slice(20_000, 40_000));
		await shared(first, other);
		await produceMany(producer, events.slice(40_000));
		expect(await first.stop()).toBe(0);
		try {
			await waitFor(
				"the rest",
				async () => (await committedOffsets(brokers, group, topic)).reduce<number>((sum, offset) => sum + (offset ?? 0), 0) === 60_000,
				90_000,
			);
			expect(differences(await readTable(db.database, "events"), foldEvents(events))).toEqual([]);
			await waitFor("all partitions", async () => (await other.status()).partitions.length === 6);
		} finally {
			expect(await other.stop()).toBe(0);
		}
	});

	it("stay where they are until a new member's threads have loaded the handler", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("ready"), uniqueName("g")];
		await loadTopic(brokers, { name: topic, partitions: 4 }, []);
		const [loads, go] = [join(folder.path, "loads"), join(folder.path, "go")];
		const source = `
			import { appendFileSync, existsSync } from "node:fs";
			if (process.env.WAITS) {
				appendFileSync(${JSON.stringify(loads)}, "load\\n");
				while (!existsSync(${JSON.stringify(go)})) await new Promise((resolve) => setTimeout(resolve, 20));
			}
			export const handleMessage = () => {};`;
		await writeFile(join(folder.path, "handler.mjs"), source);
		const config = { ...configFor({ topics: [topic], group }, db.url), handler: { module: "./handler.mjs", timeoutMs: 300_000 } };
		await using slow = await runDaemon(folder.path, config, { WAITS: "true" });
		await waitFor("a thread that loads", () => readFile(loads, "utf8"));
		await using quick = await runDaemon(folder.path, config);
		await waitFor("all partitions", async () => (await quick.status()).partitions.length === 4);
		expect(await slow.status()).toMatchObject({ memberState: "connecting", partitions: [] });
		await writeFile(go, "");
		await shared(slow, quick);
		expect([await slow.stop(), await quick.stop()]).toEqual([0, 0]);
	});

	it("keep their worker and its state where they stay (cooperative)", async () => {
		await using folder = await temporaryFolder();
		await using second = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("stay"), uniqueName("g")];
		await loadTopic(
			brokers,
			{ name: topic, partitions: 4 },
			[0, 1, 2, 3].map((partition) => ({ topic, partition, key: `k${partition}`, value: "{}" })),
		);
		const log = join(folder.path, "inits.log");
		const source = `
			import { appendFileSync } from "node:fs";
			export const init = ({ partition }) => appendFileSync(${JSON.stringify(log)}, partition + "\\n");
			export const handleMessage = () => {};`;
		await writeFile(join(folder.path, "handler.mjs"), source);
		const config = {
			...configFor({ topics: [topic], group, protocol: "classic" }, db.url),
			handler: { module: join(folder.path, "handler.mjs") },
		};
		await using daemon = await runDaemon(folder.path, config);
		await waitFor("four workers", async () => (await readFile(log, "utf8")).trim().split("\n").length === 4);
		const other = await runDaemon(second.path, config);
		await shared(daemon, other);
		const epochs = (await daemon.status()).partitions.map(({ assignmentEpoch, restarts }) => [assignmentEpoch, restarts]);
		expect(epochs).toEqual([
			[1, 0],
			[1, 0],
		]);
		expect([await other.stop(), await daemon.stop()]).toEqual([0, 0]);
	});
});

async function shared(...daemons: readonly DaemonProcess[]): Promise<void> {
	await waitFor("a share for each", async () => {
		const counts = await Promise.all(daemons.map(async (daemon) => (await daemon.status()).partitions.length));
		return counts.every((count) => count > 0);
	});
}
