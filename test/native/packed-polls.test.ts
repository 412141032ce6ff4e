/** Packed polls on the mock cluster: what they bring, and what becomes of one when its client, its memory or the process goes. */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { ReceivedMessage } from "../../src/core/messages/message.ts";
import { packMessages } from "../../src/core/messages/message-codec.ts";
import { type Consumed, ConsumerClient } from "../../src/kafka/client/consumer-client.ts";
import type { Polled } from "../../src/kafka/client/group-client.ts";
import { kafkaErrors } from "../../src/kafka/client/kafka-error.ts";
import { type MockCluster, startMockCluster } from "../../src/kafka/mock-cluster.ts";
import { type ConsumerQueue, livingClients, openConsumerQueue } from "../../src/kafka/native.ts";
import { Producer } from "../../src/kafka/producer.ts";
import { kafkaAt } from "../support/kafka/load-topic.ts";
import { withAddon } from "../support/project/with-addon.ts";
import { waitFor } from "../support/wait-for.ts";

const CONNECT_MS = 60_000;
const FIRST_TIMESTAMP = 1_700_000_000_000;
const PARTITIONS = [0, 1, 2, 3];
const topic = "a";
const large = "large";
const root = new URL("../../", import.meta.url);
const addon = new URL("build/Release/pockaffe_native.node", root).pathname;

let mock: MockCluster;
/** What is in the topic, by partition. */
let log: ReceivedMessage[][];

function settings(): Record<string, unknown> {
	return { "bootstrap.servers": mock.brokers.join(), "group.id": "g", "enable.partition.eof": true, "fetch.wait.max.ms": 20 };
}

async function connected(over: Record<string, unknown> = {}): Promise<ConsumerClient> {
	const client = new ConsumerClient({ ...settings(), ...over }, { "auto.offset.reset": "error" }, systemClock);
	await client.connect(CONNECT_MS);
	return client;
}

async function reading(partitions = PARTITIONS): Promise<ConsumerClient> {
	const client = await connected();
	client.assign(
		partitions.map((partition) => ({ topic, partition, offset: 0 })),
		false,
	);
	return client;
}

/** A process of its own; `reading` is there as above. What it prints, as JSON. */
async function run(body: string, env: Record<string, string> = {}): Promise<unknown> {
	const module = (name: string) => JSON.stringify(new URL(`dist/${name}.js`, root).href);
	const script = `
		import { ConsumerClient } from ${module("kafka/client/consumer-client")};
		import { livingClients } from ${module("kafka/native")};
		import { systemClock } from ${module("core/clock")};
		import { setImmediate as turn } from "node:timers/promises";
		import { Worker } from "node:worker_threads";
		const reading = async () => {
			const client = new ConsumerClient(${JSON.stringify(settings())}, { "auto.offset.reset": "error" }, systemClock);
			await client.connect(${CONNECT_MS});
			client.assign(${JSON.stringify(PARTITIONS.map((partition) => ({ topic, partition, offset: 0 })))}, false);
			return client;
		};
		const print = (value) => console.log(JSON.stringify(value));
		${body}`;
	const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", "--input-type=module", "-e", script], {
		cwd: root,
		env: { ...process.env, ...env },
	});
	return stdout === "" ? undefined : JSON.parse(stdout);
}

beforeAll(async () => {
	mock = await startMockCluster({ topics: [topic, large] });
	await using producer = await Producer.connect(kafkaAt(mock.brokers.join()));
	log = PARTITIONS.map(() => []);
	for (let index = 0; index < 400; index++) {
		const partition = (index * 7) % PARTITIONS.length;
		const messages = log[partition] as ReceivedMessage[];
		const [key, value] = [index % 3 === 0 ? null : `k${index}`, index % 5 === 0 ? null : `v${"€".repeat(index % 11)}`];
		const headers = Array.from({ length: index % 4 }, (_, at) => [`n${"ü".repeat(at)}`, `h${index}`] as const);
		const timestamp = FIRST_TIMESTAMP + index;
		await producer.produce({ topic, partition, key, value, headers, timestamp });
		messages.push({
			topic,
			partition,
			offset: messages.length,
			timestamp,
			timestampType: "create",
			key: key === null ? null : Buffer.from(key),
			value: value === null ? null : Buffer.from(value),
			headers: headers.map(([name, content]) => [name, Buffer.from(content)]),
		});
	}
});
afterAll(() => mock[Symbol.asyncDispose]());

