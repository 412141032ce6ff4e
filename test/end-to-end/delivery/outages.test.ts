/** The servers die under load, the daemon is frozen past its session, the log has gaps: the table still equals the fold of the log. */
import { join } from "node:path";
import rdkafka from "node-rdkafka";
import { expect, inject, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { EmbeddedPostgres } from "../../../src/embedded/embedded-postgres.ts";
import { connectDatabase, type Database, probeDatabase } from "../../../src/sink/database/database.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { differences, eventLog, eventTable, foldEvents, readTable } from "../../support/daemons/event-log.ts";
import { untilCommitted } from "../../support/kafka/group-offsets.ts";
import { startKafka } from "../../support/kafka/kafka-server.ts";
import { loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const PARTITIONS = 4;
const CATCH_UP_MS = 120_000;

function logOf(topic: string, count: number) {
	return { topic, count, ids: 20_000, partitions: PARTITIONS, seed: 31, wander: true, deletes: 0.02 };
}

function configFor(brokers: string, topic: string, group: string, url: string): Record<string, unknown> {
	return {
		kafka: { brokers: [brokers], topics: [topic], group, properties: { "session.timeout.ms": 6_000 } },
		handler: { module: "pockaffe:json" },
		database: { url },
		tables: { events: eventTable },
		offsets: { commitIntervalMs: 100 },
	};
}

async function rows(database: Database): Promise<number> {
	const [row] = await database.query("select count(*)::int as rows from events");
	return row?.rows as number;
}

describeOnKafka("outages under load", () => {
	it("the broker is killed and comes back", async () => {
		const kafka = await startKafka();
		try {
			await using folder = await temporaryFolder();
			await using db = await createTestDatabase();
			const [topic, group] = [uniqueName("broker"), uniqueName("g")];
			const log = logOf(topic, 300_000);
			await loadTopic(kafka.brokers, { name: topic, partitions: PARTITIONS }, eventLog(log));
			await using daemon = await runDaemon(folder.path, configFor(kafka.brokers, topic, group, db.url));
			await waitFor("some rows", async () => (await rows(db.database)) > 1_000);
			await kafka.kill();
			await kafka.restart();
			await untilCommitted(kafka.brokers, group, topic, CATCH_UP_MS);
			expect(differences(await readTable(db.database, "events"), foldEvents(eventLog(log)))).toEqual([]);
			await daemon.ready();
			expect(await daemon.stop()).toBe(0);
		} finally {
			await kafka.stop();
		}
	});

	it("the database is killed three times and comes back", async () => {
		await using folder = await temporaryFolder();
		await using postgres = await EmbeddedPostgres.start({
			folder: join(folder.path, "postgres"),
			clock: systemClock,
			probe: (url) => probeDatabase(url, systemClock),
			log: () => {},
		});
		const [topic, group] = [uniqueName("database"), uniqueName("g")];
		const log = logOf(topic, 300_000);
		await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: PARTITIONS }, eventLog(log));
		const database = connectDatabase({ url: postgres.url, connections: 1, clock: systemClock });
		await using daemon = await runDaemon(folder.path, configFor(inject("kafkaBrokers"), topic, group, postgres.url));
		for (const enough of [1, 5_000, 12_000]) {
			await waitFor(`${enough} rows`, async () => (await rows(database)) >= enough);
			const { pid } = postgres;
			process.kill(pid, "SIGKILL");
			await waitFor("another server", async () => postgres.pid !== pid && (await rows(database)) >= 0);
		}
		await untilCommitted(inject("kafkaBrokers"), group, topic, CATCH_UP_MS);
		expect(differences(await readTable(database, "events"), foldEvents(eventLog(log)))).toEqual([]);
		expect(await daemon.metric("pockaffe_dead_letters_total")).toBe(0);
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
		await database.close();
	});

	it.each(["kafka", "postgres"])("a member is frozen past its session and wakes up as a zombie (offsets in %s)", async (store) => {
		await using folder = await temporaryFolder();
		await using second = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("frozen"), uniqueName("g")];
		const log = logOf(topic, 300_000);
		await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: PARTITIONS }, eventLog(log));
		const config = { ...configFor(inject("kafkaBrokers"), topic, group, db.url), offsets: { commitIntervalMs: 100, store } };
		await using frozen = await runDaemon(folder.path, config);
		await waitFor("some rows", async () => (await rows(db.database)) > 1_000);
		frozen.child.kill("SIGSTOP");
		await using other = await runDaemon(second.path, config);
		await untilCommitted(inject("kafkaBrokers"), group, topic, CATCH_UP_MS);
		frozen.child.kill("SIGCONT");
		await waitFor(
			"a share for each",
			async () => {
				const counts = await Promise.all([frozen, other].map(async (daemon) => (await daemon.status()).partitions.length));
				return counts.every((count) => count > 0) && counts.reduce((sum, count) => sum + count, 0) === PARTITIONS;
			},
			60_000,
		);
		expect(differences(await readTable(db.database, "events"), foldEvents(eventLog(log)))).toEqual([]);
		await untilCommitted(inject("kafkaBrokers"), group, topic, CATCH_UP_MS);
		expect(frozen.records.filter(({ msg }) => /partitions lost|took the offsets over/.test(msg))).not.toEqual([]);
		expect([await frozen.stop(), await other.stop()]).toEqual([0, 0]);
	});
});

