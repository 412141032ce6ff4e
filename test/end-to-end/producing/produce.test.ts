/** Handlers that produce, on a real Kafka: what is produced, what fails, and a chain of two daemons that are killed in the middle. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { ReceivedMessage } from "../../../src/core/messages/message.ts";
import { LogReader } from "../../../src/kafka/log-reader.ts";
import { awaitTopic, createTopic } from "../../../src/kafka/topics.ts";
import type { Database } from "../../../src/sink/database/database.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { eventLog, eventTable, type LogEvent, readTable } from "../../support/daemons/event-log.ts";
import { committedOffsets, untilCommitted } from "../../support/kafka/group-offsets.ts";
import { createTopicWith, deleteTopic, kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const brokers = () => inject("kafkaBrokers");

/** A daemon's folder, with its handler and its configuration. */
async function service(handler: string, { topic, url, ...more }: { topic: string; url: string; [section: string]: unknown }) {
	const folder = await temporaryFolder();
	await writeFile(join(folder.path, "handler.mjs"), handler);
	const group = uniqueName("produce");
	const config = {
		kafka: { brokers: [brokers()], topics: [topic], group, properties: { "session.timeout.ms": 6000 } },
		database: { url },
		offsets: { commitIntervalMs: 100 },
		...more,
		handler: { module: "./handler.mjs", ...(more.handler as object) },
	};
	const run = () => runDaemon(folder.path, config);
	return { run, group, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

async function newTopic(prefix: string, partitions: number): Promise<string> {
	const name = uniqueName(prefix);
	await makeTopic(name, partitions);
	return name;
}

async function makeTopic(name: string, partitions: number): Promise<void> {
	await createTopic(kafkaAt(brokers()), { name, partitions, replication: 1 });
	await awaitTopic(kafkaAt(brokers()), systemClock, name, partitions);
}

/** Each partition's messages, in its order. */
async function readTopic(topic: string, partitions: number): Promise<ReceivedMessage[][]> {
	await using reader = await LogReader.connect(kafkaAt(brokers()), systemClock, uniqueName("reader"), new AbortController().signal);
	const all = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
	const ranges = await Promise.all(all.map(async (each) => ({ ...each, from: 0, to: (await reader.watermarks(each)).high })));
	const logs = all.map((): ReceivedMessage[] => []);
	for await (const [, messages] of reader.read(ranges)) for (const message of messages) logs[message.partition]?.push(message);
	return logs;
}

const header = (message: ReceivedMessage, name: string) => String(message.headers.find(([each]) => each === name)?.[1] ?? "");
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
		await using daemon = await service(handler, { topic: source, url: db.url, handler: { produces: [out] } });
		const running = await daemon.run();
		await untilCommitted(brokers(), daemon.group, source);
		const logs = await readTopic(out, 3);
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
	});

	it("has a dead letter for a record that is too large, with the broker's code; its neighbours of the batch arrive, in order", async () => {
		await using db = await createTestDatabase();
		const [source, out] = [await newSource(200), uniqueName("small")];
		await createTopicWith(brokers(), { name: out, partitions: 1 }, { "max.message.bytes": "20000" });
		const handler = `export const handleMessage = ({ key, value, offset }) => ({ id: key.toString(), fields: { name: value.toString() },
			produce: [{ topic: "${out}", key, value: offset === 100 ? require("node:crypto").randomBytes(40000) : value }] });
			import { createRequire } from "node:module"; const require = createRequire(import.meta.url);`;
		await using daemon = await service(handler, { topic: source, url: db.url, tables: { events: eventTable } });
		const running = await daemon.run();
		await untilCommitted(brokers(), daemon.group, source);
		const [log = []] = await readTopic(out, 1);
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
		await using daemon = await service(handler, { topic: source, url: db.url, handler: { produces: [out] } });
		const running = await daemon.run();
		await notReadyFor(
			running,
			"produce_blocked",
			new RegExp(`records for topic ${out} can't be produced: .*pockaffe topic create ${out} -p N`),
		);
		expect(await committedOffsets(brokers(), daemon.group, source)).not.toContain(10);
		await makeTopic(out, 1);
		await untilCommitted(brokers(), daemon.group, source);
		await running.ready();
		expect(firsts((await readTopic(out, 1))[0] ?? []).map(({ offset }) => offset)).toEqual(Array.from({ length: 10 }, (_, i) => i));
		await deleteTopic(brokers(), out);
		await loadMore(source, 10);
		await notReadyFor(running, "produce_blocked", new RegExp(out));
		await makeTopic(out, 1);
		await untilCommitted(brokers(), daemon.group, source);
		const [log = []] = await readTopic(out, 1);
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
		await using daemon = await service(handler, { topic: source, url: db.url, handler: { produces: [out], maxOutcomeBytes: 40_000_000 } });
		const running = await daemon.run();
		await untilCommitted(brokers(), daemon.group, source);
		const [log = []] = await readTopic(out, 1);
		expect(log).toHaveLength(100_001);
		expect(log.slice(0, 100_000).every(({ value }, i) => String(value) === String(i))).toBe(true);
		expect(log[100_000]?.value?.length).toBe(20 * 2 ** 20);
		expect(await storedLetters(db.database, daemon.group)).toEqual([]);
		expect(await running.stop()).toBe(0);
	});

	it("loses no record and keeps each key's order in a chain of daemons that are killed again and again; the table is the fold", async () => {
		const partitions = 3;
		await using db = await createTestDatabase();
		const [source, middle] = [uniqueName("chain"), await newTopic("middle", partitions)];
		const events = [...eventLog({ topic: source, count: 60_000, ids: 3_000, partitions, seed: 28, wander: false, deletes: 0.02 })];
		await loadTopic(brokers(), { name: source, partitions }, events);
		const producing = `export const handleMessage = ({ key, value }) => ({ produce: [{ topic: "${middle}", key, value }] });`;
		const writing = `export function handleMessage({ key, value, headers }) {
			if (value === null) return { id: key.toString(), delete: true };
			const { name, amount, note } = JSON.parse(value.toString());
			return { id: key.toString(), fields: { name, amount, note } };
		}`;
		await using first = await service(producing, { topic: source, url: db.url, handler: { produces: [middle] } });
		await using second = await service(writing, {
			...{ topic: middle, url: db.url, tables: { events: eventTable }, cas: { version: "offset" } },
			handler: { dropRepeats: true },
		});
		const [producers, writers] = [[await first.run()], [await second.run()]];
		const moved = async (group: string, topic: string, count: number) =>
			waitFor(`${count} committed of ${topic}`, async () => sum(await committedOffsets(brokers(), group, topic)) >= count);
		for (const count of [1, 10_000, 25_000]) {
			await moved(first.group, source, count);
			await kill(producers, first.run);
			await moved(second.group, middle, count);
			await kill(writers, second.run);
		}
		await untilCommitted(brokers(), first.group, source);
		await untilCommitted(brokers(), second.group, middle);
		const logs = await readTopic(middle, partitions);
		expect(new Set(logs.flat().map((message) => header(message, "pockaffe-source"))).size).toBe(events.length);
		for (const log of logs) {
			const last = new Map<string, number>();
			for (const { key, offset } of firsts(log)) {
				expect(offset).toBeGreaterThan(last.get(key) ?? -1);
				last.set(key, offset);
			}
		}
		const values = (rows: Iterable<readonly [string, { readonly name: string | null; readonly deleted: boolean }]>) =>
			new Map([...rows].map(([id, { name, deleted }]) => [id, deleted ? null : name]));
		expect(values(await readTable(db.database, "events"))).toEqual(lastOf(events));
		for (const daemon of [...producers.slice(-1), ...writers.slice(-1)]) expect(await daemon.stop()).toBe(0);
	});
});

