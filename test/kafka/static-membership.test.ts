/** Static members (`kafka.instanceId`) on a real Kafka: who may come back within the session, who leaves, and who is fenced. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { Producer } from "../../src/kafka/producer.ts";
import { DaemonProcess } from "../support/daemons/daemon-process.ts";
import { notReadyFor } from "../support/daemons/delivery-scene.ts";
import { eventLog } from "../support/daemons/event-log.ts";
import { untilCommitted } from "../support/kafka/group-offsets.ts";
import { kafkaAt, loadTopic } from "../support/kafka/load-topic.ts";
import { produceMany } from "../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { SteadyLoad } from "../support/kafka/steady-load.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres/test-database.ts";
import { slowness } from "../support/slowness.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");
const PARTITIONS = 4;
const PER_SECOND = 1_000;
const ROUNDS = 8;

interface Scene extends AsyncDisposable {
	readonly topic: string;
	readonly group: string;
	readonly db: TestDatabase;
	start(instanceId: string, ...args: string[]): Promise<DaemonProcess>;
}

/** Without a session timeout by KIP-848, where the broker decides. */
async function scene(sessionTimeoutMs: number): Promise<Scene> {
	const classic = { properties: { "session.timeout.ms": sessionTimeoutMs } };
	const protocol = sessionTimeoutMs === 0 ? { protocol: "consumer" } : classic;
	const folder = await temporaryFolder();
	const db = await createTestDatabase();
	const [topic, group] = [uniqueName("static"), uniqueName("g")];
	await loadTopic(brokers, { name: topic, partitions: PARTITIONS }, []);
	const started: DaemonProcess[] = [];
	return {
		topic,
		group,
		db,
		async start(instanceId, ...args) {
			const file = join(folder.path, `${instanceId}.yaml`);
			const config = {
				kafka: { brokers: [brokers], topics: [topic], group, instanceId, ...protocol },
				handler: { module: "pockaffe:json" },
				database: { url: db.url },
				tables: { events: { columns: { name: "text" }, create: true } },
				offsets: { commitIntervalMs: 50 },
				http: { port: 0 },
			};
			await writeFile(file, JSON.stringify(config));
			const daemon = new DaemonProcess(["run", "-c", file, ...args], { cwd: folder.path });
			started.push(daemon);
			return daemon;
		},
		async [Symbol.asyncDispose]() {
			for (const daemon of started) await daemon[Symbol.asyncDispose]();
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

async function produce({ topic }: Scene, prefix: string): Promise<void> {
	await using producer = await Producer.connect(kafkaAt(brokers));
	const record = (i: number) => ({ topic, partition: i % PARTITIONS, key: `${prefix}${i}`, value: '{"name":"x"}' });
	await produceMany(
		producer,
		Array.from({ length: 40 }, (_, i) => record(i)),
	);
}

async function untilRows({ db }: Scene, count: number): Promise<void> {
	await waitFor(`${count} rows`, async () => (await db.database.query("select 1 from events")).length === count);
}

async function partitions(daemon: DaemonProcess): Promise<number[]> {
	return (await daemon.status()).partitions.map(({ partition }) => partition);
}

function untilItHas(daemon: DaemonProcess, count: number): Promise<boolean> {
	return waitFor(
		() => `${count} partitions\n${daemon.output.slice(-2000)}`,
		async () => (await partitions(daemon)).length === count,
	);
}

async function rebalances(daemon: DaemonProcess): Promise<number> {
	return (await daemon.status()).rebalances;
}

describeOnKafka("static members", () => {
	it.each(["SIGTERM", "SIGKILL"] as const)(
		"come back within the session after %s: they get what they had, and nobody notices a rebalance",
		async (signal) => {
			await using test = await scene(240_000);
			const [first, other] = [await test.start("a"), await test.start("b")];
			await untilItHas(first, 2);
			await untilItHas(other, 2);
			await produce(test, "before");
			await untilRows(test, 40);
			const [had, before] = [await partitions(first), await rebalances(other)];
			await first.stop(signal);
			await produce(test, "meanwhile");
			const back = await test.start("a");
			await untilItHas(back, 2);
			await untilRows(test, 80);
			await untilCommitted(brokers, test.group, test.topic);
			expect(await partitions(back)).toEqual(had);
			expect(await rebalances(other)).toBe(before);
			expect([await back.stop(), await other.stop()]).toEqual([0, 0]);
		},
	);

	it("leave at their stop where --leave says so: the others take over at once", async () => {
		await using test = await scene(240_000);
		const [leaves, stays] = [await test.start("a", "--leave"), await test.start("b")];
		await untilItHas(leaves, 2);
		await untilItHas(stays, 2);
		expect(await leaves.stop()).toBe(0);
		await waitFor("all partitions", async () => (await partitions(stays)).length === PARTITIONS);
		await produce(test, "after");
		await untilRows(test, 40);
		expect(await stays.stop()).toBe(0);
	});

	it("that don't come back within the session lose their partitions to the others", async () => {
		await using test = await scene(6_000);
		const [gone, stays] = [await test.start("a"), await test.start("b")];
		await untilItHas(gone, 2);
		await untilItHas(stays, 2);
		expect(await gone.stop()).toBe(0);
		await untilItHas(stays, PARTITIONS);
		await produce(test, "after");
		await untilRows(test, 40);
		expect(await stays.stop()).toBe(0);
	});

	it("whose name somebody else takes are fenced: exit 5, and the other goes on", async () => {
		await using test = await scene(240_000);
		const first = await test.start("a");
		await untilItHas(first, PARTITIONS);
		await produce(test, "before");
		await untilRows(test, 40);
		const second = await test.start("a");
		expect(await first.exited()).toBe(5);
		await untilItHas(second, PARTITIONS);
		await produce(test, "after");
		await untilRows(test, 80);
		expect(await second.stop()).toBe(0);
	});

	it("whose name is taken under load end with 5 within seconds, every time, and write and commit nothing more", async () => {
		await using test = await scene(240_000);
		const log = { topic: test.topic, count: 1_000_000, ids: 500, partitions: PARTITIONS, seed: 8, wander: false, deletes: 0 };
		await using load = await SteadyLoad.start(brokers, eventLog(log), PER_SECOND);
		let holder = await test.start("a");
		await untilItHas(holder, PARTITIONS);
		const took: number[] = [];
		for (let round = 1; round <= ROUNDS; round++) {
			await waitFor("rows", async () => (await holder.metric("pockaffe_messages_consumed_total")) > PER_SECOND);
			const next = await test.start("a");
			await untilItHas(next, PARTITIONS);
			const joinedAt = performance.now();
			expect(await holder.exited(), holder.output.slice(-2_000)).toBe(5);
			took.push(performance.now() - joinedAt);
			const last = await holder.record("the reason", ({ msg }) => msg.startsWith("Kafka refuses this member for good"));
			expect(last.msg).toContain("Static consumer fenced by other consumer with same group.instance.id");
			holder = next;
		}
		expect(Math.max(...took)).toBeLessThan(10_000 * (await slowness()));
		await load.stop();
		await untilCommitted(brokers, test.group, test.topic);
		expect(await holder.stop()).toBe(0);
	});

	it("by KIP-848: the newcomer says whose name it has, waits, and joins when the other has left", async () => {
		await using test = await scene(0);
		const first = await test.start("a", "--leave");
		await untilItHas(first, PARTITIONS);
		const second = await test.start("a");
		const reason = await notReadyFor(second, "cannot_join", /another member has kafka.instanceId a: stop it/);
		expect(reason.message).toContain("Broker: The instance ID is still used by another member in the consumer group");
		expect(await first.stop()).toBe(0);
		await untilItHas(second, PARTITIONS);
		await second.ready();
		expect(await second.stop()).toBe(0);
	});
});
