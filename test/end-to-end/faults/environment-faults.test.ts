/** What is wrong around the daemon when it starts or while it runs: it says what, loses nothing, and goes on by itself once mended. */
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { Producer } from "../../../src/kafka/producer.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { freePort } from "../../support/free-port.ts";
import { committedOffsets } from "../../support/kafka/group-offsets.ts";
import { startKafka } from "../../support/kafka/kafka-server.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

describeOnKafka("faults around the daemon", () => {
	it("waits for a table that is missing, then for its columns, and dead-letters nothing meanwhile", async () => {
		await using run = await startedRun({ tables: { events: { columns: { name: "text" } } } });
		const { daemon, db } = run;
		await reason(daemon, "database", /SQLSTATE 42P01.*pockaffe schema prints/);
		await db.database.query("create table events (id text primary key)");
		await reason(daemon, "database", /SQLSTATE 42703.*kafka_\w+.*add it to events/);
		const { stdout } = await pockaffe(["schema", "-c", "pockaffe.yaml"], { cwd: run.folder });
		await db.database.query("drop table events");
		await db.database.query(stdout.slice(0, stdout.indexOf(";") + 1));
		await daemon.ready();
		await rows(db, 100);
		expect(await daemon.metric("pockaffe_dead_letters_total")).toBe(0);
	});

	it("says that the password is wrong, and goes on once it is right", async () => {
		await using run = await startedRun({ user: "mended_later" });
		const { daemon, db } = run;
		await reason(daemon, "database", /28P01|28000/);
		expect(daemon.output).not.toContain("wrong-secret");
		await db.database.query("create role mended_later login superuser password 'wrong-secret'");
		await daemon.ready();
		await rows(db, 100);
		await daemon.stop();
		await db.database.query("drop owned by mended_later");
		await db.database.query("drop role mended_later").catch(() => {});
	});

	it("keeps trying a broker that is away at the start, and goes on when it comes", async () => {
		const kafka = await startKafka();
		try {
			const topic = uniqueName("away");
			await loadTopic(kafka.brokers, { name: topic, partitions: 1 }, hundred(topic));
			await kafka.kill();
			await using run = await startedRun({ brokers: kafka.brokers, topic });
			await reason(run.daemon, "not_in_group", new RegExp(`no connection to ${kafka.brokers}`));
			expect(run.daemon.child.exitCode).toBeNull();
			await kafka.restart();
			await run.daemon.ready();
			await rows(run.db, 100);
		} finally {
			await kafka.stop();
		}
	});

	it("drains and exits 0 although the broker never answered", async () => {
		await using run = await startedRun({ brokers: `127.0.0.1:${await freePort()}` });
		await run.daemon.url();
		expect(await run.daemon.stop()).toBe(0);
	});

	it("goes on after the database was away", async () => {
		await using run = await startedRun({});
		await rows(run.db, 100);
		// Nobody can shut the database that he is connected to.
		const elsewhere = connectDatabase({ url: run.db.url.replace(/\/[^/]*$/, "/postgres"), connections: 1, clock: systemClock });
		const name = run.db.url.split("/").at(-1);
		try {
			await elsewhere.query(`alter database ${name} allow_connections false`);
			await elsewhere.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
			await loadMore(run.topic);
			await reason(run.daemon, "database", /SQLSTATE 55000.*not currently accepting connections/);
			await elsewhere.query(`alter database ${name} allow_connections true`);
		} finally {
			await elsewhere.close();
		}
		await rows(run.db, 200);
		await run.daemon.ready();
		expect(await run.daemon.metric("pockaffe_dead_letters_total")).toBe(0);
	});
});

