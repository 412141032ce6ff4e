/**
 * Rights that are taken away from a running daemon, and given again, on a real Kafka with access lists: said within seconds, in Kafka's
 * words and with what to give; nothing is lost, and nobody has to restart anything.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { type Right, type SecuredKafka, startSecuredKafka } from "../../support/kafka/secured-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const TOLD_WITHIN_MS = 20_000;
/** A client hears of topics that may be seen again within ten seconds, and joins anew. */
const GOES_ON_WITHIN_MS = 60_000;

interface Run extends AsyncDisposable {
	readonly topics: readonly string[];
	readonly group: string;
	readonly db: TestDatabase;
	start(over?: Record<string, unknown>): Promise<DaemonProcess>;
	/** So many messages into each topic, their keys with this prefix. */
	produce(count: number, prefix: string): Promise<void>;
	rows(): Promise<number>;
}

describeOnKafka("rights", () => {
	let kafka: SecuredKafka;

	beforeAll(async () => {
		kafka = await startSecuredKafka(["app"]);
	});

	afterAll(() => kafka?.[Symbol.asyncDispose]());

	const topicRights = (topic: string): Right[] => [["Read", "topic", topic]];
	const groupRights = (group: string): Right[] => [["Read", "group", group]];

	async function open(topicCount = 1): Promise<Run> {
		const folder = await temporaryFolder();
		const db = await createTestDatabase();
		const topics = Array.from({ length: topicCount }, () => uniqueName("rights"));
		const group = uniqueName("g");
		for (const topic of topics) await kafka.createTopic(topic, 2);
		const producer = await Producer.connect(kafka.admin);
		const started: DaemonProcess[] = [];
		return {
			topics,
			group,
			db,
			async start(over = {}) {
				const daemon = await runDaemon(folder.path, {
					kafka: { ...kafka.as("app"), topics, group, properties: { "statistics.interval.ms": 500 }, ...over },
					handler: { module: "pockaffe:json" },
					database: { url: db.url },
					tables: { events: { columns: { name: "text" }, create: true } },
					offsets: { commitIntervalMs: 50 },
				});
				started.push(daemon);
				return daemon;
			},
			async produce(count, prefix) {
				for (const topic of topics) {
					const record = (i: number) => ({ topic, partition: i % 2, key: `${topic}-${prefix}${i}`, value: '{"name":"x"}' });
					await produceMany(
						producer,
						Array.from({ length: count }, (_, i) => record(i)),
					);
				}
			},
			rows: async () => (await db.database.query("select 1 from events")).length,
			async [Symbol.asyncDispose]() {
				for (const daemon of started) await daemon[Symbol.asyncDispose]();
				await producer[Symbol.asyncDispose]();
				await db[Symbol.asyncDispose]();
				await folder[Symbol.asyncDispose]();
			},
		};
	}

	it.each([
		["and nothing else remains", []],
		["and Describe remains", ["Describe"]],
	] as const)(
		"to read a topic is taken away, %s, while messages come: told with the topic; the other topic goes on, and so does this one",
		{},
		async (_, remaining) => {
			await using run = await open(2);
			const [topic = "", other = ""] = run.topics;
			await kafka.give("app", ...groupRights(run.group), ...topicRights(topic), ...topicRights(other));
			for (const operation of remaining) await kafka.give("app", [operation, "topic", topic]);
			const daemon = await run.start();
			await run.produce(20, "before");
			await waitFor("forty rows", async () => (await run.rows()) === 40);
			await kafka.take("app", ...topicRights(topic));
			await run.produce(20, "meanwhile");
			const reason = await notReadyFor(daemon, "not_authorized", /Topic authorization failed/, TOLD_WITHIN_MS);
			expect(reason).toMatchObject({ topic, partition: null });
			expect(reason.message).toContain(`--allow-principal User:app --operation Read --topic ${topic}`);
			await waitFor("the metric", async () => (await daemon.metric("pockaffe_not_ready_reasons", 'code="not_authorized"')) === 1);
			await waitFor("the other topic's rows", async () => (await run.rows()) >= 60, GOES_ON_WITHIN_MS);
			await kafka.give("app", ...topicRights(topic));
			await waitFor("all rows", async () => (await run.rows()) === 80, GOES_ON_WITHIN_MS);
			await daemon.ready(GOES_ON_WITHIN_MS);
			expect(daemon.child.exitCode).toBeNull();
			expect(await daemon.stop()).toBe(0);
		},
	);

	it("to read a topic is taken away where no message comes: told all the same, and over when it is given", async () => {
		await using run = await open();
		const [topic = ""] = run.topics;
		await kafka.give("app", ...groupRights(run.group), ...topicRights(topic), ["Describe", "topic", topic]);
		const daemon = await run.start();
		await run.produce(10, "before");
		await waitFor("ten rows", async () => (await run.rows()) === 10);
		await kafka.take("app", ...topicRights(topic));
		await notReadyFor(daemon, "not_authorized", /Topic authorization failed/, TOLD_WITHIN_MS);
		await kafka.give("app", ...topicRights(topic));
		await daemon.ready(GOES_ON_WITHIN_MS);
		await run.produce(10, "after");
		await waitFor("twenty rows", async () => (await run.rows()) === 20, GOES_ON_WITHIN_MS);
		expect(await daemon.stop()).toBe(0);
	});

	it.each(["classic", "consumer"])(
		"to the group are taken away (%s): told within seconds, no exit, and it goes on when they are given",
		{},
		async (protocol) => {
			await using run = await open();
			const [topic = ""] = run.topics;
			await kafka.give("app", ...groupRights(run.group), ...topicRights(topic));
			const daemon = await run.start({ protocol });
			await run.produce(10, "before");
			await waitFor("ten rows", async () => (await run.rows()) === 10);
			await kafka.take("app", ...groupRights(run.group));
			const reason = await notReadyFor(daemon, "not_authorized", /Group authorization failed/, TOLD_WITHIN_MS);
			expect(reason.message).toContain(`--allow-principal User:app --operation Read --group ${run.group}`);
			await run.produce(10, "meanwhile");
			await kafka.give("app", ...groupRights(run.group));
			await run.produce(10, "after");
			await waitFor("thirty rows", async () => (await run.rows()) === 30);
			await daemon.ready(GOES_ON_WITHIN_MS);
			expect(daemon.child.exitCode).toBeNull();
			expect(await daemon.stop()).toBe(0);
		},
	);

	it("come after the start, under startFrom latest: what was there before is not read, and what comes then is", async () => {
		await using run = await open(2);
		const [late = "", there = ""] = run.topics;
		await run.produce(50, "old");
		await kafka.give("app", ...groupRights(run.group), ...topicRights(there));
		const daemon = await run.start({ startFrom: "latest" });
		await daemon.record("the first start", ({ topic, from }) => topic === there && from === "latest");
		await notReadyFor(daemon, "not_authorized", new RegExp(`Topic authorization failed.*--topic ${late}`), TOLD_WITHIN_MS);
		await kafka.give("app", ...topicRights(late));
		await waitFor("its start", () => daemon.records.filter(({ topic, from }) => topic === late && from === "latest").length === 2);
		await run.produce(10, "new");
		await waitFor("twenty rows", async () => (await run.rows()) === 20, GOES_ON_WITHIN_MS);
		await daemon.ready(GOES_ON_WITHIN_MS);
		const ids = await run.db.database.query("select id from events where id like '%-old%'");
		expect(ids).toEqual([]);
		expect(await daemon.stop()).toBe(0);
	});
});
