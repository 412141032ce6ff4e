/** The database fails under the running daemon: it says what, commits nothing that is not written, and goes on by itself once mended. */
import { expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { committedOffsets } from "../../support/kafka/group-offsets.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { DatabaseProxy } from "../../support/postgres/database-proxy.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { slowness } from "../../support/slowness.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const brokers = inject("kafkaBrokers");

describeOnKafka("while the daemon runs", () => {
	it("the database fails over to a read-only server, and back", async () => {
		await using run = await startedRun();
		await run.admin("alter database DB set default_transaction_read_only = on", "END");
		await run.produce(100);
		await run.notReady(/rows can't be written: SQLSTATE 25006: cannot execute SELECT in a read-only transaction/);
		expect(await run.daemon.metric("pockaffe_write_retries_total", 'sqlstate="25006"')).toBeGreaterThan(0);
		expect(await run.committed()).toBe(100);
		await run.admin("alter database DB reset default_transaction_read_only");
		await run.arrived(200);
	});

	it("the password is changed, and changed back", async () => {
		await using run = await startedRun();
		await run.admin("alter role USER password 'another'", "END");
		await run.produce(100);
		await run.notReady(/SQLSTATE 28P01: password authentication failed for user.*look at the user, at the password/);
		expect(await run.committed()).toBe(100);
		await run.admin("alter role USER password 'secret'");
		await run.arrived(200);
		expect(run.daemon.output).not.toContain("secret");
	});

	it("the table is dropped and made again: what came before is gone with it, what comes after arrives", async () => {
		await using run = await startedRun();
		const [{ ddl }] = (await run.admin(
			"select 'create table events (' || string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ') || ', primary key (id))' as ddl from pg_attribute where attrelid = 'events'::regclass and attnum > 0",
		)) as [{ ddl: string }];
		await run.admin("drop table events");
		await run.produce(100);
		await run.notReady(
			/SQLSTATE 42P01: relation "events" does not exist \(undefined_table\); create events \(pockaffe schema prints the statement/,
		);
		await run.admin(ddl, "grant select, insert, update on events to USER");
		await run.arrived(100);
		expect(await run.admin("select min(kafka_offset)::int as first from events")).toEqual([{ first: 100 }]);
	});

	it("its connections fall silent: ended by an own deadline, and made anew", async () => {
		await using run = await startedRun();
		run.proxy.fallSilent();
		await run.produce(100);
		const deadlines = () => run.daemon.metric("pockaffe_write_retries_total", 'sqlstate="QUERY_DEADLINE"');
		await waitFor("the deadline", async () => (await deadlines()) > 0);
		// What it said first: the other lanes' statements were in the same pool, and new connections stay silent too.
		await run.notReady(/rows can't be written: (QUERY_DEADLINE|CONNECTION_DESTROYED|CONNECT_TIMEOUT): .*(45000 ms|127.0.0.1:\d+)/);
		expect(await run.committed()).toBe(100);
		run.proxy.mend();
		await run.arrived(200);
	});
});

describeOnKafka("a SIGTERM while the database", () => {
	it.each([
		["hangs up", "kafka", 0],
		["hangs up", "postgres", 0],
		["is silent", "kafka", 4],
		["is silent", "postgres", 4],
	] as const)(
		"%s (offsets in %s) ends in time, commits only what is written, and the next start has the rest",
		async (how, store, code) => {
			await using run = await startedRun({ offsets: { commitIntervalMs: 100, store }, drain: { timeoutMs: 1_500 } });
			if (how === "hangs up") run.proxy.hangUp();
			else run.proxy.fallSilent();
			await run.produce(100);
			if (how === "hangs up") await run.notReady(/rows can't be written: (ECONNRESET|CONNECTION_CLOSED)/);
			else await waitFor("the messages", async () => (await run.daemon.metric("pockaffe_messages_consumed_total")) === 200);
			const stoppedAt = performance.now();
			expect(await run.daemon.stop()).toBe(code);
			// The drain's deadline, and a second for the last commit.
			expect(performance.now() - stoppedAt).toBeLessThan(8_000 * (await slowness()));
			expect(run.daemon.output).toContain(
				code === 0 ? "drained without 100 messages that can't be stored now" : "stopped before everything in hand was finished",
			);
			expect(await run.committed()).toBe(100);
			run.proxy.mend();
			await run.restart();
			await run.arrived(200);
		},
	);
});

/** A daemon with a hundred rows written and committed, whose database is reached through a proxy as an ordinary user. */
async function startedRun(sections: Record<string, unknown> = {}) {
	const folder = await temporaryFolder();
	const db = await createTestDatabase();
	const [topic, group, role] = [uniqueName("faults"), uniqueName("g"), uniqueName("daemon").replace("-", "_")];
	const said = (text: string) =>
		(text === "END" ? "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'USER'" : text)
			.replaceAll("USER", role)
			.replaceAll("DB", db.url.split("/").at(-1) as string);
	const admin = async (...texts: string[]) => {
		let rows: readonly Record<string, unknown>[] = [];
		for (const text of texts) rows = await db.database.query(said(text));
		return rows;
	};
	await admin("create role USER login password 'secret'", "grant all on schema public to USER");
	const proxy = await DatabaseProxy.to(db.url.replace(/\/\/[^@]*@/, `//${role}:secret@`));
	await loadTopic(brokers, { name: topic, partitions: 1 }, messages(topic, 0, 100));
	const config = {
		kafka: { brokers: [brokers], topics: [topic], group },
		handler: { module: "pockaffe:json" },
		database: { url: proxy.url },
		tables: { events: { columns: { name: "text" }, create: true } },
		offsets: { commitIntervalMs: 100 },
		...sections,
	};
	let daemon: DaemonProcess = await runDaemon(folder.path, config);
	let produced = 100;
	const committed = async () => (await committedOffsets(brokers, group, topic))[0];
	const arrived = async (rows: number) => {
		const count = async () => (await admin("select count(*)::int as rows from events"))[0]?.rows === rows;
		await waitFor(() => `${rows} rows\n${daemon.output.slice(-2000)}`, count);
		await waitFor("all to be committed", async () => (await committed()) === produced);
		await daemon.ready();
		expect(await daemon.metric("pockaffe_dead_letters_total")).toBe(0);
		expect(await daemon.metric("pockaffe_cas_rows_total", 'result="refused"')).toBe(0);
	};
	await arrived(100);
	return {
		get daemon() {
			return daemon;
		},
		proxy,
		admin,
		committed,
		arrived,
		produce: async (count: number) => {
			await using producer = await Producer.connect(kafkaAt(brokers));
			await produceMany(producer, messages(topic, produced, count));
			produced += count;
		},
		notReady: (message: RegExp, timeoutMs?: number) =>
			waitFor(
				`/readyz to say ${message}`,
				async () => {
					const reasons = await daemon.notReady();
					if (reasons.some((each) => each.code === "database" && message.test(each.message))) return true;
					throw new Error(JSON.stringify(reasons));
				},
				timeoutMs,
			),
		restart: async () => {
			daemon = await runDaemon(folder.path, config);
		},
		async [Symbol.asyncDispose]() {
			await daemon[Symbol.asyncDispose]();
			await proxy[Symbol.asyncDispose]();
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

function* messages(topic: string, from: number, count: number) {
	for (let i = from; i < from + count; i++) yield { topic, partition: 0, key: `id-${i}`, value: `{"name":"name ${i}"}` };
}
