/** A producer whose transaction hangs, on a real Kafka: the daemon says which partition waits for it, and takes it for nothing else. */
import { expect, inject, it } from "vitest";
import { Producer } from "../../src/kafka/producer.ts";
import { runDaemon } from "../support/daemons/daemon-process.ts";
import { notReadyFor } from "../support/daemons/delivery-scene.ts";
import { kafkaAt, loadTopic } from "../support/kafka/load-topic.ts";
import { openTransaction } from "../support/kafka/open-transaction.ts";
import { produceMany } from "../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../support/postgres/test-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");

describeOnKafka("a transaction that hangs", () => {
	it("is told with both offsets and what ends it; nothing is parked, the lag has its age, and it ends by itself", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const topic = uniqueName("hanging");
		const records = (from: number, to: number) =>
			Array.from({ length: to - from }, (_, i) => ({ topic, partition: 0, key: `k${from + i}`, value: '{"name":"x"}' }));
		await loadTopic(brokers, { name: topic, partitions: 1 }, records(0, 10));
		await using daemon = await runDaemon(folder.path, {
			kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g"), properties: { "statistics.interval.ms": 500 } },
			handler: { module: "pockaffe:json" },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
			offsets: { commitIntervalMs: 50 },
		});
		const rows = async () => (await db.database.query("select 1 from events")).length;
		await waitFor("ten rows", async () => (await rows()) === 10);
		const transaction = await openTransaction(brokers, topic);
		await using producer = await Producer.connect(kafkaAt(brokers));
		await produceMany(producer, records(10, 30));
		await waitFor("the lag", async () => (await daemon.metric("pockaffe_consumer_lag_messages")) === 21);
		// A series of its own although nobody here has seen the age of what waits.
		expect(await daemon.metrics()).toMatch(/pockaffe_consumer_lag_seconds\{[^}]*partition="0"\} /);
		const reason = await notReadyFor(
			daemon,
			"standing_transaction",
			/the last stable offset stands at 10 while the log goes on to 31/,
			60_000,
		);
		expect(reason).toMatchObject({ topic, partition: 0 });
		expect(reason.message).toContain(
			`kafka-transactions.sh --bootstrap-server ${brokers} abort --topic ${topic} --partition 0 --start-offset 10`,
		);
		expect((await daemon.notReady()).map(({ code }) => code)).toEqual(["standing_transaction"]);
		expect((await daemon.status()).partitions[0]).toMatchObject({ state: "running", lag: 21 });
		expect(await daemon.metric("pockaffe_consumer_lag_seconds")).toBeGreaterThan(25);
		expect(await daemon.metric("pockaffe_not_ready_reasons", 'code="standing_transaction"')).toBe(1);
		expect(daemon.output).not.toContain("stands still");
		await daemon.record("it in the log", ({ level, msg }) => level === "error" && msg.includes("the last stable offset stands at 10"));
		await transaction.abort();
		await waitFor("the rest", async () => (await rows()) === 30);
		await daemon.ready();
		await daemon.record("its end", ({ msg }) => msg.endsWith("standing_transaction is over"));
		expect(await daemon.stop()).toBe(0);
	});
});
