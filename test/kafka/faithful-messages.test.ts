/** Messages of Kafka's own producer in Java: what a record says comes whole to the handler, and back out of a topic of letters. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { Header, ReceivedMessage } from "../../src/core/messages/message.ts";
import { ConsumerClient } from "../../src/kafka/client/consumer-client.ts";
import { jsonLines, pockaffe } from "../support/daemons/command-line.ts";
import { runDaemon } from "../support/daemons/daemon-process.ts";
import { type PlainRecord, produceByJava } from "../support/kafka/kafka-admin.ts";
import { createTopicWith } from "../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../support/postgres/test-database.ts";
import { withAddon } from "../support/project/with-addon.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");
const TIMESTAMP = 1_700_000_000_000;
const bytes = Buffer.from([0, 1, 0, 255, 10]);
const headers: Header[] = [
	["bytes", bytes],
	["empty", Buffer.alloc(0)],
	["null", null],
	["twice", Buffer.from("ä")],
	["twice", bytes],
	["ü", Buffer.from("text")],
];
const records: PlainRecord[] = [
	{ key: Buffer.from("k"), value: Buffer.alloc(0), headers },
	{ key: Buffer.alloc(0), value: null, headers: [] },
	{ key: null, value: bytes, headers: [] },
];

/** Makes the topic, and produces those records to it. */
async function produced(timestampType: "CreateTime" | "LogAppendTime"): Promise<string> {
	const topic = uniqueName("faithful");
	await createTopicWith(brokers, { name: topic, partitions: 1 }, { "message.timestamp.type": timestampType });
	await produceByJava(brokers, topic, TIMESTAMP, records);
	return topic;
}

async function consumed(topic: string, count: number): Promise<ReceivedMessage[]> {
	const settings = { "bootstrap.servers": brokers, "group.id": uniqueName("g") };
	const client = new ConsumerClient(settings, { "auto.offset.reset": "error" }, systemClock);
	await client.connect(10_000);
	client.assign([{ topic, partition: 0, offset: 0 }], false);
	const messages: ReceivedMessage[] = [];
	while (messages.length < count) messages.push(...(await client.consume(100, 100)).messages);
	await client.close();
	return messages;
}

describeOnKafka("a message of another producer", withAddon, () => {
	it("comes with its bytes: an empty key, value or header is not a null one, and has whatever is in it", async () => {
		const messages = await consumed(await produced("CreateTime"), records.length);
		expect(messages.map(({ key, value }) => [key, value])).toEqual(records.map(({ key, value }) => [key, value]));
		expect(messages.map((message) => message.headers)).toEqual(records.map((record) => record.headers));
		expect(messages.map(({ timestamp, timestampType }) => [timestamp, timestampType])).toEqual(records.map(() => [TIMESTAMP, "create"]));
	});

	it("says what its timestamp is where the broker sets it", async () => {
		const [message] = await consumed(await produced("LogAppendTime"), records.length);
		expect(message?.timestampType).toBe("append");
		expect(message?.timestamp).toBeGreaterThan(TIMESTAMP);
	});

	it("reaches the handler so, goes whole into a topic of letters, and comes so out of it when it is replayed", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, letters] = [await produced("CreateTime"), uniqueName("letters")];
		const shown = "JSON.stringify([key, value, headers.map(([name, bytes]) => [name, bytes?.toString('base64') ?? null])])";
		const handler = (fails: boolean) => `export function handleMessage({ offset, key, value, tsType, headers }) {
			if (${fails} && offset === 0) throw new Error("not yet");
			return { id: String(offset), fields: { shown: ${shown}, type: tsType } };
		}`;
		await writeFile(join(folder.path, "handler.mjs"), handler(true));
		const config = {
			kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
			handler: { module: "./handler.mjs", maxAttempts: 1 },
			deadLetters: { target: "topic", topic: letters },
			database: { url: db.url },
			tables: { messages: { columns: { shown: "text", type: "text" }, create: true } },
			http: { port: 0 },
		};
		const rows = () => db.database.query("select id, shown, type from messages order by id");
		const expected = records.map(({ key, value, ...record }, offset) => ({
			id: String(offset),
			shown: JSON.stringify([key, value, record.headers.map(([name, content]) => [name, content?.toString("base64") ?? null])]),
			type: "create",
		}));
		await using daemon = await runDaemon(folder.path, config);
		await waitFor("the letter and two rows", async () => {
			const stored = await daemon.metric("pockaffe_dead_letters_total");
			return stored === 1 && (await rows()).length === 2;
		});
		expect(await daemon.stop()).toBe(0);
		expect((await rows()).map(({ shown, type }) => ({ shown, type }))).toEqual(
			expected.slice(1).map(({ shown, type }) => ({ shown, type })),
		);
		await writeFile(join(folder.path, "handler.mjs"), handler(false));
		const run = (...args: string[]) => pockaffe(["dead-letters", ...args, "-c", "pockaffe.yaml"], { cwd: folder.path });
		expect(jsonLines((await run("list", "--json")).stdout)).toMatchObject([{ key: "k", value: "" }]);
		expect(await run("replay", "--all")).toMatchObject({ code: 0 });
		// A letter doesn't say what its timestamp was.
		expect((await rows())[0]).toEqual({ ...expected[0], type: "undefined" });
	});
});