/** Polls until all ends were met. */
async function all(client: ConsumerClient, ends = PARTITIONS.length): Promise<Polled[]> {
	const polls: Polled[] = [];
	while (polls.flatMap((polled) => polled.ends).length < ends) polls.push(await client.poll(1_000, 100));
	return polls;
}

describe("a packed poll", withAddon, () => {
	it("waits no longer once it is woken, and what comes later is not lost", async () => {
		const client = await reading();
		await all(client);
		const waiting = client.poll(1_000, 600_000);
		// Once it waits: until then a wake ends the poll before it takes what is there, which is as good.
		client.wake();
		expect(await waiting).toEqual({ batches: [], notTaken: [], ends: [], errors: [] });
		await using producer = await Producer.connect(kafkaAt(mock.brokers.join()));
		await producer.produce({ topic, partition: 0, key: "k", value: "woken", timestamp: FIRST_TIMESTAMP });
		(log[0] as ReceivedMessage[]).push({
			topic,
			partition: 0,
			offset: log[0]?.length as number,
			timestamp: FIRST_TIMESTAMP,
			timestampType: "create",
			key: Buffer.from("k"),
			value: Buffer.from("woken"),
			headers: [],
		});
		const later: Polled[] = [];
		while (later.flatMap(({ batches }) => batches).length === 0) later.push(await client.poll(1_000, 100));
		expect(later.flatMap(({ batches }) => batches.map(({ partition, batch }) => [partition, batch.length]))).toEqual([[0, 1]]);
		await client.close();
	});

	it("brings what packing on the main thread would make of the same messages, partition by partition", async () => {
		const client = await reading();
		const polls = await all(client);
		const seen = PARTITIONS.map(() => 0);
		for (const { partition, batch } of polls.flatMap(({ batches }) => batches)) {
			const from = seen[partition] as number;
			expect(batch).toEqual(packMessages((log[partition] as ReceivedMessage[]).slice(from, from + batch.length)));
			seen[partition] = from + batch.length;
		}
		expect(seen).toEqual(log.map(({ length }) => length));
		expect(polls.flatMap(({ ends }) => ends).sort((left, right) => left.partition - right.partition)).toEqual(
			PARTITIONS.map((partition) => ({ topic, partition, offset: seen[partition] })),
		);
		// Two pieces of memory for each: a handler may give the bytes away.
		const [{ batch }] = polls.flatMap(({ batches }) => batches) as [Polled["batches"][number]];
		expect(new Set(Object.values(batch).map((each) => (typeof each === "number" ? batch.bytes.buffer : each.buffer))).size).toBe(2);
		await client.close();
	});

	it("brings no more than it is asked for", async () => {
		const client = await reading([0]);
		const counts: number[] = [];
		while (counts.length < 50) counts.push(...(await client.poll(1, 100)).batches.map(({ batch }) => batch.length));
		expect(new Set(counts)).toEqual(new Set([1]));
		await client.close();
	});

	it("brings no more than fits and one message, headers counted", async () => {
		await using producer = await Producer.connect(kafkaAt(mock.brokers.join()));
		const headers = [["name", "h".repeat(10_000)]] as const;
		await Promise.all(Array.from({ length: 30 }, () => producer.produce({ topic: large, partition: 0, key: null, value: "v", headers })));
		const client = await connected();
		client.assign([{ topic: large, partition: 0, offset: 0 }], false);
		const queue = openConsumerQueue((client.raw as { name: string }).name, client) as ConsumerQueue;
		for (let count = 0; count < 30; ) {
			for (const { length, bytes } of (await queue.poll(1_000, 100, 25_000)).partitions) {
				count += length;
				expect(bytes.byteLength).toBeLessThan(25_000 + 10_100);
			}
		}
		queue.release();
		await client.close();
	});

	it("comes behind one that is under way", async () => {
		const client = await reading([0]);
		const polls = await Promise.all(Array.from({ length: 20 }, () => client.poll(10, 100)));
		const offsets = polls.flatMap(({ batches }) => batches.flatMap(({ batch }) => [...batch.offsets]));
		expect(offsets.length).toBeGreaterThan(0);
		expect(offsets).toEqual(offsets.map((_, index) => index));
		await client.close();
	});

	it("under way at a close is waited for; later ones are refused", async () => {
		const client = await reading([0]);
		await all(client, 1);
		const order: string[] = [];
		const poll = client.poll(1, 300).then(({ batches }) => order.push(`poll ${batches.length}`));
		const closed = client.close().then((isClosed) => order.push(`closed ${isClosed}`));
		await expect(client.poll(1, 100)).rejects.toMatchObject({ kafkaCode: kafkaErrors.state });
		await Promise.all([poll, closed]);
		expect(order).toEqual(["poll 0", "closed true"]);
	});

	it("for events alone brings what comes all the same, as from a partition that was assigned meanwhile", async () => {
		const client = await reading([0]);
		Object.assign(client.raw as object, { assignments: () => [] });
		const offsets: number[] = [];
		const take = ({ messages }: Consumed) => offsets.push(...messages.map(({ offset }) => offset));
		while (offsets.length === 0) take(await client.consume(1, 100));
		take(await client.serveEvents());
		while ((offsets.at(-1) as number) < 99) take(await client.consume(100, 100));
		expect(offsets).toEqual(offsets.map((_, index) => index));
		await client.close();
	});

	it("tells of an error beside what it brings", async () => {
		const client = await connected();
		client.assign([{ topic, partition: 0, offset: 1_000_000 }], false);
		const errors: number[] = [];
		while (errors.length === 0) errors.push(...(await client.poll(10, 100)).errors.map(({ kafkaCode }) => kafkaCode));
		expect(errors).toEqual([kafkaErrors.autoOffsetReset]);
		await client.close();
	});

	it("leaves no client, queue, thread or file of a thousand clients behind, failed connects among them", async () => {
		const before = { ...livingClients(), ...(await held()) };
		for (let round = 0; round < 100; round++) {
			const clients = await Promise.all(Array.from({ length: 9 }, () => reading([round % PARTITIONS.length])));
			const nowhere = new ConsumerClient({ "bootstrap.servers": "127.0.0.1:1", "group.id": "g" }, {}, systemClock);
			const refused = expect(nowhere.connect(50)).rejects.toThrow();
			await Promise.all(clients.map((client) => client.poll(100, 10)));
			const left = clients.map((client) => client.poll(1, 30));
			await Promise.all([refused, nowhere.close(), ...clients.map((client) => client.close()), ...left]);
		}
		expect(livingClients()?.requests).toBe(before.requests);
		await waitFor("all to be gone", async () => livingClients()?.clients === before.clients && isGone(await held(), before));
	});
});

