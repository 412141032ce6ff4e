/** Offsets kept in the database (brod's consumer_managed): its own backup goes on from its own offsets, and Kafka's follow. */
import { expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import type { Database } from "../../../src/sink/database/database.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { eventTable } from "../../support/daemons/event-log.ts";
import { committedOffsets } from "../../support/kafka/group-offsets.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const brokers = inject("kafkaBrokers");

function configFor(
	topic: string,
	group: string,
	url: string,
	store: "kafka" | "postgres",
	startFrom = "earliest",
): Record<string, unknown> {
	return {
		kafka: { brokers: [brokers], topics: [topic], group, startFrom, properties: { "session.timeout.ms": 6_000 } },
		handler: { module: "pockaffe:json" },
		database: { url },
		tables: { events: eventTable },
		offsets: { store, commitIntervalMs: 50 },
	};
}

function events(topic: string, from: number, to: number) {
	return Array.from({ length: to - from }, (_, i) => ({
		topic,
		partition: 0,
		key: `k${from + i}`,
		value: '{"name":"x"}',
		timestamp: 1_700_000_000_000 + i,
	}));
}

async function produce(topic: string, from: number, to: number): Promise<void> {
	await using producer = await Producer.connect(kafkaAt(brokers));
	await produceMany(producer, events(topic, from, to));
}

async function inKafka(group: string, topic: string): Promise<number | null | undefined> {
	return (await committedOffsets(brokers, group, topic))[0];
}

async function inTable(database: Database): Promise<number> {
	const [row] = await database.query("select next_offset::int4 as next_offset from pockaffe_offsets");
	return row?.next_offset as number;
}

describeOnKafka("offsets in the database", () => {
	it("go back with a restored backup, which so catches up by itself; Kafka's follow both ways", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("backup"), uniqueName("g")];
		const config = configFor(topic, group, db.url, "postgres");
		await loadTopic(brokers, { name: topic, partitions: 1 }, events(topic, 0, 10));
		const reaches = async (offset: number) => {
			await waitFor(`offset ${offset} in the table`, async () => (await inTable(db.database)) === offset);
			await waitFor(`offset ${offset} in Kafka`, async () => (await inKafka(group, topic)) === offset);
		};
		{
			await using daemon = await runDaemon(folder.path, config);
			await reaches(10);
			for (const table of ["events", "pockaffe_offsets"]) await db.database.query(`create table backup_${table} as select * from ${table}`);
			await produce(topic, 10, 30);
			await reaches(30);
			expect(await daemon.stop()).toBe(0);
		}
		for (const table of ["events", "pockaffe_offsets"]) {
			await db.database.query(`delete from ${table}`);
			await db.database.query(`insert into ${table} select * from backup_${table}`);
		}
		await using daemon = await runDaemon(folder.path, config);
		const start = await daemon.record("the start", ({ from }) => from !== undefined);
		expect(start).toMatchObject({ offset: 10, from: "committed" });
		await reaches(30);
		expect((await db.database.query("select 1 from events")).length).toBe(30);
		// Restored under the running daemon: it finds out with its next store, and begins anew from there.
		await db.database.query("delete from events where kafka_offset >= 10");
		await db.database.query("delete from pockaffe_offsets");
		await db.database.query("insert into pockaffe_offsets select * from backup_pockaffe_offsets");
		await produce(topic, 30, 31);
		await reaches(31);
		expect((await db.database.query("select 1 from events")).length).toBe(31);
		await daemon.record("it says so", ({ msg }) => msg.includes("restored to an earlier time"));
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
	});

	it("are put back under running daemons: told, and read again from there, with messages and without", async () => {
		await using one = await temporaryFolder();
		await using two = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("put-back"), uniqueName("g")];
		const config = configFor(topic, group, db.url, "postgres");
		const over = (from: number, to: number) => events(topic, from, to).map((event, i) => ({ ...event, partition: (from + i) % 4 }));
		const add = async (from: number, to: number) => {
			await using producer = await Producer.connect(kafkaAt(brokers));
			await produceMany(producer, over(from, to));
		};
		await loadTopic(brokers, { name: topic, partitions: 4 }, over(0, 40));
		await using first = await runDaemon(one.path, config);
		await using second = await runDaemon(two.path, config);
		const holds = async (daemon: typeof first) => (await daemon.status()).partitions.length;
		// A partition between two owners would begin where the table says, and nobody would be told.
		const arrived = (count: number) =>
			waitFor(`${count} rows and their offsets, and two partitions for each daemon`, async () => {
				const [row] = await db.database.query(
					"select (select count(*) from events)::int4 as rows, (select sum(next_offset) from pockaffe_offsets)::int4 as stored",
				);
				return row?.rows === count && row.stored === count && (await holds(first)) === 2 && (await holds(second)) === 2;
			});
		await arrived(40);
		const tables = ["events", "pockaffe_offsets"];
		for (const table of tables) await db.database.query(`create table backup_${table} as select * from ${table}`);
		// Statements of one query are one transaction.
		const putBack = () =>
			db.database.query(
				tables.flatMap((table) => [`delete from ${table}`, `insert into ${table} select * from backup_${table}`]).join(";"),
			);
		await add(40, 80);
		await arrived(80);
		// While messages come.
		const adding = add(80, 400);
		await putBack();
		await adding;
		await arrived(400);
		// And where none does.
		await putBack();
		await arrived(400);
		// Somebody sets them, and then empties the table.
		await db.database.query("delete from events; update pockaffe_offsets set next_offset = 0");
		await arrived(400);
		await db.database.query("delete from events; delete from pockaffe_offsets");
		await arrived(400);
		const told = [...first.records, ...second.records].filter(({ kind }) => kind === "changed" || kind === "gone");
		const bySort = (kind: string) => new Set(told.filter((each) => each.kind === kind).map(({ partition }) => partition)).size;
		expect([bySort("changed"), bySort("gone")]).toEqual([4, 4]);
		expect(
			(await first.metric("pockaffe_offsets_displaced_total")) + (await second.metric("pockaffe_offsets_displaced_total")),
		).toBeGreaterThan(15);
		expect([await first.stop(), await second.stop()]).toEqual([0, 0]);
	});

	it("begin where the group is noted to have come when the store is changed and startFrom would skip messages", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("moved"), uniqueName("g")];
		await loadTopic(brokers, { name: topic, partitions: 1 }, events(topic, 0, 10));
		{
			await using daemon = await runDaemon(folder.path, configFor(topic, group, db.url, "kafka"));
			await waitFor("the commit", async () => (await inKafka(group, topic)) === 10);
			expect(await daemon.stop()).toBe(0);
		}
		await produce(topic, 10, 20);
		await using daemon = await runDaemon(folder.path, configFor(topic, group, db.url, "postgres", "latest"));
		expect(await daemon.record("the start", ({ from }) => from !== undefined)).toMatchObject({ offset: 10, from: "noted" });
		await waitFor("all rows", async () => (await db.database.query("select 1 from events")).length === 20);
		expect(await daemon.stop()).toBe(0);
	});

	it("that can't be read hold the start up, not for good: nothing is skipped", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("locked"), uniqueName("g")];
		await loadTopic(brokers, { name: topic, partitions: 1 }, events(topic, 0, 10));
		await db.database.query("create table pockaffe_offsets (nothing text)");
		await using daemon = await runDaemon(folder.path, configFor(topic, group, db.url, "postgres"));
		await daemon.record("the reason", ({ msg }) => msg.includes("positions can't be read from the database yet"));
		await notReadyFor(daemon, "database", /the group's positions can't be read: column o.consumer_group does not exist/);
		expect((await daemon.notReady()).map(({ code }) => code)).not.toContain("not_in_group");
		await db.database.query("drop table pockaffe_offsets");
		await waitFor("all rows", async () => (await db.database.query("select 1 from events")).length === 10);
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
	});

	it("can't be stored are told after half a minute, in the server's words; rows go on; it ends with the right", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group, role] = [uniqueName("refused"), uniqueName("g"), `app_${Date.now()}`];
		await loadTopic(brokers, { name: topic, partitions: 1 }, events(topic, 0, 20));
		await db.database.query(`create role ${role} login password 'secret'; grant all on schema public to ${role}`);
		const url = Object.assign(new URL(db.url), { username: role, password: "secret" }).toString();
		const config = configFor(topic, group, url, "postgres");
		await using daemon = await runDaemon(folder.path, config);
		await waitFor("the offset", async () => (await inTable(db.database)) === 20);
		await daemon.ready();
		await db.database.query(`alter table pockaffe_offsets owner to current_user; grant select, insert on pockaffe_offsets to ${role}`);
		await produce(topic, 20, 40);
		const reason = await notReadyFor(daemon, "commits_failing", /permission denied for table pockaffe_offsets/);
		expect(reason.message).toContain(`the offsets of ${topic}/0 can't be committed: `);
		expect((await db.database.query("select 1 from events")).length).toBe(40);
		expect(await inTable(db.database)).toBe(20);
		expect(await daemon.metric("pockaffe_offset_commits_total", 'result="failed"')).toBeGreaterThan(10);
		await db.database.query(`grant update on pockaffe_offsets to ${role}`);
		await waitFor("the offset", async () => (await inTable(db.database)) === 40);
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
	});
});
