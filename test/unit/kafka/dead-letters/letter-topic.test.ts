/** A letters topic that is there already: what Kafka would do to letters in it is told, and none goes where it would be lost. */
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../../src/config/load.ts";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import { DeadLetterTopic, type TopicProducer } from "../../../../src/kafka/dead-letters/dead-letter-topic.ts";
import { letterTopicPolicy } from "../../../../src/kafka/dead-letters/letter-topic-policy.ts";
import { deadLetter } from "../../../support/fakes/dead-letters.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

const kafka = loadConfig({
	file: undefined,
	cwd: "/",
	environment: {
		POCKAFFE_KAFKA_BROKERS: "k1:9092,k2:9092",
		POCKAFFE_KAFKA_GROUP: "g",
		POCKAFFE_KAFKA_TOPICS: "orders,^many\\..*",
		POCKAFFE_HANDLER_MODULE: "none",
		POCKAFFE_DATABASE_URL: "postgres://none",
		POCKAFFE_TABLES: '{"events":{"columns":{"n":"text"},"create":true}}',
	},
}).config.kafka;
const KEPT = { "cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": "1048588" };
const timedOut = new KafkaError("its time is over", -192);
const alter = "kafka-configs.sh --bootstrap-server k1:9092,k2:9092 --alter --entity-type topics --entity-name dead --add-config";

interface Deferred<T> {
	readonly promise: Promise<T>;
	resolve(value: T): void;
	reject(error: Error): void;
}

function deferred<T>(): Deferred<T> {
	let settle = {} as Omit<Deferred<T>, "promise">;
	const promise = new Promise<T>((resolve, reject) => {
		settle = { resolve, reject };
	});
	return { promise, ...settle };
}

function policyOf(own: Record<string, string> | KafkaError, sources: Record<string, Record<string, string> | KafkaError> = {}) {
	const all = Object.entries({ dead: own, ...sources });
	const settings = new Map(all.map(([topic, of]) => [topic, of instanceof KafkaError ? of : new Map(Object.entries(of))] as const));
	return letterTopicPolicy({ kafka, topic: "dead", sources: Object.keys(sources), settings });
}