describeOnKafka("how the daemon ends", () => {
	it("exits 2 and names the address where the port is taken", async () => {
		const server = createServer();
		const port = await new Promise<number>((resolve) =>
			server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port)),
		);
		try {
			await using folder = await temporaryFolder();
			await using db = await createTestDatabase();
			const config = { ...configFor({ url: db.url, topic: "none", brokers: inject("kafkaBrokers") }), http: { port } };
			await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(config));
			const { code, stderr } = await pockaffe(["run"], { cwd: folder.path });
			expect([code, stderr.trim().split("\n").length]).toEqual([2, 1]);
			expect(stderr).toContain(`port ${port} on 127.0.0.1 is in use`);
		} finally {
			server.close();
		}
	});

	it("exits 3 by policy, after the drain", async () => {
		// No commit by interval: what is stored is the drain's.
		await using run = await startedRun({
			source: `export const handleMessage = ({ key, offset }) => {
				if (offset >= 100) process.exit(1);
				return { table: "events", id: String(key), fields: {} };
			};`,
			offsets: { commitIntervalMs: 600_000 },
			supervisor: { onExceeded: "stop", maxRestarts: 1, minBackoffMs: 1, maxBackoffMs: 2 },
		});
		await rows(run.db, 100);
		expect(await committedOffsets(inject("kafkaBrokers"), groupOf(run.topic), run.topic)).toEqual([0]);
		await loadMore(run.topic);
		expect(await run.daemon.exited()).toBe(3);
		expect(run.daemon.output).toContain("restart intensity exceeded");
		expect(await committedOffsets(inject("kafkaBrokers"), groupOf(run.topic), run.topic)).toEqual([100]);
	});

	it("exits 4 where the drain's deadline passes", async () => {
		await using run = await startedRun({ source: "export const handleMessage = () => new Promise(() => {});", drain: { timeoutMs: 300 } });
		await waitFor("a message in the handler", async () => (await run.daemon.status()).partitions.some(({ inFlight }) => inFlight > 0));
		expect(await run.daemon.stop()).toBe(4);
	});

	it("is killed by a second signal", async () => {
		await using run = await startedRun({
			source: "export const handleMessage = () => new Promise(() => {});",
			drain: { timeoutMs: 30_000 },
		});
		await waitFor("a message in the handler", async () => (await run.daemon.status()).partitions.some(({ inFlight }) => inFlight > 0));
		run.daemon.child.kill("SIGTERM");
		await run.daemon.record("the drain", ({ msg }) => msg.startsWith("stopping"));
		// Signals half a second apart at most are one (npm forwards what the terminal sent already): sent until it is gone.
		const again = setInterval(() => run.daemon.child.kill("SIGTERM"), 100);
		expect(await run.daemon.exited()).toBe(137);
		clearInterval(again);
	});
});

interface StartedRun extends AsyncDisposable {
	readonly daemon: DaemonProcess;
	readonly db: TestDatabase;
	readonly topic: string;
	readonly folder: string;
}

interface RunOptions {
	readonly brokers?: string;
	readonly topic?: string;
	readonly user?: string;
	/** Source of the handler module. */
	readonly source?: string;
	readonly [section: string]: unknown;
}

/** A daemon on a topic with a hundred messages of as many ids. */
async function startedRun({ brokers = inject("kafkaBrokers"), topic, user, source, ...sections }: RunOptions): Promise<StartedRun> {
	const folder = await temporaryFolder();
	const db = await createTestDatabase();
	const name = topic ?? uniqueName("faults");
	if (topic === undefined && brokers === inject("kafkaBrokers")) await loadTopic(brokers, { name, partitions: 1 }, hundred(name));
	if (source !== undefined) await writeFile(join(folder.path, "handler.mjs"), source);
	const url = user === undefined ? db.url : db.url.replace(/\/\/[^@]*@/, `//${user}:wrong-secret@`);
	const handler = source === undefined ? {} : { handler: { module: "./handler.mjs" } };
	const daemon = await runDaemon(folder.path, { ...configFor({ url, topic: name, brokers }), ...handler, ...sections });
	const dispose = async () => {
		if (daemon.child.exitCode === null && daemon.child.signalCode === null) await daemon.stop();
		await db[Symbol.asyncDispose]();
		await folder[Symbol.asyncDispose]();
	};
	return { daemon, db, topic: name, folder: folder.path, [Symbol.asyncDispose]: dispose };
}

function groupOf(topic: string): string {
	return `group of ${topic}`;
}

function configFor({ url, topic, brokers }: { url: string; topic: string; brokers: string }): Record<string, unknown> {
	return {
		kafka: { brokers: [brokers], topics: [topic], group: groupOf(topic) },
		handler: { module: "pockaffe:json" },
		database: { url },
		tables: { events: { columns: { name: "text" }, create: true } },
		offsets: { commitIntervalMs: 100 },
		http: { port: 0 },
	};
}

function* hundred(topic: string, from = 0) {
	for (let i = from; i < from + 100; i++) yield { topic, partition: 0, key: `id-${i}`, value: `{"name":"name ${i}"}` };
}

async function loadMore(topic: string): Promise<void> {
	await using producer = await Producer.connect(kafkaAt(inject("kafkaBrokers")));
	await produceMany(producer, hundred(topic, 100));
}

async function reason(daemon: DaemonProcess, code: string, message: RegExp): Promise<void> {
	await waitFor(
		() => `readiness ${code} ${message}\n${daemon.output.slice(-2000)}`,
		async () => (await daemon.notReady()).some((each) => each.code === code && message.test(each.message)),
	);
}

async function rows({ database }: TestDatabase, count: number): Promise<void> {
	await waitFor(`${count} rows`, async () => (await database.query("select count(*)::int as rows from events"))[0]?.rows === count);
}
