/** An eager rebalance takes every partition from its member and gives most back at once: those go on in the thread that they had. */
import { expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

/** Partitions that have handled everything, with their threads. */
async function threadsOf(daemon: DaemonProcess, share: number, committed: number): Promise<ReadonlyMap<number, number | null>> {
	return waitFor(
		`${share} partitions at offset ${committed}\n${daemon.output.slice(-2000)}`,
		async () => {
			const { partitions } = await daemon.status();
			const done = partitions.filter((each) => each.committed === committed && each.thread !== null);
			const isDone = partitions.length === share && done.length === share;
			return isDone ? new Map(done.map((each) => [each.partition, each.thread])) : null;
		},
		60_000,
	);
}

describeOnKafka("a partition that an eager rebalance gives back", () => {
	it("has the thread that it had", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group, brokers] = [uniqueName("back"), uniqueName("g"), inject("kafkaBrokers")];
		const records = () => [0, 1].map((partition) => ({ topic, partition, key: `k${partition}`, value: '{"id":"a"}' }));
		await loadTopic(brokers, { name: topic, partitions: 2 }, records());
		const config = {
			kafka: { brokers: [brokers], topics: [topic], group, protocol: "eager" },
			handler: { module: "pockaffe:log" },
			database: { url: db.url },
			offsets: { commitIntervalMs: 100 },
		};
		await using first = await runDaemon(folder.path, config);
		const before = await threadsOf(first, 2, 1);
		await using second = await runDaemon(folder.path, config);
		await waitFor("a share for each", async () => (await second.status()).partitions.length === 1);
		await using producer = await Producer.connect(kafkaAt(brokers));
		await produceMany(producer, records());
		const after = await threadsOf(first, 1, 2);
		const [kept] = [...after.keys()];
		expect(after.get(kept as number)).toBe(before.get(kept as number));
		expect(await first.stop()).toBe(0);
		expect(await second.stop()).toBe(0);
	});
});