describe("the policy of a letters topic", () => {
	it("that keeps letters for ever and takes what the sources take is nothing to tell of", () => {
		const sources = { orders: KEPT, "many.1": { "max.message.bytes": "1000" }, hidden: new KafkaError("no right", 29), odd: {} };
		expect(policyOf(KEPT, sources)).toEqual({ refusal: null, doubts: [], unknown: null });
	});

	it.each(["compact", "compact,delete", "delete, compact"])("cleanup.policy=%s loses open letters: refused, with the command", (policy) => {
		const { refusal } = policyOf({ ...KEPT, "cleanup.policy": policy });
		expect(refusal).toBe(
			`it has cleanup.policy=${policy}: Kafka would delete open letters that share a key, and refuses those without one; set it: ${alter} cleanup.policy=delete`,
		);
	});

	it("that ends by time or by size is a doubt", () => {
		const { doubts, refusal } = policyOf({ ...KEPT, "retention.ms": "604800000", "retention.bytes": "1000000" });
		expect(refusal).toBeNull();
		expect(doubts).toEqual([
			`Kafka deletes its letters after 7 days (retention.ms=604800000) and beyond 1000000 bytes a partition (retention.bytes), open or not; to keep them: ${alter} retention.ms=-1,retention.bytes=-1`,
		]);
		expect(policyOf({ ...KEPT, "retention.ms": "1500" }).doubts[0]).toContain("after 1500 ms (retention.ms=1500), open");
		expect(policyOf({ ...KEPT, "retention.ms": "3600000" }).doubts[0]).toContain("after 1 hour (");
		// What is as it should be is not set again.
		expect(policyOf({ ...KEPT, "retention.ms": "1500" }).doubts[0]).toMatch(/--add-config retention\.ms=-1$/);
		expect(policyOf({ ...KEPT, "retention.bytes": "5" }).doubts[0]).toMatch(/--add-config retention\.bytes=-1$/);
	});

	it("that takes smaller records than a source's is a doubt, with the largest of them", () => {
		const sizes = { orders: 2_000_000, "many.1": 9_000_000, "many.2": 3_000_000 };
		const sources = Object.fromEntries(Object.entries(sizes).map(([topic, bytes]) => [topic, { "max.message.bytes": String(bytes) }]));
		expect(policyOf(KEPT, sources).doubts).toEqual([
			`it takes records of up to 1048588 bytes (max.message.bytes), and many.1 messages of up to 9000000: a larger letter is stored without its value; to store it whole: ${alter} max.message.bytes=9000000`,
		]);
	});

	it("that takes as large records as the sources is no doubt; of two that are as large the first is named", () => {
		const limit = (bytes: number) => ({ "max.message.bytes": String(bytes) });
		expect(policyOf(KEPT, { orders: limit(1_048_588) }).doubts).toEqual([]);
		expect(policyOf(KEPT, { orders: limit(2_000), "many.1": limit(3_000_000), "many.2": limit(3_000_000) }).doubts[0]).toContain(
			"many.1 messages of up to 3000000",
		);
		// A source that names no limit has none that is larger.
		expect(policyOf({ ...KEPT, ...limit(0) }, { odd: {} }).doubts).toEqual([]);
	});

	it("that can't be known is told with the reason: no right, no answer, no addon", () => {
		const what = "whether it keeps letters for ever (cleanup.policy, retention.ms, max.message.bytes) is not known";
		const right =
			"kafka-acls.sh --bootstrap-server k1:9092,k2:9092 --add --allow-principal User:ANONYMOUS --operation DescribeConfigs --topic dead";
		expect(policyOf(new KafkaError("Topic authorization failed", 29)).unknown).toBe(
			`${what}: Topic authorization failed; give the right to look: ${right}`,
		);
		const parts = { kafka, topic: "dead", sources: [] };
		expect(letterTopicPolicy({ ...parts, settings: new KafkaError("timed out", -185) }).unknown).toBe(`${what}: timed out`);
		expect(letterTopicPolicy({ ...parts, settings: null }).unknown).toBe(`${what}: without the addon Kafka can't be asked`);
	});
});

