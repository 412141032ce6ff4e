/** What is done to the process: signals with full queues, kills between handler and commit, an output that takes no more. */
import { openSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { freePort } from "../../support/free-port.ts";
import { committedOffsets, untilCommitted } from "../../support/kafka/group-offsets.ts";
import { startKafka } from "../../support/kafka/kafka-server.ts";
import { loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

/** Notes every message it is given, before anything else can happen to it. */
function noting(file: string, spinMs = 0): string {
	return `
		import { openSync, writeSync } from "node:fs";
		const notes = openSync(${JSON.stringify(file)}, "a");
		export function handleMessage({ partition, offset, key }) {
			writeSync(notes, partition + "@" + offset + "\\n");
			for (const end = performance.now() + ${spinMs}; performance.now() < end; );
			return { id: key.toString(), fields: { name: "n" + offset } };
		}`;
}

interface Scene extends AsyncDisposable {
	readonly folder: string;
	readonly topic: string;
	readonly group: string;
	readonly db: TestDatabase;
	readonly config: Record<string, unknown>;
	/** Messages as the handler was given them, `partition@offset`. */
	handled(): Promise<string[]>;
}

interface SceneOptions {
	readonly brokers?: string;
	readonly count: number;
	readonly spinMs?: number;
	readonly commitIntervalMs?: number;
}

async function scene({ brokers = inject("kafkaBrokers"), count, spinMs = 0, commitIntervalMs = 100 }: SceneOptions): Promise<Scene> {
	const folder = await temporaryFolder();
	const db = await createTestDatabase();
	const [topic, group] = [uniqueName("process"), uniqueName("g")];
	const records = Array.from({ length: count }, (_, i) => ({
		topic,
		partition: i % 2,
		key: `k${i}`,
		value: "v",
		timestamp: 1_700_000_000_000 + i,
	}));
	await loadTopic(brokers, { name: topic, partitions: 2 }, records);
	const notes = join(folder.path, "notes");
	await writeFile(notes, "");
	await writeFile(join(folder.path, "handler.mjs"), noting(notes, spinMs));
	return {
		folder: folder.path,
		topic,
		group,
		db,
		config: {
			kafka: { brokers: [brokers], topics: [topic], group, properties: { "session.timeout.ms": 6_000 } },
			handler: { module: "./handler.mjs" },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
			offsets: { commitIntervalMs },
		},
		handled: async () => (await readFile(notes, "utf8")).trim().split("\n").filter(Boolean),
		async [Symbol.asyncDispose]() {
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

async function rowCount({ db }: Scene): Promise<number> {
	return (await db.database.query("select count(*)::int as rows from events"))[0]?.rows as number;
}

/** How often the server has written each row: a stale one is not written. */
async function rowVersions({ db }: Scene): Promise<unknown[]> {
	return [...(await db.database.query("select id, xmin::text as xmin from events order by id"))];
}

describeOnKafka("SIGTERM with full queues", () => {
	it("finishes what is in the handler's hands, commits it, exits 0, and the successor handles none of it again", async () => {
		await using test = await scene({ count: 12_000, spinMs: 0.5, commitIntervalMs: 600_000 });
		{
			await using daemon = await runDaemon(test.folder, test.config);
			await waitFor("a queue", async () => {
				const { partitions } = await daemon.status();
				return partitions.length === 2 && partitions.every(({ queued, inFlight }) => queued > 500 && inFlight > 0);
			});
			expect(await daemon.stop()).toBe(0);
		}
		const first = await test.handled();
		expect(first.length).toBeLessThan(12_000);
		const committed = await committedOffsets(inject("kafkaBrokers"), test.group, test.topic);
		expect(committed).toEqual([0, 1].map((partition) => first.filter((each) => each.startsWith(`${partition}@`)).length));
		expect(await rowCount(test)).toBe(first.length);
		await using successor = await runDaemon(test.folder, test.config);
		await waitFor("the rest", async () => (await rowCount(test)) === 12_000);
		expect(await successor.stop()).toBe(0);
		const all = await test.handled();
		expect([all.length, new Set(all).size]).toEqual([12_000, 12_000]);
	});

	it("exits 4 and says why where Kafka is away and nothing can be committed; the successor's repeats change nothing", async () => {
		const kafka = await startKafka();
		try {
			await using test = await scene({ brokers: kafka.brokers, count: 200, commitIntervalMs: 600_000 });
			{
				await using daemon = await runDaemon(test.folder, test.config);
				await waitFor("all rows", async () => (await rowCount(test)) === 200);
				await kafka.kill();
				expect(await daemon.stop()).toBe(4);
				await daemon.record("the reason", ({ msg }) => msg.includes("the offsets could not be committed"));
			}
			await kafka.restart();
			const before = await rowVersions(test);
			await using successor = await runDaemon(test.folder, { ...test.config, offsets: { commitIntervalMs: 50 } });
			await untilCommitted(kafka.brokers, test.group, test.topic);
			expect(await successor.stop()).toBe(0);
			expect(await rowVersions(test)).toEqual(before);
			expect((await test.handled()).length).toBe(400);
		} finally {
			await kafka.stop();
		}
	});
});

describeOnKafka("kill -9", () => {
	it("between the handler and the row: the successor handles the message again, and the row is there", async () => {
		await using test = await scene({ count: 100 });
		const locker = connectDatabase({ url: test.db.url, connections: 1, clock: systemClock });
		try {
			{
				await using prepared = await runDaemon(test.folder, {
					...test.config,
					kafka: { ...(test.config.kafka as object), group: "other" },
				});
				await waitFor("all rows", async () => (await rowCount(test)) === 100);
				await prepared.stop();
				await test.db.database.query("truncate events");
				await writeFile(join(test.folder, "notes"), "");
			}
			// While somebody holds the table the rows are handled and can't be written.
			const locked = locker.query("do $$ begin lock table events in access exclusive mode; perform pg_sleep(600); end $$").catch(() => {});
			await using killed = await runDaemon(test.folder, test.config);
			await waitFor("all to be handled", async () => (await test.handled()).length === 100);
			expect(await killed.stop("SIGKILL")).toBe(137);
			await test.db.database.query("select pg_terminate_backend(pid) from pg_stat_activity where query like 'do $$ begin lock table%'");
			await locked;
			expect(await committedOffsets(inject("kafkaBrokers"), test.group, test.topic)).toEqual([0, 0]);
			await using successor = await runDaemon(test.folder, test.config);
			await untilCommitted(inject("kafkaBrokers"), test.group, test.topic);
			expect(await rowCount(test)).toBe(100);
			expect((await test.handled()).length).toBe(200);
			expect(await successor.stop()).toBe(0);
		} finally {
			await locker.close();
		}
	});

	it("between the row and the commit: the successor's repeat is stale and writes nothing", async () => {
		await using test = await scene({ count: 100, commitIntervalMs: 600_000 });
		{
			await using killed = await runDaemon(test.folder, test.config);
			await waitFor("all rows", async () => (await rowCount(test)) === 100);
			expect(await killed.stop("SIGKILL")).toBe(137);
		}
		expect(await committedOffsets(inject("kafkaBrokers"), test.group, test.topic)).toEqual([0, 0]);
		const before = await rowVersions(test);
		await using successor = await runDaemon(test.folder, { ...test.config, offsets: { commitIntervalMs: 50 } });
		await untilCommitted(inject("kafkaBrokers"), test.group, test.topic);
		expect(await rowVersions(test)).toEqual(before);
		expect(await successor.metric("pockaffe_stale_rows_total", 'cause="replay"')).toBe(100);
		expect(await successor.stop()).toBe(0);
	});
});

describeOnKafka("an output that takes no more", () => {
	async function daemonWith(test: Scene, stdout: "pipe" | number): Promise<{ daemon: DaemonProcess; metrics: () => Promise<string> }> {
		const port = await freePort();
		await writeFile(join(test.folder, "pockaffe.yaml"), JSON.stringify({ ...test.config, http: { port }, log: { level: "debug" } }));
		const daemon = new DaemonProcess(["run", "-c", "pockaffe.yaml"], { cwd: test.folder, stdout });
		return { daemon, metrics: async () => await (await fetch(`http://127.0.0.1:${port}/metrics`)).text() };
	}

	it.each([
		["is closed", "pipe"],
		["is a full disk", "/dev/full"],
	])("(it %s) costs log records, which are counted, and nothing else", async (_, output) => {
		await using test = await scene({ count: 500 });
		const { daemon, metrics } = await daemonWith(test, output === "pipe" ? "pipe" : openSync(output, "w"));
		try {
			daemon.child.stdout?.destroy();
			await waitFor("all rows", async () => (await rowCount(test)) === 500);
			await untilCommitted(inject("kafkaBrokers"), test.group, test.topic);
			const dropped = /^pockaffe_log_records_dropped_total (\d+)$/m.exec(await metrics())?.[1];
			expect(Number(dropped)).toBeGreaterThan(0);
			expect(await daemon.stop()).toBe(0);
		} finally {
			await daemon[Symbol.asyncDispose]();
		}
	});
});
