/** What a daemon keeps where it joins its group anew by itself, and where one of its tables can't be made. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const brokers = inject("kafkaBrokers");

/** A topic of two partitions with a message each, and a daemon whose tables are these. */
async function scene(over: object) {
	const [folder, db, topic] = [await temporaryFolder(), await createTestDatabase(), uniqueName("rejoined")];
	await loadTopic(brokers, { name: topic, partitions: 2 }, []);
	const source = 'export const handleMessage = ({ key, offset }) => ({ table: "events", id: key.toString(), fields: { n: offset } });';
	await writeFile(join(folder.path, "handler.mjs"), source);
	const produce = async (partition: number, key: string) => {
		await using producer = await Producer.connect(kafkaAt(brokers));
		await producer.produce({ topic, partition, key, value: "v" });
	};
	await produce(0, "a");
	await produce(1, "b");
	const daemon = await runDaemon(folder.path, {
		kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
		handler: { module: "./handler.mjs" },
		database: { url: db.url },
		tables: { events: { columns: { n: "bigint" }, create: true } },
		http: { port: 0, admin: true },
		...over,
	});
	const partitions = async () => (await daemon.status()).partitions;
	await waitFor("both", async () => (await partitions()).map(({ committed }) => committed).join() === "1,1");
	return {
		daemon,
		db,
		produce,
		partitions,
		ask: async (path: string) => (await fetch(`${await daemon.url()}/partitions/${topic}/${path}`, { method: "POST" })).status,
		ids: async () => (await db.database.query("select id from events order by id")).map(({ id }) => id),
		async [Symbol.asyncDispose]() {
			await daemon[Symbol.asyncDispose]();
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

describeOnKafka("a daemon", () => {
	it("that joins anew because an offset was set elsewhere leaves a partition paused that a person paused", async () => {
		await using test = await scene({ offsets: { store: "postgres" } });
		const { daemon, partitions } = test;
		expect(await test.ask("0/pause")).toBe(200);
		await test.produce(0, "held");
		await test.db.database.query("update pockaffe_offsets set next_offset = 0 where partition = 1");
		await daemon.record("the rejoin", ({ msg }) => msg.includes("rejoins the group"));
		await waitFor("what is read again", async () => {
			const [, other] = await partitions();
			return (await daemon.status()).rebalances >= 3 && other?.state === "running" && other.committed === 1;
		});
		await test.produce(1, "behind");
		await waitFor("the other partition's row", async () => (await test.ids()).includes("behind"));
		expect([(await partitions())[0], await test.ids()]).toMatchObject([{ state: "paused", reason: "admin" }, ["a", "b", "behind"]]);
		expect(await test.ask("0/resume")).toBe(200);
		await waitFor("the row that was held back", async () => (await test.ids()).includes("held"));
		expect(await daemon.stop()).toBe(0);
	});

	it("one of whose tables can't be made notes its positions all the same, and is not ready, whatever rows go into the others", async () => {
		const tables = { broken: { columns: { v: "no_such_type" }, create: true }, events: { columns: { n: "bigint" }, create: true } };
		await using test = await scene({ tables });
		const { daemon, db } = test;
		expect(await test.ids()).toEqual(["a", "b"]);
		expect(await daemon.notReady()).toMatchObject([
			{ code: "database", message: expect.stringContaining("tables.broken: column v: the server has no type no_such_type") },
		]);
		expect(await db.database.query("select partition, reached_offset::int4 as reached from pockaffe_offsets_start order by 1")).toEqual([
			{ partition: 0, reached: 1 },
			{ partition: 1, reached: 1 },
		]);
		await db.database.query("create domain no_such_type as text");
		expect(await daemon.ready()).toBe(true);
		expect(await daemon.stop()).toBe(0);
	});
});