describe("a process with a packed poll under way", withAddon, () => {
	it("ends by itself behind a close", async () => {
		const body = `const client = await reading();
			void client.poll(1_000, 100).then(({ batches }) => client.close().then((closed) => print([batches.length > 0, closed, livingClients()])));`;
		expect(await run(body)).toEqual([true, true, { clients: 0, requests: 0 }]);
	});

	it("can exit in the middle, or throw", async () => {
		const exits = run(`const client = await reading(); void client.poll(1_000, 100); setImmediate(() => process.exit(7));`);
		await expect(exits).rejects.toMatchObject({ code: 7, signal: null });
		const throws = run(
			`const client = await reading(); void client.poll(1_000, 100); setImmediate(() => { throw new Error("the end"); });`,
		);
		await expect(throws).rejects.toMatchObject({ code: 1, signal: null });
	});

	it("may collect garbage at any point: batches stay whole, and go when nobody has them", async () => {
		const body = `const sums = [];
			const external = () => { gc(); return process.memoryUsage().arrayBuffers; };
			const before = external();
			for (let round = 0; round < 5; round++) {
				const client = await reading();
				let kept = [];
				for (let ends = 0; ends < ${PARTITIONS.length}; ) {
					const poll = client.poll(50, 100);
					gc();
					const polled = await poll;
					gc();
					ends += polled.ends.length;
					kept.push(...polled.batches);
				}
				gc();
				let sum = 0;
				for (const { batch } of kept) for (const each of batch.bytes) sum += each;
				sums.push(sum);
				await client.close();
			}
			for (let turns = 0; turns < 20 && external() > before; turns++) await turn();
			print([new Set(sums).size, sums[0] > 0, external() <= before, livingClients()]);`;
		expect(await run(body)).toEqual([1, true, true, { clients: 0, requests: 0 }]);
	});

	it("may have threads that poll and end in the middle", async () => {
		const body = `const client = await reading();
			const source = \`const { workerData: [file, name] } = require("node:worker_threads");
				const { openConsumer, pollConsumer } = require(file);
				const handle = openConsumer(name);
				for (let i = 0; i < 3; i++) void pollConsumer(handle, {}, 10, 100, 1_000_000);
				setTimeout(() => process.exit(), 5);\`;
			for (let round = 0; round < 10; round++) {
				const worker = new Worker(source, { eval: true, execArgv: [], workerData: [${JSON.stringify(addon)}, client.raw.name] });
				if (round % 2) setTimeout(() => worker.terminate(), 30 + round);
				await new Promise((resolve) => worker.on("exit", resolve));
			}
			const left = livingClients();
			print([left, await client.close()]);`;
		expect(await run(body)).toEqual([{ clients: 1, requests: 0 }, true]);
	});

	it("is refused for what is no handle of the addon's own, and the process goes on", async () => {
		const told = await run(
			`const { createRequire } = await import("node:module");
			const addon = createRequire(import.meta.url)(${JSON.stringify(addon)});
			const answer = (call) => { try { return String(call()); } catch ({ name, message }) { return name + ": " + message; } };
			const others = [undefined, null, {}, 7, "x"];
			print([...new Set(others.flatMap((handle) => [
				answer(() => addon.pollConsumer(handle, {}, 1, 1, 1)),
				answer(() => addon.wakeConsumer(handle)),
				answer(() => addon.releaseConsumer(handle)),
			]))]);`,
		);
		expect(told).toEqual(["TypeError: this is no handle of a consumer"]);
	});

	it("keeps a forgotten client until its poll is over, and then lets the collector have it", async () => {
		const body = `let left = 0;
			await (async () => {
				const client = await reading();
				void client.poll(1_000, 300).then(() => left++);
			})();
			for (let turns = 0; turns < 30 && left === 0; turns++) { gc(); await new Promise((resolve) => setTimeout(resolve, 20)); }
			print(left);
			process.exit(0);`;
		expect(await run(body)).toBe(1);
	});
});

