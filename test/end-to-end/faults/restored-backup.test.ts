/**
 * A backup of the database that is put back while Kafka keeps the group's offsets (the default): the daemon sees that the database is
 * older, running or at a start, says so with the command that mends it, and is content when the offsets were set back.
 */
import { expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { setOffsets, untilCommitted } from "../../support/kafka/group-offsets.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const brokers = inject("kafkaBrokers");
/** The look at idle partitions has half of a minute, and more where the machine is busy. */
const NOTICED_MS = 60_000;

/** A group with its offsets in Kafka, on a topic of one partition and a database; both outlive its daemons. */
async function open() {
	const [folder, db] = [await temporaryFolder(), await createTestDatabase()];
	const [topic, group] = [uniqueName("restored"), uniqueName("g")];
	await loadTopic(brokers, { name: topic, partitions: 1 }, []);
	const config = {
		kafka: { brokers: [brokers], topics: [topic], group, properties: { "session.timeout.ms": 6_000 } },
		handler: { module: "pockaffe:json" },
		database: { url: db.url },
		tables: { events: { columns: { name: "text" }, create: true } },
		offsets: { commitIntervalMs: 50 },
	};
	const tables = ["events", "pockaffe_offsets_start"];
	const query = (...statements: string[]) => db.database.query(statements.join(";"));
	let produced = 0;
	const rows = async () => (await query("select 1 from events")).length;
	return {
		topic,
		query,
		rows,
		start: () => runDaemon(folder.path, config),
		verify: async () => JSON.parse((await pockaffe(["verify", "--json"], { cwd: folder.path })).stdout) as { counts: { missing: number } },
		async produce(count: number) {
			await using producer = await Producer.connect(kafkaAt(brokers));
			const records = Array.from({ length: count }, () => ({ topic, partition: 0, key: `k${produced++}`, value: '{"name":"x"}' }));
			await produceMany(producer, records);
		},
		async arrived(count: number) {
			await waitFor(`${count} rows`, async () => (await rows()) === count);
			await untilCommitted(brokers, group, topic);
		},
		backup: () => query(...tables.map((table) => `create table backup_${table} as select * from ${table}`)),
		/** Statements of one query are one transaction. */
		putBack: () => query(...tables.flatMap((table) => [`delete from ${table}`, `insert into ${table} select * from backup_${table}`])),
		setBack: (offset: number) => setOffsets(brokers, group, [{ topic, partition: 0, offset }]),
		async [Symbol.asyncDispose]() {
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

/** What `/readyz` says of it. */
function restoredAt(daemon: DaemonProcess): Promise<{ readonly message: string }> {
	const found = async () => (await daemon.notReady()).find(({ code }) => code === "table_restored");
	return waitFor(() => `the reason\n${daemon.output.slice(-2000)}`, found, NOTICED_MS);
}

describeOnKafka("a backup that is put back, with the offsets in Kafka", () => {
	it("under a running daemon is told within a minute, with messages and without, until the offsets are set back", async () => {
		await using test = await open();
		await test.produce(10);
		{
			await using daemon = await test.start();
			await test.arrived(10);
			await test.backup();
			await test.produce(20);
			await test.arrived(30);
			await daemon.ready();
			expect(await daemon.metric("pockaffe_restored_offsets")).toBe(0);
			// No message comes.
			await test.putBack();
			const { message } = await restoredAt(daemon);
			expect(message).toMatch(/end at offset 10, but the group had committed 30.*--partition 0 --to 10`/);
			expect(await daemon.metric("pockaffe_restored_offsets", `topic="${test.topic}"`)).toBe(20);
			await daemon.record(
				"the command",
				({ level, msg }) => level === "error" && msg.includes(`--topic ${test.topic} --partition 0 --to 10`),
			);
			expect((await test.verify()).counts.missing).toBe(20);
			// It goes on meanwhile, and is put back while messages come.
			await test.produce(5);
			await test.arrived(15);
			await test.putBack();
			await test.produce(5);
			await waitFor("the larger gap", async () => (await daemon.metric("pockaffe_restored_offsets")) === 25, NOTICED_MS);
			expect(await daemon.stop()).toBe(0);
		}
		{
			// Whoever starts next knows it too.
			await using daemon = await test.start();
			expect((await restoredAt(daemon)).message).toContain("--to 10`");
			expect(await daemon.stop()).toBe(0);
		}
		await test.setBack(10);
		await using daemon = await test.start();
		await test.arrived(40);
		await daemon.ready();
		expect(await daemon.metric("pockaffe_restored_offsets")).toBe(0);
		expect((await test.verify()).counts.missing).toBe(0);
		expect(await daemon.stop()).toBe(0);
	});

	it("while no daemon runs is told at the start; what somebody says is as it should be is believed", async () => {
		await using test = await open();
		await test.produce(10);
		{
			await using daemon = await test.start();
			await test.arrived(10);
			await test.backup();
			await test.produce(20);
			await test.arrived(30);
			expect(await daemon.stop()).toBe(0);
		}
		await test.putBack();
		await using daemon = await test.start();
		await restoredAt(daemon);
		await test.query("update pockaffe_offsets_start set restored_from = null, restored_to = null");
		await daemon.ready(NOTICED_MS);
		expect(await daemon.stop()).toBe(0);
	});

	it("without a row of the group is told by the daemon that ran: all since the group's beginning may be missing", async () => {
		await using test = await open();
		await test.produce(10);
		await using daemon = await test.start();
		await test.arrived(10);
		await test.query("delete from events", "delete from pockaffe_offsets_start");
		expect((await restoredAt(daemon)).message).toMatch(/end at offset 0, but the group had committed 10/);
		expect(await daemon.stop()).toBe(0);
	});

	it("is not told where nothing was put back: kills, and offsets that somebody set back", async () => {
		await using test = await open();
		await test.produce(10);
		const started: DaemonProcess[] = [];
		const start = async () => {
			const daemon = await test.start();
			started.push(daemon);
			return daemon;
		};
		for (let round = 0; round < 3; round++) {
			await using daemon = await start();
			await test.produce(200);
			await waitFor("some rows", async () => (await test.rows()) > round * 200 + 20);
			daemon.child.kill("SIGKILL");
			await daemon.exited();
		}
		await using daemon = await start();
		await test.arrived(610);
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
		await test.setBack(100);
		await using again = await start();
		await test.arrived(610);
		await again.ready();
		expect(await again.stop()).toBe(0);
		const told = started.map(({ records }) => records.filter(({ msg }) => msg.includes("older than the group")));
		expect(told).toEqual([[], [], [], [], []]);
	});
});