describe("the topic of dead letters", () => {
	function scene(settings: Record<string, string>) {
		const clock = new ManualClock();
		const stored: number[] = [];
		const told: string[] = [];
		const current = { ...settings };
		/** What the cluster says: `gone` refuses what is written, and `report` answers it in its own way; `flushes`: of each client closed. */
		const cluster = {
			partitions: 3,
			unknownSettings: false,
			gone: null as KafkaError | null,
			report: null as ((partition: number) => Promise<number>) | null,
			looked: null as (() => Promise<Map<string, number>>) | null,
			connecting: null as Promise<unknown> | null,
			clients: 0,
			closed: 0,
			flushes: [] as number[],
		};
		const producer = (): TopicProducer => ({
			topics: async () =>
				cluster.looked?.() ??
				new Map([
					["dead", cluster.partitions],
					["orders", 3],
				]),
			topicSettings: async () =>
				new Map([["dead", cluster.unknownSettings ? new KafkaError("Unknown topic", 3) : new Map(Object.entries(current))]]),
			produce: async ({ partition = 0 }) => {
				if (cluster.gone) throw cluster.gone;
				if (cluster.report) return { partition, offset: await cluster.report(partition), timestamp: 0 };
				return { partition, offset: stored.push(partition), timestamp: 0 };
			},
			gaveUp: false,
			close: async (flushMs) => {
				cluster.closed++;
				cluster.flushes.push(flushMs);
			},
			async [Symbol.asyncDispose]() {},
		});
		const letters = new DeadLetterTopic({
			kafka,
			topic: "dead",
			consumerGroup: "g",
			version: "1",
			clock,
			random: () => 0.5,
			connectProducer: async () => {
				cluster.clients++;
				await cluster.connecting;
				return producer();
			},
		});
		letters.on("target:blocked", ({ message }) => told.push(message));
		letters.on("target:doubtful", ({ message }) => told.push(message));
		const store = (partition: number) => letters.store(deadLetter({ topic: "orders", partition }), new AbortController().signal);
		return { clock, cluster, current, letters, store, stored, told };
	}

	it("that is compacted takes no letter: its target is blocked, until the policy is another one", async () => {
		const { clock, current, letters, stored, told } = scene({ ...KEPT, "cleanup.policy": "compact" });
		await letters.prepare();
		const storing = letters.store(deadLetter({ topic: "orders", partition: 1 }), new AbortController().signal);
		await clock.advance(60_000);
		expect([letters.blocked, stored, told]).toEqual([
			true,
			[],
			[expect.stringMatching(/^dead letters can't be stored in topic dead: it has cleanup\.policy=compact: .* cleanup\.policy=delete$/)],
		]);
		current["cleanup.policy"] = "delete";
		await clock.advance(60_000);
		await storing;
		expect([letters.blocked, stored]).toEqual([false, [1]]);
		await letters.dispose();
	});

	it("whose letters end by time takes them, and tells it once however often it is reached anew", async () => {
		const { letters, stored, told } = scene({ ...KEPT, "retention.ms": "604800000" });
		const store = () => letters.store(deadLetter({ topic: "orders", partition: 1 }), new AbortController().signal);
		await store();
		await letters.renew();
		await store();
		expect(stored).toEqual([1, 1]);
		expect(told).toEqual([expect.stringMatching(/^dead letters go to topic dead: Kafka deletes its letters after 7 days/)]);
		await letters.dispose();
	});

	it.each([
		["its time is over", -192],
		["the client knows no such topic", -188],
		["the client knows no such partition", -190],
		["the broker knows no such topic", 3],
	])("that is deleted under a letter is looked for anew, once for all letters, where %s", async (_, code) => {
		const { clock, cluster, letters, store, stored } = scene(KEPT);
		await store(2);
		expect(cluster).toMatchObject({ clients: 1, closed: 0 });
		Object.assign(cluster, { gone: new KafkaError("gone", code), partitions: 1 });
		const storing = [store(1), store(2)];
		await clock.advance(0);
		expect([letters.blocked, cluster.clients, cluster.closed]).toEqual([true, 1, 1]);
		cluster.gone = null;
		await clock.advance(60_000);
		await Promise.all(storing);
		expect([letters.blocked, stored, cluster.clients, cluster.closed]).toEqual([false, [2, 0, 0], 2, 1]);
		await letters.dispose();
	});

	it("that is not there when a letter's time is over is looked for anew at once", async () => {
		const { clock, cluster, letters, store } = scene(KEPT);
		await store(2);
		Object.assign(cluster, { gone: timedOut, looked: async () => new Map() });
		const storing = store(1);
		await clock.advance(0);
		expect(cluster).toMatchObject({ clients: 1, flushes: [0] });
		Object.assign(cluster, { gone: null, looked: null });
		await clock.advance(60_000);
		await storing;
		expect(cluster.clients).toBe(2);
		await letters.dispose();
	});

	it("that is there when letters' time is over keeps its client: letters of other partitions are on their way", async () => {
		const { clock, cluster, letters, store, told } = scene(KEPT);
		await store(0);
		const looks: Deferred<Map<string, number>>[] = [];
		const report = deferred<number>();
		cluster.looked = () => {
			looks.push(deferred());
			return (looks.at(-1) as Deferred<Map<string, number>>).promise;
		};
		cluster.report = async (partition) => {
			if (partition === 1) throw timedOut;
			return report.promise;
		};
		const [standing, moving] = [[store(1), store(1)], store(2)];
		await clock.advance(10_000);
		// One question for all of them, and the next one when that has its answer.
		expect(looks).toHaveLength(1);
		looks[0]?.reject(new KafkaError("no broker", -195));
		await clock.advance(10_000);
		expect(looks).toHaveLength(2);
		cluster.looked = null;
		looks[1]?.resolve(new Map([["dead", 3]]));
		await clock.advance(10_000);
		expect(cluster).toMatchObject({ clients: 1, closed: 0 });
		report.resolve(7);
		await moving;
		let offset = 7;
		cluster.report = async () => ++offset;
		await clock.advance(60_000);
		await Promise.all(standing);
		expect([cluster.clients, cluster.closed, told.length]).toEqual([1, 0, 1]);
		await letters.dispose();
	});

	it("that took a letter twice says so without an offset: its client stays", async () => {
		const { cluster, letters, store } = scene(KEPT);
		const offsets = [4, -1001, 5];
		cluster.report = async () => offsets.shift() ?? 0;
		for (let letter = 0; letter < 3; letter++) await store(1);
		expect([cluster.clients, cluster.closed]).toEqual([1, 0]);
		await store(1);
		expect([cluster.clients, cluster.closed]).toEqual([1, 1]);
		await letters.dispose();
	});

	it("whose client is replaced while it connects keeps the new one, whatever becomes of the old one", async () => {
		const { clock, cluster, letters, store } = scene(KEPT);
		const first = deferred<void>();
		cluster.connecting = first.promise;
		await letters.prepare();
		const renewing = letters.renew();
		cluster.connecting = null;
		await store(1);
		first.reject(new Error("no broker"));
		await renewing;
		await clock.advance(60_000);
		await store(1);
		expect(cluster).toMatchObject({ clients: 2, closed: 0 });
		await letters.dispose();
		expect(cluster.closed).toBe(1);
	});

	it("is disposed when a client that was given up before has gone", async () => {
		const { cluster, letters } = scene(KEPT);
		const first = deferred<void>();
		cluster.connecting = first.promise;
		await letters.prepare();
		const renewing = letters.renew();
		const disposing = letters.dispose().then(() => cluster.closed);
		first.resolve();
		expect(await disposing).toBe(1);
		await renewing;
	});

	it("that somebody made anew is looked at again: what it does to letters is told", async () => {
		const { clock, cluster, current, letters, stored, told } = scene(KEPT);
		const store = () => letters.store(deadLetter({ topic: "orders", partition: 1 }), new AbortController().signal);
		await store();
		await store();
		expect([cluster.clients, told]).toEqual([1, []]);
		stored.length = 0;
		current["retention.ms"] = "604800000";
		await store();
		await store();
		expect([cluster.clients, cluster.closed]).toEqual([2, 1]);
		// Letters of other partitions that it has under way may still report.
		expect(cluster.flushes).toEqual([5_000]);
		expect(told).toEqual([expect.stringMatching(/^dead letters go to topic dead: Kafka deletes its letters after 7 days/)]);
		await clock.advance(0);
		await letters.dispose();
	});

	it("that refuses a letter for another reason keeps its client", async () => {
		const { clock, cluster, letters } = scene(KEPT);
		cluster.gone = new KafkaError("no right", 29);
		const storing = letters.store(deadLetter({ topic: "orders", partition: 1 }), new AbortController().signal);
		await clock.advance(60_000);
		cluster.gone = null;
		await clock.advance(60_000);
		await storing;
		expect(cluster).toMatchObject({ clients: 1, closed: 0 });
		await letters.dispose();
	});

	it("that is being deleted while it is looked at takes no letter", async () => {
		const { clock, cluster, letters, stored } = scene(KEPT);
		cluster.unknownSettings = true;
		const storing = letters.store(deadLetter({ topic: "orders", partition: 1 }), new AbortController().signal);
		await clock.advance(60_000);
		expect([letters.blocked, stored]).toEqual([true, []]);
		cluster.unknownSettings = false;
		await clock.advance(60_000);
		await storing;
		expect(stored).toEqual([1]);
		await letters.dispose();
	});
});
