/** A KIP-848 group on a real Kafka whose broker asks for few heartbeats, as Kafka's default is: told at the start, with what follows. */
import { expect, inject, it } from "vitest";
import { runDaemon } from "../support/daemons/daemon-process.ts";
import { loadTopic } from "../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../support/postgres/test-database.ts";
import { withAddon } from "../support/project/with-addon.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

describeOnKafka("a broker's interval of heartbeats", withAddon, () => {
	it("of 5 s is a warning for a member of a KIP-848 group, and none for another", async () => {
		const brokers = inject("kafkaBrokers");
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const topic = uniqueName("heartbeats");
		await loadTopic(brokers, { name: topic, partitions: 1 }, []);
		const run = (protocol: string) =>
			runDaemon(folder.path, {
				kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g"), protocol },
				handler: { module: "pockaffe:json" },
				database: { url: db.url },
				tables: { events: { columns: { name: "text" }, create: true } },
			});
		await using member = await run("consumer");
		const told = await member.record("the warning", ({ intervalMs }) => intervalMs !== undefined);
		expect([told.level, told.intervalMs]).toEqual(["warn", 5_000]);
		expect(told.msg).toMatch(/every 5000 ms \(group.consumer.heartbeat.interval.ms\): .* can stand still that long/);
		await using classic = await run("classic");
		await classic.ready();
		expect(await classic.stop()).toBe(0);
		expect(classic.records.filter(({ intervalMs }) => intervalMs !== undefined)).toEqual([]);
	});
});
