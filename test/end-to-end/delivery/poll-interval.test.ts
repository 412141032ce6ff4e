/**
 * The delivery polls too seldom for its group. The process is ours, for no handler can hold a daemon's polling up: a client holds it back
 * until librdkafka has given the membership up.
 */
import type { EventEmitter } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import type { Config } from "../../../src/config/config.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { tableLayouts } from "../../../src/config/table-layouts.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { buildDeadLetters, buildRecords, threadOptions } from "../../../src/daemon/daemon-parts.ts";
import { Delivery } from "../../../src/daemon/delivery.ts";
import type { DeliveryListener } from "../../../src/daemon/delivery-parts.ts";
import { ConsumerClient } from "../../../src/kafka/client/consumer-client.ts";
import { consumerSettings } from "../../../src/kafka/client/consumer-settings.ts";
import { kafkaErrors } from "../../../src/kafka/client/kafka-error.ts";
import type { Database } from "../../../src/sink/database/database.ts";
import { createTables } from "../../../src/sink/tables/schema.ts";
import { createHandlerThreads } from "../../../src/worker/thread/worker-thread.ts";
import { differences, eventLog, eventTable, foldEvents, readTable } from "../../support/daemons/event-log.ts";
import { groupOffsets } from "../../support/kafka/group-offsets.ts";
import { loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const PARTITIONS = 3;
const COUNT = 6_000;
/** Kafka's shortest session, and a poll interval can't be shorter than that. */
const LONGEST_MS = 6_000;

/** Polls as it is told, until `hold`; then not before the client says that the poll interval was exceeded. */
class HeldClient extends ConsumerClient {
	#held: Promise<void> = Promise.resolve();

	hold(): void {
		this.#held = new Promise((resolve) => {
			(this.raw as EventEmitter).on("event.log", ({ fac }: { fac: string }) => {
				if (fac === "MAXPOLL") resolve();
			});
		});
	}

	override async poll(count: number, timeoutMs: number) {
		await this.#held;
		return super.poll(count, timeoutMs);
	}
}

describeOnKafka("a member that polls too seldom", () => {
	it("drops its partitions without a commit, joins anew, and everything arrives", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("seldom"), uniqueName("g")];
		const events = [...eventLog({ topic, count: COUNT, ids: 500, partitions: PARTITIONS, seed: 5, wander: true, deletes: 0.02 })];
		await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: PARTITIONS }, events);
		const config = await configFor(folder.path, topic, group, db.url);
		const clients: HeldClient[] = [];
		const delivery = await build(config, db.database, clients);
		const told: string[] = [];
		const starts: number[] = [];
		delivery.consumer.on("rebalanced", ({ kind }) => told.push(kind));
		delivery.consumer.on("start:resolved", ({ offset }) => starts.push(offset));
		delivery.consumer.on("consume:failed", ({ code }) =>
			told.push(code === kafkaErrors.maxPollExceeded ? "poll interval exceeded" : `${code}`),
		);
		await delivery.start();
		try {
			const settled = async () => differences(await readTable(db.database, "events"), foldEvents(events)).length === 0;
			await waitFor("every row", settled);
			expect(clients).toHaveLength(1);
			clients[0]?.hold();
			await waitFor("another assignment", () => told.filter((kind) => kind === "assign").length === 2);
			expect(told).toEqual(["assign", "poll interval exceeded", "lost", "assign"]);
			await waitFor("every start", () => starts.length === 2 * PARTITIONS);
			// All of it was durable and due: only a commit on the way out could have moved these.
			expect(starts).toEqual([0, 0, 0, 0, 0, 0]);
			await waitFor("all of it again", () => delivery.supervisor.children.size === PARTITIONS && finished(delivery, topic) === COUNT);
		} finally {
			expect(await delivery.stop()).toEqual({ drained: true, left: true, hangs: false });
		}
		const offsets = await groupOffsets(inject("kafkaBrokers"), group, topic);
		expect(offsets.map(({ committed }) => committed)).toEqual(offsets.map(({ latest }) => latest));
		expect(differences(await readTable(db.database, "events"), foldEvents(events))).toEqual([]);
	});
});

/** How much is finished in this assignment. */
function finished(delivery: Delivery, topic: string): number {
	const partitions = Array.from({ length: PARTITIONS }, (_, partition) => delivery.ledger.of({ topic, partition })?.committable ?? 0);
	return partitions.reduce((sum, offset) => sum + offset, 0);
}

/** Nothing is committed by interval in the time of a test. */
async function configFor(folder: string, topic: string, group: string, url: string): Promise<Config> {
	const file = join(folder, "pockaffe.yaml");
	const properties = { "session.timeout.ms": LONGEST_MS, "max.poll.interval.ms": LONGEST_MS };
	const written = {
		kafka: { brokers: [inject("kafkaBrokers")], topics: [topic], group, properties },
		handler: { module: "pockaffe:json" },
		database: { url },
		tables: { events: eventTable },
		offsets: { commitIntervalMs: 600_000 },
		drain: { timeoutMs: 5_000 },
	};
	await writeFile(file, JSON.stringify(written));
	return loadConfig({ file, environment: {}, cwd: folder }).config;
}

async function build(config: Config, database: Database, clients: HeldClient[]): Promise<Delivery> {
	const layouts = tableLayouts(config);
	const { settings, topicSettings } = consumerSettings(config);
	await createTables(database, layouts);
	const delivery = new Delivery({
		config,
		layouts,
		database,
		deadLetters: buildDeadLetters({ config, database, clock: systemClock, random: systemRandom }, "test"),
		records: buildRecords({ config, clock: systemClock, random: systemRandom }),
		createClient: () => {
			const client = new HeldClient(settings, topicSettings, systemClock);
			clients.push(client);
			return client;
		},
		threads: createHandlerThreads({ ...threadOptions(config, layouts), printed: () => {} }),
		clock: systemClock,
		random: systemRandom,
		listener: silent,
	});
	await delivery.prepare();
	return delivery;
}

/** Hears everything and says nothing. */
const silent = new Proxy({}, { get: (_, name) => (name === "supervisor" || name === "worker" ? silent : () => {}) }) as DeliveryListener;