it("a client without the addon polls by node-rdkafka's own consume: the same, but for the type of timestamps", async () => {
	const body = `const client = await reading();
		const seen = [];
		for (let ends = 0; ends < ${PARTITIONS.length}; ) {
			const consumed = await client.consume(1_000, 100);
			ends += consumed.ends.length;
			seen.push(...consumed.messages);
		}
		print([await client.close(), livingClients(), seen]);`;
	const [closed, living, seen] = (await run(body, { POCKAFFE_NATIVE: "off" })) as [boolean, null, ReceivedMessage[]];
	expect([closed, living]).toEqual([true, null]);
	const sorted = seen.sort((left, right) => left.partition - right.partition);
	expect(sorted).toEqual(JSON.parse(JSON.stringify(log.flat().map((message) => ({ ...message, timestampType: "undefined" })))));
});

type Held = Awaited<ReturnType<typeof held>>;

/** The mock cluster closes its end of a connection in its own time; one file more may be anybody's. */
const isGone = (now: Held, before: Held) => now.threads <= before.threads && now.files <= before.files + 1;

/** Threads and open files of this process, where the system shows them. */
async function held(): Promise<{ threads: number; files: number }> {
	const count = (folder: string) =>
		readdir(folder).then(
			({ length }) => length,
			() => 0,
		);
	return { threads: await count("/proc/self/task"), files: await count("/proc/self/fd") };
}
