/**
 * The walk of the proof of concept, with the real commands on a real Kafka: create, produce, consume, a handler that isn't there, the
 * same offset once it is, one row per id by the record's timestamp, a replay that changes nothing.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { jsonLines, pockaffe } from "../../support/daemons/command-line.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const handler = `
export function handleMessage({ key, value }) {
	return { id: key.toString(), table: "words", fields: { word: value.toString() } };
}
`;

describeOnKafka("the walk of the proof of concept", () => {
	it("loses nothing, keeps the order, and lets only newer records change a row", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const topic = uniqueName("topic1");
		const [group, group1, group2, group3] = ["group", "group1", "group2", "group3"].map(uniqueName) as [string, string, string, string];
		const env = { POCKAFFE_KAFKA_BROKERS: inject("kafkaBrokers") };
		const run = (args: readonly string[], stdin?: string) =>
			pockaffe(args, { cwd: folder.path, env, ...(stdin === undefined ? {} : { stdin }) });

		expect(await run(["topic", "create", topic, "-p", "3"])).toMatchObject({
			code: 0,
			stdout: `Created topic ${topic} with 3 partitions.\n`,
		});
		const described = await run(["topic", "describe", topic]);
		expect(described.stdout).toMatch(new RegExp(`NAME\\s+${topic}\\nPARTITIONS\\s+3`));
		expect(described.stdout).toMatch(/PARTITION\s+LEADER\s+REPLICAS\s+IN-SYNC\s+LOW-WATERMARK\s+HIGH-WATERMARK/);

		const first = await run(["produce", topic, "-k", "key1"], "one\n");
		expect(first.stdout).toMatch(/^Sent record to partition 2 at offset 0 with timestamp \d{13}\.\n$/);
		const second = await run(["produce", topic, "-k", "key1"], "two\n");
		expect(second.stdout).toMatch(/^Sent record to partition 2 at offset 1 with timestamp \d{13}\.\n$/);
		const { partitions } = JSON.parse((await run(["topic", "describe", topic, "--json"])).stdout);
		expect(partitions).toEqual([
			{ partition: 0, leader: 1, replicas: [1], inSyncReplicas: [1], lowWatermark: 0, highWatermark: 0 },
			{ partition: 1, leader: 1, replicas: [1], inSyncReplicas: [1], lowWatermark: 0, highWatermark: 0 },
			{ partition: 2, leader: 1, replicas: [1], inSyncReplicas: [1], lowWatermark: 0, highWatermark: 2 },
		]);

		for (const each of [group, group2]) {
			const consumed = await run(["consume", topic, "-g", each, "--exit-at-end"]);
			expect(jsonLines(consumed.stdout)).toMatchObject([
				{ key: "key1", message: "one", partition: 2, offset: 0, timestamp: expect.any(Number), headers: [] },
				{ key: "key1", message: "two", partition: 2, offset: 1, timestamp: expect.any(Number), headers: [] },
			]);
		}
		const offsets = await run(["offsets", group2]);
		expect(offsets.stdout).toMatch(/GROUP\s+TOPIC\s+PARTITION\s+LAG\s+LAG%\s+COMMITTED\s+LATEST/);
		expect(offsets.stdout).toMatch(new RegExp(`${group2}\\s+${topic}\\s+2\\s+0\\s+\\S+\\s+2\\s+2`));

		// The handler does not exist: the partition with messages fails alone, and says everything.
		const config = configFor({ topic, group: group1, databaseUrl: db.url });
		await using daemon = await runDaemon(folder.path, config, env);
		try {
			const report = await daemon.record("the crash report", ({ kind }) => kind === "load");
			expect(report).toMatchObject({ topic, partition: 2, offset: 0, key: "key1", function: "handleMessage or handleMessages" });
			expect(report.msg).toContain("handler.mjs");
			expect(report.msg).toContain("there is no such file");
			const loop = await waitFor("readyz to name the crash loop", async () =>
				(await daemon.notReady()).find(({ code }) => code === "crash_loop"),
			);
			expect(loop).toMatchObject({ topic, partition: 2, message: expect.stringContaining("handler.mjs") });
			await run(["produce", topic, "-k", "key1"], "three\n");
			await consumedMessages(daemon, 3);
			expect(await committedOf(run, group1, topic)).toEqual([0, 0, 0]);
			expect(daemon.child.exitCode).toBeNull();
			const others = (await daemon.status()).partitions.filter(({ partition }) => partition !== 2);
			expect(others).toMatchObject([{ restarts: 0 }, { restarts: 0 }]);

			// Put in place, it goes on from the very offset, without a restart of the daemon.
			await writeFile(join(folder.path, "handler.mjs"), handler);
			await waitFor("the row", async () => (await db.database.query("select 1 from words where kafka_offset = 2")).length === 1);
			await waitFor("the commit", async () => (await committedOf(run, group1, topic))[2] === 3);
			await daemon.ready();
			const sum = await rowResults(daemon);
			expect(sum.inserted + sum.updated + sum.coalesced + sum.stale).toBe(3);
			expect(sum.inserted).toBe(1);
			const third = jsonLines((await run(["consume", topic, "-g", uniqueName("look"), "--exit-at-end"])).stdout)[2];
			const [row] = await db.database.query("select * from words");
			expect(row).toMatchObject({
				id: "key1",
				word: "three",
				kafka_offset: "2",
				kafka_partition: 2,
				kafka_ts: String(third?.timestamp),
				deleted: false,
			});

			await run(["produce", topic, "-k", "key1"], "four\n");
			await waitFor("the update", async () => (await db.database.query("select 1 from words where word = 'four'")).length === 1);
			expect((await rowResults(daemon)).updated).toBeGreaterThanOrEqual(1);
		} finally {
			expect(await daemon.stop()).toBe(0);
		}

		const before = await db.database.query("select * from words");
		const replay = await runDaemon(folder.path, configFor({ topic, group: group3, databaseUrl: db.url }), env);
		try {
			await waitFor("the replay", async () => (await committedOf(run, group3, topic))[2] === 4);
			const { inserted, updated, stale, coalesced } = await rowResults(replay);
			expect({ inserted, updated, both: stale + coalesced }).toEqual({ inserted: 0, updated: 0, both: 4 });
			expect(await db.database.query("select * from words")).toEqual(before);
		} finally {
			expect(await replay.stop()).toBe(0);
		}
	});
});

function configFor({ topic, group, databaseUrl }: { topic: string; group: string; databaseUrl: string }): Record<string, unknown> {
	return {
		kafka: { topics: [topic], group },
		handler: { module: "./handler.mjs" },
		database: { url: databaseUrl },
		tables: { words: { id: { column: "id", type: "text" }, columns: { word: "text" }, create: true } },
		offsets: { commitIntervalMs: 100 },
	};
}

async function consumedMessages(daemon: DaemonProcess, count: number): Promise<void> {
	await waitFor(`${count} messages to be received`, async () => (await daemon.metric("pockaffe_messages_consumed_total")) === count);
}

async function rowResults(daemon: DaemonProcess): Promise<{ inserted: number; updated: number; stale: number; coalesced: number }> {
	const of = (result: string) => daemon.metric("pockaffe_cas_rows_total", `result="${result}"`);
	return { inserted: await of("inserted"), updated: await of("updated"), stale: await of("stale"), coalesced: await of("coalesced") };
}

async function committedOf(
	run: (args: readonly string[]) => Promise<{ stdout: string }>,
	group: string,
	topic: string,
): Promise<(number | null)[]> {
	const { stdout } = await run(["offsets", group, "--topic", topic, "--json"]);
	const list = JSON.parse(stdout) as { partition: number; committed: number | null }[];
	return list.sort((left, right) => left.partition - right.partition).map(({ committed }) => committed);
}