async function kill(daemons: DaemonProcess[], run: () => Promise<DaemonProcess>): Promise<void> {
	expect(await daemons.at(-1)?.stop("SIGKILL")).toBe(137);
	daemons.push(await run());
}

/** Each id's last event in the log's order: ids stay on their partition. */
function lastOf(events: readonly LogEvent[]): Map<string, string | null> {
	return new Map(events.map(({ key, value }) => [key, value === null ? null : (JSON.parse(value) as { name: string }).name]));
}

/** First deliveries, by the offset of their source. */
function firsts(log: readonly ReceivedMessage[]): { key: string; offset: number }[] {
	const seen = new Set<string>();
	return log.flatMap((message) => {
		const source = header(message, "pockaffe-source");
		if (seen.has(source)) return [];
		seen.add(source);
		return [{ key: String(message.key), offset: Number(source.split("/").at(-1)) }];
	});
}

function storedLetters(database: Database, group: string) {
	return database.query(
		'select "offset"::int4, reason, sqlstate, table_name as "table", row_id as "rowId" from pockaffe_dead_letters where consumer_group = $1',
		[group],
	);
}

function sum(offsets: readonly (number | null)[]): number {
	return offsets.reduce<number>((total, offset) => total + (offset ?? 0), 0);
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
	await producer.produceMany(records(count, topic));
}
