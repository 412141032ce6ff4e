/** `skip`: one message passed over for good, through a running daemon and through the group, on a real Kafka and a real Postgres. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { freePort } from "../../support/free-port.ts";
import { untilCommitted } from "../../support/kafka/group-offsets.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { withAddon } from "../../support/project/with-addon.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const brokers = inject("kafkaBrokers");

const handler = `
	export function handleMessage({ key, value }) {
		if (value.toString() === "bad") throw new Error("a bug");
		return { id: key.toString(), fields: { name: value.toString() } };
	}`;

/** A topic of one partition with these values, a daemon's configuration that parks at what its handler can't do. */
async function scene(values: readonly string[], over: object = {}) {
	const folder = await temporaryFolder();
	const db = await createTestDatabase();
	const topic = uniqueName("skip");
	await loadTopic(brokers, { name: topic, partitions: 1 }, []);
	await using producer = await Producer.connect(kafkaAt(brokers));
	for (const [at, value] of values.entries()) await producer.produce({ topic, partition: 0, key: `k${at}`, value });
	await writeFile(join(folder.path, "handler.mjs"), handler);
	const config = {
		kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
		handler: { module: "./handler.mjs", maxAttempts: 1, onPoison: "park" },
		database: { url: db.url },
		tables: { events: { columns: { name: "text" }, create: true } },
		offsets: { commitIntervalMs: 50 },
		http: { port: await freePort(), admin: true, token: "a-token-of-some-length" },
		...over,
	};
	await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(config));
	return {
		folder: folder.path,
		topic,
		config,
		start: () => runDaemon(folder.path, config),
		run: (...args: string[]) => pockaffe(args, { cwd: folder.path }),
		ids: async () => (await db.database.query("select id from events order by id")).map(({ id }) => id),
		letters: async () =>
			(await db.database.query(`select "offset"::int4 as at, reason, state, error from pockaffe_dead_letters order by 1`)).map(
				({ at, reason, state, error }) => [at, reason, state, error],
			),
		async [Symbol.asyncDispose]() {
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

describeOnKafka("skip", () => {
	it("passes over the message that a running daemon's partition is parked at; verify knows it, replay brings it back", async () => {
		await using test = await scene(["a", "bad", "c"]);
		const { topic, run } = test;
		await using daemon = await test.start();
		await waitFor("the partition to park", async () => (await daemon.status()).partitions[0]?.state === "parked");

		const refusals = [
			[await run("skip", topic, "0", "0"), /offset 0 is finished already/],
			[await run("skip", topic, "0", "9"), /was not received yet: the next one is 3/],
			[await run("skip", topic, "7", "1"), /not assigned to this member/],
			[await run("skip", topic, "0", "1", "--url", await daemon.url().then((url) => url.replace("127.0.0.1", "localhost"))), null],
		] as const;
		for (const [{ code, stderr }, words] of refusals.slice(0, 3))
			expect([code, stderr]).toEqual([1, expect.stringMatching(words as RegExp)]);
		expect(refusals[3][0]).toMatchObject({ code: 0, stdout: expect.stringContaining("offset 1 is skipped") });
		await untilCommitted(brokers, test.config.kafka.group, topic);
		expect(await test.ids()).toEqual(["k0", "k2"]);
		expect(await test.letters()).toEqual([
			[1, "skipped", "skipped", expect.stringMatching(/^skipped by \S+@\S+; before, it failed: a bug$/)],
		]);
		expect(await daemon.metric("pockaffe_handler_outcomes_total", 'outcome="skipped"')).toBe(1);
		expect(await daemon.metric("pockaffe_admin_actions_total", 'action="skip"')).toBe(1);
		await daemon.record("who wanted it", ({ why, offset }) => offset === 1 && String(why).startsWith("skipped by"));
		expect(await daemon.stop()).toBe(0);

		const verified = await run("verify");
		expect([verified.code, verified.stdout]).toEqual([0, expect.stringMatching(/0 open, 0 discarded, 1 skipped/)]);
		await writeFile(join(test.folder, "handler.mjs"), handler.replace('=== "bad"', '=== "worse"'));
		const place = ["--topic", topic, "--partition", "0", "--offset", "1"];
		expect(await run("dead-letters", "replay", "--state", "skipped", ...place)).toMatchObject({ code: 0 });
		expect(await test.ids()).toEqual(["k0", "k1", "k2"]);
	});

	it.each(["kafka", "postgres"] as const)("goes through the group while no daemon runs (offsets in %s)", withAddon, async (store) => {
		await using test = await scene(["a", "bad", "c"], { offsets: { commitIntervalMs: 50, store } });
		const { topic, run } = test;
		{
			await using daemon = await test.start();
			await waitFor("the partition to park", async () => (await daemon.status()).partitions[0]?.state === "parked");
			await waitFor("the commit", async () => (await daemon.status()).partitions[0]?.committed === 1);
			expect(await daemon.stop()).toBe(0);
		}
		for (const [offset, words] of [
			[0, /finished already: group \S+ stands at 1/],
			[2, /stands at 1, before/],
			[9, /not there yet: the log ends at 3/],
		] as const) {
			const { code, stderr } = await run("skip", topic, "0", String(offset));
			expect([code, stderr]).toEqual([1, expect.stringMatching(words)]);
		}
		expect(await test.letters()).toEqual([]);
		expect(await run("skip", topic, "0", "1", "--reason", "a test record", "--json")).toMatchObject({ code: 0, stderr: "" });
		expect(await test.letters()).toEqual([[1, "skipped", "skipped", expect.stringMatching(/^skipped by .*: a test record$/)]]);
		await using daemon = await test.start();
		await waitFor("the last row", async () => (await test.ids()).length === 2);
		await waitFor("all to be committed", async () => (await daemon.status()).partitions[0]?.committed === 3);
		expect(await daemon.stop()).toBe(0);
		expect(await test.ids()).toEqual(["k0", "k2"]);
		const verified = await run("verify");
		expect([verified.code, verified.stdout]).toEqual([0, expect.stringMatching(/1 skipped/)]);
	});

	it("changes nothing where no daemon answers and whether one runs can't be known: without the addon", async () => {
		await using test = await scene(["bad"]);
		{
			await using daemon = await test.start();
			await waitFor("the partition to park", async () => (await daemon.status()).partitions[0]?.state === "parked");
			await waitFor("the start's commit", async () => (await daemon.status()).partitions[0]?.committed === 0);
			expect(await daemon.stop()).toBe(0);
		}
		const { code, stderr } = await pockaffe(["skip", test.topic, "0", "0"], { cwd: test.folder, env: { POCKAFFE_NATIVE: "off" } });
		expect([code, stderr]).toEqual([1, expect.stringMatching(/whether one runs can't be known without the addon.*\(--url\)/)]);
		expect(await test.letters()).toEqual([]);
	});

	it("says which daemon has to be asked where the group has members and none answers", withAddon, async () => {
		await using test = await scene(["bad"]);
		await using daemon = await test.start();
		await waitFor("the partition to park", async () => (await daemon.status()).partitions[0]?.state === "parked");
		const elsewhere = { ...test.config, http: { ...test.config.http, port: await freePort() } };
		await using other = await temporaryFolder();
		await writeFile(join(other.path, "pockaffe.yaml"), JSON.stringify({ ...elsewhere, handler: { module: "pockaffe:json" } }));
		const { code, stderr } = await pockaffe(["skip", test.topic, "0", "0"], { cwd: other.path });
		expect([code, stderr]).toEqual([1, expect.stringMatching(/has members.*--url/)]);
		expect(await daemon.stop()).toBe(0);
	});
});
