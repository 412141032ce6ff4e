/** Groups that don't take a member, on a real Kafka: told soon, in Kafka's words and with what to do, and over as soon as it is mended. */
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { type DaemonProcess, runDaemon } from "../support/daemons/daemon-process.ts";
import { notReadyFor } from "../support/daemons/delivery-scene.ts";
import { type KafkaServer, startKafka } from "../support/kafka/kafka-server.ts";
import { loadTopic } from "../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres/test-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

/** Far sooner than anybody who waits for a start gives up. */
const TOLD_WITHIN_MS = 20_000;

interface Group extends AsyncDisposable {
	join(kafka?: Record<string, unknown>): Promise<DaemonProcess>;
}

async function openGroup(brokers: string): Promise<Group> {
	const db: TestDatabase = await createTestDatabase();
	const [topic, group] = [uniqueName("join"), uniqueName("g")];
	await loadTopic(brokers, { name: topic, partitions: 2 }, []);
	const parts: AsyncDisposable[] = [db];
	return {
		async join(kafka = {}) {
			const folder = await temporaryFolder();
			const daemon = await runDaemon(folder.path, {
				kafka: { brokers: [brokers], topics: [topic], group, ...kafka },
				handler: { module: "pockaffe:json" },
				database: { url: db.url },
				tables: { events: { columns: { name: "text" }, create: true } },
			});
			parts.push(folder, daemon);
			return daemon;
		},
		async [Symbol.asyncDispose]() {
			for (const part of parts.reverse()) await part[Symbol.asyncDispose]();
		},
	};
}

const holds = async (daemon: DaemonProcess) => (await daemon.status()).partitions.length;

describeOnKafka("a group that doesn't take a member", () => {
	it("for its protocol: told as such, not as a start that takes for ever; in once the others are gone", async () => {
		await using group = await openGroup(inject("kafkaBrokers"));
		const first = await group.join();
		await waitFor("its partitions", async () => (await holds(first)) === 2);
		const other = await group.join({ protocol: "eager" });
		const reason = await notReadyFor(other, "cannot_join", /Broker: Inconsistent group protocol/, TOLD_WITHIN_MS);
		expect(reason.message).toMatch(/kafka.protocol: eager\): give all the same, or stop the others first/);
		await other.record("it in the log", ({ msg, level }) => level === "error" && msg === reason.message);
		await first.ready();
		expect(await first.stop()).toBe(0);
		await waitFor("its partitions", async () => (await holds(other)) === 2);
		await other.ready();
		expect(await other.stop()).toBe(0);
	});
});

describeOnKafka("a broker with a limit", () => {
	let kafka: KafkaServer;

	beforeAll(async () => {
		kafka = await startKafka({ "group.max.size": "1", "group.consumer.max.size": "1" });
	});
	afterAll(() => kafka?.stop());

	it.each(["classic", "consumer"])("of members (%s): told, and in when there is room", async (protocol) => {
		await using group = await openGroup(kafka.brokers);
		const first = await group.join({ protocol });
		await waitFor("its partitions", async () => (await holds(first)) === 2);
		const other = await group.join({ protocol });
		const reason = await notReadyFor(other, "cannot_join", /Broker: Consumer group has reached maximum size/, TOLD_WITHIN_MS);
		expect(reason.message).toContain("group.max.size");
		expect(await first.stop()).toBe(0);
		await waitFor("its partitions", async () => (await holds(other)) === 2);
		await other.ready();
		expect(await other.stop()).toBe(0);
	});
});

describeOnKafka("a broker without KIP-848", () => {
	let kafka: KafkaServer;

	beforeAll(async () => {
		kafka = await startKafka({ "group.coordinator.rebalance.protocols": "classic" });
	});
	afterAll(() => kafka?.stop());

	it("is told where kafka.protocol is consumer, with what to take", async () => {
		await using group = await openGroup(kafka.brokers);
		const daemon = await group.join({ protocol: "consumer" });
		const reason = await notReadyFor(
			daemon,
			"cannot_join",
			/kafka.protocol: consumer needs Kafka 4.0 .*, else take classic/,
			TOLD_WITHIN_MS,
		);
		expect(reason.message).toMatch(/API version not supported|not supported by broker/);
		expect(await daemon.stop()).toBe(0);
	});
});