describeOnKafka("logs of every kind", () => {
	it("aborted transactions are not seen, and the lag reaches 0 behind their gaps", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("transactions"), uniqueName("g")];
		await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: 1 }, []);
		await produceTransactions(topic, [
			{ keys: ["a", "b"], commit: true },
			{ keys: ["c", "d"], commit: false },
			{ keys: ["e"], commit: true },
			{ keys: ["f"], commit: false },
		]);
		await using daemon = await runDaemon(folder.path, configFor(inject("kafkaBrokers"), topic, group, db.url));
		await untilCommitted(inject("kafkaBrokers"), group, topic, CATCH_UP_MS);
		expect((await db.database.query("select id from events order by id")).map(({ id }) => id)).toEqual(["a", "b", "e"]);
		// Six records, and the marker of each transaction.
		expect((await daemon.status()).partitions).toMatchObject([{ committed: 10, highWatermark: 10 }]);
		await waitFor("no lag", async () => (await daemon.metric("pockaffe_consumer_lag_messages")) === 0);
		expect(await daemon.stop()).toBe(0);
	});

	it.each(["gzip", "snappy", "lz4", "zstd"].filter((codec) => rdkafka.features.includes(codec)))("compressed by %s", async (codec) => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName(codec), uniqueName("g")];
		const records = Array.from({ length: 500 }, (_, i) => ({ topic, key: `k${i}`, value: JSON.stringify({ name: "x".repeat(200) }) }));
		await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: 1 }, records, { "compression.codec": codec });
		await using daemon = await runDaemon(folder.path, configFor(inject("kafkaBrokers"), topic, group, db.url));
		await untilCommitted(inject("kafkaBrokers"), group, topic, CATCH_UP_MS);
		expect(await rows(db.database)).toBe(500);
		expect(await daemon.stop()).toBe(0);
	});

	it("topics by a regular expression, into one table with the topic in its version", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [prefix, group] = [uniqueName("many"), uniqueName("g")];
		for (const name of ["a", "b"]) {
			const topic = `${prefix}.${name}`;
			await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: 2 }, [
				{ topic, key: "same", value: `{"name":"${name}"}`, timestamp: 1_000 },
				{ topic, key: `only-${name}`, value: "{}", timestamp: 1_000 },
			]);
		}
		await using daemon = await runDaemon(folder.path, configFor(inject("kafkaBrokers"), `^${prefix}\\..*`, group, db.url));
		await waitFor("three rows", async () => (await rows(db.database)) === 3);
		for (const name of ["a", "b"]) await untilCommitted(inject("kafkaBrokers"), group, `${prefix}.${name}`, CATCH_UP_MS);
		const [row] = await db.database.query("select name, kafka_topic from events where id = 'same'");
		expect(row).toEqual({ name: "b", kafka_topic: `${prefix}.b` });
		expect(await daemon.stop()).toBe(0);
	});
});

async function produceTransactions(topic: string, transactions: readonly { keys: readonly string[]; commit: boolean }[]): Promise<void> {
	const producer = new rdkafka.Producer(
		{ "metadata.broker.list": inject("kafkaBrokers"), "transactional.id": uniqueName("tx") } as never,
		{},
	);
	await new Promise<void>((resolve, reject) => producer.connect({}, (error) => (error ? reject(error) : resolve())));
	const call = (start: (callback: (error: unknown) => void) => void) =>
		new Promise<void>((resolve, reject) => start((error) => (error ? reject(error) : resolve())));
	await call((callback) => producer.initTransactions(10_000, callback));
	for (const { keys, commit } of transactions) {
		await call((callback) => producer.beginTransaction(callback));
		for (const key of keys) producer.produce(topic, 0, Buffer.from("{}"), key);
		await call((callback) => producer.flush(10_000, callback));
		await call((callback) => (commit ? producer.commitTransaction(10_000, callback) : producer.abortTransaction(10_000, callback)));
	}
	await new Promise<void>((resolve) => producer.disconnect(() => resolve()));
}
