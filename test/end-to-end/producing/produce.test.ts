/** Handlers that produce, on a real Kafka: what is produced, what fails, and what waits. */
import { expect, inject, it } from "vitest";
import type { Database } from "../../../src/sink/database/database.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { eventTable, readTable } from "../../support/daemons/event-log.ts";
import { committedOffsets, untilCommitted } from "../../support/kafka/group-offsets.ts";
import { createTopicWith, deleteTopic, kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { firsts, header, makeTopic, readTopic, service } from "./producing-scene.ts";

const brokers = () => inject("kafkaBrokers");

async function newTopic(prefix: string, partitions: number): Promise<string> {
	const name = uniqueName(prefix);
	await makeTopic(brokers(), name, partitions);
	return name;
}

const records = (count: number, topic: string, value = (i: number) => `v${i}`) =>
	Array.from({ length: count }, (_, i) => ({ topic, partition: 0, key: `k${i}`, value: value(i), timestamp: 1_000_000 + i }));

describeOnKafka("a handler that produces", () => {
	it("has its records at the broker as it gave them, told by their source, before its offset is committed", async () => {
		await using db = await createTestDatabase();
		const [source, out] = [await newSource(3), await newTopic("out", 3)];
		const handler = `export const handleMessage = ({ key, value, headers }) => ({ produce: [
			{ topic: "${out}", key, value, headers: [["a", "1"], ["a", "2"]] },
			{ topic: "${out}", key: "key1", value: null, partition: 1, timestamp: 5 },
			{ topic: "${out}", key: "key1", value: "" },
		] });`;
		await using daemon = await service(brokers(), handler, { topic: source, url: db.url, handler: { produces: [out] } });
		const running = await daemon.run();
		await untilCommitted(brokers(), daemon.group, source);
		const logs = await readTopic(kafkaAt(brokers()), out, 3);
		const told = logs.flat().map((m) => ({
			...{ partition: m.partition, key: String(m.key), value: m.value && String(m.value), timestamp: m.timestamp },
			...{ from: header(m, "pockaffe-source"), index: header(m, "pockaffe-source-index"), at: header(m, "pockaffe-source-timestamp") },
			others: m.headers.filter(([name]) => !name.startsWith("pockaffe")).map(([name, value]) => `${name}=${value}`),
		}));
		for (let i = 0; i < 3; i++) {
			const from = `${source}/0/${i}`;
			const at = String(1_000_000 + i);
			const of = (index: number) => told.find((each) => each.from === from && each.index === String(index));
			expect(of(0)).toMatchObject({ key: `k${i}`, value: `v${i}`, timestamp: 1_000_000 + i, at, others: ["a=1", "a=2"] });
			expect(of(1)).toMatchObject({ partition: 1, key: "key1", value: null, timestamp: 5 });
			// murmur2 of key1, as Java clients have it.
			expect(of(2)).toMatchObject({ partition: 2, key: "key1", value: "", timestamp: 1_000_000 + i });
		}
		expect(told).toHaveLength(9);
		expect(await running.metric("pockaffe_produced_records_total", 'result="acknowledged"')).toBe(9);
		expect(await running.metric("pockaffe_handler_outcomes_total", 'outcome="produced"')).toBe(3);
		expect(await running.metric("pockaffe_produced_latency_seconds_count")).toBe(9);
		expect(await running.stop()).toBe(0);
		const { code, stdout } = await pockaffe(["verify"], { cwd: daemon.folder });
		expect([code, stdout]).toEqual([0, expect.stringContaining("records that the handler produces: left out, only rows are compared\n")]);
	});

	it("has a dead letter for a record that is too large, with the broker's code; its neighbours of the batch arrive, in order", async () => {
		await using db = await createTestDatabase();
		const [source, out] = [await newSource(200), uniqueName("small")];
		await createTopicWith(brokers(), { name: out, partitions: 1 }, { "max.message.bytes": "20000" });
		const handler = `export const handleMessage = ({ key, value, offset }) => ({ id: key.toString(), fields: { name: value.toString() },
			produce: [{ topic: "${out}", key, value: offset === 100 ? require("node:crypto").randomBytes(40000) : value }] });
			import { createRequire } from "node:module"; const require = createRequire(import.meta.url);`;
		await using daemon = await service(brokers(), handler, { topic: source, url: db.url, tables: { events: eventTable } });
		const running = await daemon.run();
		await untilCommitted(brokers(), daemon.group, source);
		const [log = []] = await readTopic(kafkaAt(brokers()), out, 1);
		expect(firsts(log).map(({ offset }) => offset)).toEqual(Array.from({ length: 200 }, (_, i) => i).filter((i) => i !== 100));
		const letters = await storedLetters(db.database, daemon.group);
		expect(letters).toMatchObject([{ offset: 100, reason: "row_fault", sqlstate: "kafka_10", table: `topic ${out}`, rowId: "record 0" }]);
		expect((await readTable(db.database, "events")).size).toBe(200);
		expect(await running.stop()).toBe(0);
	});

	it("waits for a topic that is missing, and says so; one that is deleted meanwhile, too", async () => {
		await using db = await createTestDatabase();
		const [source, out] = [await newSource(10), uniqueName("absent")];
		const handler = `export const handleMessage = ({ key, value }) => ({ produce: [{ topic: "${out}", key, value }] });`;
		await using daemon = await service(brokers(), handler, { topic: source, url: db.url, handler: { produces: [out] } });
		const running = await daemon.run();
		await notReadyFor(
			running,
			"produce_blocked",
			new RegExp(`records for topic ${out} can't be produced: .*pockaffe topic create ${out} -p N`),
		);
		expect(await committedOffsets(brokers(), daemon.group, source)).not.toContain(10);
		await makeTopic(brokers(), out, 1);
		await untilCommitted(brokers(), daemon.group, source);
		await running.ready();
		expect(firsts((await readTopic(kafkaAt(brokers()), out, 1))[0] ?? []).map(({ offset }) => offset)).toEqual(
			Array.from({ length: 10 }, (_, i) => i),
		);
		await deleteTopic(brokers(), out);
		await loadMore(source, 10);
		await notReadyFor(running, "produce_blocked", new RegExp(out));
		await makeTopic(brokers(), out, 1);
		await untilCommitted(brokers(), daemon.group, source);
		const [log = []] = await readTopic(kafkaAt(brokers()), out, 1);
		expect(firsts(log).map(({ offset }) => offset)).toEqual(Array.from({ length: 10 }, (_, i) => 10 + i));
		expect(await running.stop()).toBe(0);
	});

	it("may give 100,000 records of one message, and one of 20 MB", async () => {
		await using db = await createTestDatabase();
		const [source, out] = [await newSource(2), uniqueName("many")];
		await createTopicWith(brokers(), { name: out, partitions: 1 }, { "max.message.bytes": "30000000" });
		const handler = `export const handleMessage = ({ key, offset }) => ({ produce: offset === 0
			? Array.from({ length: 100000 }, (_, i) => ({ topic: "${out}", key, value: String(i) }))
			: [{ topic: "${out}", key, value: Buffer.alloc(20 * 2 ** 20, "0123456789abcdef") }] });`;
		await using daemon = await service(brokers(), handler, {
			topic: source,
			url: db.url,
			handler: { produces: [out], maxOutcomeBytes: 40_000_000 },
		});
		const running = await daemon.run();
		await untilCommitted(brokers(), daemon.group, source);
		const [log = []] = await readTopic(kafkaAt(brokers()), out, 1);
		expect(log).toHaveLength(100_001);
		expect(log.slice(0, 100_000).every(({ value }, i) => String(value) === String(i))).toBe(true);
		expect(log[100_000]?.value?.length).toBe(20 * 2 ** 20);
		expect(await storedLetters(db.database, daemon.group)).toEqual([]);
		expect(await running.stop()).toBe(0);
	});
});

function storedLetters(database: Database, group: string) {
	return database.query(
		'select "offset"::int4, reason, sqlstate, table_name as "table", row_id as "rowId" from pockaffe_dead_letters where consumer_group = $1',
		[group],
	);
}

/** A topic of one partition with so many messages. */
async function newSource(count: number): Promise<string> {
	const topic = uniqueName("source");
	await loadTopic(brokers(), { name: topic, partitions: 1 }, records(count, topic));
	return topic;
}

async function loadMore(topic: string, count: number): Promise<void> {
	const { Producer } = await import("../../../src/kafka/producer.ts");
	await using producer = await Producer.connect(kafkaAt(brokers()));
	await produceMany(producer, records(count, topic));
}
