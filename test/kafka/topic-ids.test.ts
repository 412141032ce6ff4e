/** The ids of topics, asked through the addon: on a real Kafka and on the mock cluster, and what becomes of requests whose client goes. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import rdkafka, { type KafkaConsumer } from "node-rdkafka";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { ConsumerClient } from "../../src/kafka/consumer-client.ts";
import { type MockCluster, startMockCluster } from "../../src/kafka/mock-cluster.ts";
import { askTopicIds, livingClients, nativeMissing, withNative } from "../../src/kafka/native.ts";
import { deleteTopic, loadTopic } from "../support/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/real-kafka.ts";
import { waitFor } from "../support/wait-for.ts";

const ID = /^[A-Za-z0-9_-]{22}$/;
const MOCK_BROKER = 1;

/** Left out where the addon was not compiled, which CI does not allow. */
const withAddon = { skip: nativeMissing !== null && process.env.CI !== "true" };

async function client(brokers: string): Promise<ConsumerClient & AsyncDisposable> {
	const made = new ConsumerClient({ "bootstrap.servers": brokers, "group.id": uniqueName("g") }, {}, systemClock);
	await made.connect(10_000);
	return Object.assign(made, { [Symbol.asyncDispose]: async () => void (await made.close()) });
}

describeOnKafka("the id of a topic", withAddon, () => {
	const brokers = inject("kafkaBrokers");

	it("is the same for every client and over time, another one where the topic was made again, and absent where there is none", async () => {
		const [topic, missing] = [uniqueName("ids"), uniqueName("missing")];
		await loadTopic(brokers, { name: topic, partitions: 1 }, []);
		await using first = await client(brokers);
		await using second = await client(brokers);
		const ids = await first.topicIds([topic, missing]);
		expect([...ids]).toEqual([[topic, expect.stringMatching(ID)]]);
		expect(await second.topicIds([topic])).toEqual(ids);
		await deleteTopic(brokers, topic);
		expect(await first.topicIds([topic])).toEqual(new Map());
		await loadTopic(brokers, { name: topic, partitions: 1 }, []);
		const again = await first.topicIds([topic]);
		expect(again.get(topic)).toMatch(ID);
		expect(again.get(topic)).not.toBe(ids.get(topic));
		// Asking makes no topic.
		expect((await first.metadata()).has(missing)).toBe(false);
	});
});

describe("a request for topic ids", withAddon, () => {
	let mock: MockCluster;
	beforeAll(async () => {
		mock = await startMockCluster({ topics: ["a", "b"] });
	});
	afterAll(() => mock[Symbol.asyncDispose]());

	async function connected(): Promise<KafkaConsumer> {
		const raw = new rdkafka.KafkaConsumer(withNative({ "bootstrap.servers": mock.brokers.join(), "group.id": "g" }) as never, {});
		await new Promise<void>((resolve, reject) => raw.connect({}, (error) => (error ? reject(error) : resolve())));
		return raw;
	}
	const closed = (raw: KafkaConsumer) => new Promise<void>((resolve) => raw.disconnect(() => resolve()));
	const ask = (raw: KafkaConsumer, topics = ["a"], broker = MOCK_BROKER, timeoutMs = 5_000) =>
		askTopicIds((raw as unknown as { name: string }).name, broker, topics, timeoutMs);

	it("is answered by the mock cluster too", async () => {
		const raw = await connected();
		expect([...((await ask(raw, ["a", "b", "nope"])) ?? [])]).toEqual([
			["a", expect.stringMatching(ID)],
			["b", expect.stringMatching(ID)],
		]);
		await closed(raw);
	});

	it("ends by its own timeout where the broker is not there", async () => {
		const raw = await connected();
		await expect(ask(raw, ["a"], 77, 300)).rejects.toMatchObject({ kafkaCode: -185 });
		await closed(raw);
	});

	it("ends with its client, however many are under way, and leaves nothing behind", async () => {
		const raw = await connected();
		const requests = Array.from({ length: 50 }, (_, index) =>
			ask(raw, ["a"], index % 2 === 0 ? MOCK_BROKER : 77).catch((error) => error.kafkaCode),
		);
		const closing = closed(raw);
		const answers = await Promise.all(requests);
		await closing;
		expect(answers.every((answer) => answer instanceof Map || answer < 0)).toBe(true);
		expect(answers.some((answer) => answer === -197)).toBe(true);
		expect(livingClients()?.requests).toBe(0);
		expect(await ask(raw)).toBeNull();
	});

	it("leaves no client behind: opened and closed, with a failed connect among them", async () => {
		const before = livingClients()?.clients;
		for (let round = 0; round < 10; round++) {
			const all = await Promise.all(Array.from({ length: 5 }, connected));
			await Promise.all(all.map((raw) => ask(raw)));
			await Promise.all(all.map(closed));
		}
		const nowhere = new ConsumerClient({ "bootstrap.servers": "127.0.0.1:1", "group.id": "g" }, {}, systemClock);
		await expect(nowhere.connect(200)).rejects.toThrow();
		await nowhere.close();
		await waitFor("the last client to be gone", () => livingClients()?.clients === before);
	});

	it("is not made where the addon is switched off: topics that exist have no id", async () => {
		const script = `
			import { ConsumerClient } from ${JSON.stringify(new URL("../../dist/kafka/consumer-client.js", import.meta.url).href)};
			import { nativeMissing } from ${JSON.stringify(new URL("../../dist/kafka/native.js", import.meta.url).href)};
			import { systemClock } from ${JSON.stringify(new URL("../../dist/core/clock.js", import.meta.url).href)};
			const client = new ConsumerClient({ "bootstrap.servers": ${JSON.stringify(mock.brokers.join())}, "group.id": "g" }, {}, systemClock);
			await client.connect(5_000);
			console.log(JSON.stringify([nativeMissing, [...(await client.topicIds(["a", "nope"]))]]));
			await client.close();`;
		const env = { ...process.env, POCKAFFE_NATIVE: "off" };
		const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { env });
		expect(JSON.parse(stdout)).toEqual(["POCKAFFE_NATIVE is off", [["a", null]]]);
	});

	it("does not keep a process, nor bring it down, that ends in the middle", async () => {
		const script = `
			import rdkafka from "node-rdkafka";
			import { askTopicIds, withNative } from ${JSON.stringify(new URL("../../dist/kafka/native.js", import.meta.url).href)};
			const raw = new rdkafka.KafkaConsumer(withNative({ "bootstrap.servers": ${JSON.stringify(mock.brokers.join())}, "group.id": "g" }), {});
			raw.connect({}, () => {
				for (let i = 0; i < 100; i++) void askTopicIds(raw.name, i % 2 ? 77 : 1, ["a"], 60_000);
				setImmediate(() => process.exit(7));
			});`;
		const run = promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
			cwd: new URL("../..", import.meta.url).pathname,
		});
		await expect(run).rejects.toMatchObject({ code: 7, signal: null });
	});
});
