/** The addon's requests for topic ids, on the mock cluster: what becomes of them when their client, their thread or the process goes. */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { promisify } from "node:util";
import rdkafka, { type KafkaConsumer } from "node-rdkafka";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { ConsumerClient } from "../../src/kafka/client/consumer-client.ts";
import { type MockCluster, startMockCluster } from "../../src/kafka/mock-cluster.ts";
import { askTopicIds, livingClients, nativeMissing, withNative } from "../../src/kafka/native.ts";
import { pockaffe } from "../support/daemons/command-line.ts";
import { withAddon } from "../support/project/with-addon.ts";
import { waitFor } from "../support/wait-for.ts";

const ID = /^[A-Za-z0-9_-]{22}$/;
const BROKER = 1;
const NO_BROKER = 77;
const root = new URL("../../", import.meta.url);
const addon = new URL("build/Release/pockaffe_native.node", root).pathname;

let mock: MockCluster;

async function connected(settings: Record<string, unknown> = {}): Promise<KafkaConsumer> {
	const all = withNative({ "bootstrap.servers": mock.brokers.join(), "group.id": "g", ...settings });
	const raw = new rdkafka.KafkaConsumer(all as never, {});
	await new Promise<void>((resolve, reject) => raw.connect({}, (error) => (error ? reject(error) : resolve())));
	return raw;
}

const closed = (raw: KafkaConsumer) => new Promise<void>((resolve) => raw.disconnect(() => resolve()));
const nameOf = (raw: KafkaConsumer) => (raw as unknown as { name?: string }).name;

function ask(raw: KafkaConsumer, topics = ["a"], broker = BROKER, timeoutMs = 60_000) {
	return askTopicIds({ name: nameOf(raw), broker }, topics, timeoutMs);
}

/** A process of its own: `connected`, `closed` and `ask` are there as above. What it prints, as JSON. */
async function run(body: string, env: Record<string, string> = {}): Promise<unknown> {
	const module = (name: string) => JSON.stringify(new URL(`dist/kafka/${name}.js`, root).href);
	const script = `
		import rdkafka from "node-rdkafka";
		import { setImmediate as turn } from "node:timers/promises";
		import { Worker } from "node:worker_threads";
		import { askTopicIds, livingClients, nativeMissing, withNative } from ${module("native")};
		const [brokers, addon] = ${JSON.stringify([mock.brokers.join(), addon])};
		const connected = () => new Promise((resolve, reject) => {
			const raw = new rdkafka.KafkaConsumer(withNative({ "bootstrap.servers": brokers, "group.id": "g" }), {});
			raw.connect({}, (error) => (error ? reject(error) : resolve(raw)));
		});
		const closed = (raw) => new Promise((resolve) => raw.disconnect(resolve));
		const ask = (raw, broker = ${BROKER}, timeoutMs = 60_000) => askTopicIds({ name: raw.name, broker }, ["a"], timeoutMs);
		const codeOf = (promise) => promise.then(() => 0, ({ kafkaCode }) => kafkaCode);
		const print = (value) => console.log(JSON.stringify(value));
		${body}`;
	const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", "--input-type=module", "-e", script], {
		cwd: root,
		env: { ...process.env, ...env },
	});
	return stdout === "" ? undefined : JSON.parse(stdout);
}

beforeAll(async () => {
	mock = await startMockCluster({ topics: ["a", "b"] });
});
afterAll(() => mock[Symbol.asyncDispose]());

describe("a request for topic ids", withAddon, () => {
	it("is answered with the ids of the topics that exist", async () => {
		const raw = await connected();
		expect([...((await ask(raw, ["a", "b", "nope", "a", ""])) ?? [])]).toEqual([
			["a", expect.stringMatching(ID)],
			["b", expect.stringMatching(ID)],
		]);
		await closed(raw);
	});

	it("ends by its own timeout where the broker is not there", async () => {
		const raw = await connected();
		await expect(ask(raw, ["a"], NO_BROKER, 300)).rejects.toMatchObject({ kafkaCode: -185 });
		expect(livingClients()?.requests).toBe(0);
		await closed(raw);
	});

	it("is not made on a client that is still being connected, that failed to connect, or that was closed", async () => {
		const settings = withNative({ "bootstrap.servers": "127.0.0.1:1", "group.id": "g" });
		const nowhere = new rdkafka.KafkaConsumer(settings as never, {});
		const failed = new Promise((resolve) => nowhere.connect({ timeout: 200 }, resolve));
		expect(await ask(nowhere)).toBeNull();
		expect(await failed).toBeInstanceOf(Error);
		expect(await ask(nowhere)).toBeNull();
		const raw = await connected();
		await closed(raw);
		expect(await ask(raw)).toBeNull();
	});

	it("is not made on another client that has the same name because the client's id is too long", async () => {
		const clients = await Promise.all(Array.from({ length: 2 }, () => connected({ "client.id": "x".repeat(200) })));
		expect(new Set(clients.map(nameOf)).size).toBe(1);
		expect(await Promise.all(clients.map((raw) => ask(raw)))).toEqual([null, null]);
		await Promise.all(clients.map(closed));
	});

	it("ends with its client, however many are under way, and another client's don't", async () => {
		const [raw, other] = [await connected(), await connected()];
		const requests = Array.from({ length: 50 }, (_, index) =>
			ask(raw, ["a"], index % 2 === 0 ? BROKER : NO_BROKER).catch((error) => error.kafkaCode),
		);
		const others = Array.from({ length: 10 }, () => ask(other));
		const closing = closed(raw);
		const answers = await Promise.all(requests);
		await closing;
		for (const answer of answers) expect(answer === -197 || answer instanceof Map).toBe(true);
		expect(answers).toContain(-197);
		expect(await ask(raw)).toBeNull();
		for (const answer of await Promise.all(others)) expect(answer?.get("a")).toMatch(ID);
		expect(livingClients()?.requests).toBe(0);
		await closed(other);
	});

	it("leaves no client, thread or file behind, with failed connects among the clients", async () => {
		const before = { clients: livingClients()?.clients, ...(await held()) };
		for (let round = 0; round < 10; round++) {
			const all = await Promise.all(Array.from({ length: 5 }, () => connected()));
			await Promise.all(all.map((raw) => ask(raw)));
			const left = all.map((raw) => ask(raw, ["a"], NO_BROKER).catch(() => null));
			await Promise.all([...all.map(closed), ...left]);
		}
		const nowhere = new ConsumerClient({ "bootstrap.servers": "127.0.0.1:1", "group.id": "g" }, {}, systemClock);
		await expect(nowhere.connect(200)).rejects.toThrow();
		await nowhere.close();
		await waitFor("all to be gone", async () => livingClients()?.clients === before.clients && isGone(await held(), before));
		expect(livingClients()?.requests).toBe(0);
	});
});

describe("a process with requests for topic ids", withAddon, () => {
	it("ends by itself behind the last of them", async () => {
		const body = `const raw = await connected();
			ask(raw, ${NO_BROKER}, 300).catch(({ kafkaCode }) => closed(raw).then(() => print(kafkaCode)));`;
		expect(await run(body)).toBe(-185);
	});

	it("can exit in the middle", async () => {
		const exits = run(`const raw = await connected();
			for (let i = 0; i < 100; i++) void codeOf(ask(raw, i % 2 ? ${NO_BROKER} : ${BROKER}, 60_000));
			setImmediate(() => process.exit(7));`);
		await expect(exits).rejects.toMatchObject({ code: 7, signal: null });
		const throws = run(`const raw = await connected();
			for (let i = 0; i < 100; i++) void codeOf(ask(raw));
			void closed(raw);
			setImmediate(() => { throw new Error("the end"); });`);
		await expect(throws).rejects.toMatchObject({ code: 1, signal: null });
	});

	it("may collect garbage at any point of them", async () => {
		const body = `for (let round = 0; round < 5; round++) {
				const raws = await Promise.all([connected(), connected(), connected()]);
				const answers = [];
				for (let i = 0; i < 30; i++) {
					answers.push(codeOf(ask(raws[i % 3], i % 4 ? ${BROKER} : ${NO_BROKER})));
					gc();
					if (i % 10 === 0) await turn();
				}
				const closing = raws.map(closed);
				gc();
				await Promise.all([...answers, ...closing]);
			}
			gc();
			print(livingClients());`;
		expect(await run(body)).toEqual({ clients: 0, requests: 0 });
	});

	it("may have threads that use the addon and end in the middle", async () => {
		const body = `const raw = await connected();
			const source = \`const { workerData: [file, name] } = require("node:worker_threads");
				const { topicIds } = require(file);
				for (let i = 0; i < 40; i++) void topicIds(name, i % 2 ? ${NO_BROKER} : ${BROKER}, ["a"], 60_000);
				setTimeout(() => process.exit(), 5);\`;
			for (let round = 0; round < 10; round++) {
				const worker = new Worker(source, { eval: true, execArgv: [], workerData: [addon, raw.name] });
				if (round % 2) setTimeout(() => worker.terminate(), 30 + round);
				await new Promise((resolve) => worker.on("exit", resolve));
			}
			const left = livingClients();
			await closed(raw);
			print(left);`;
		expect(await run(body)).toEqual({ clients: 1, requests: 0 });
	});

	// They do nothing else, so some of a hundred are.
	it("may have threads that are ended within a call", async () => {
		const body = `const source = \`const { workerData: file, parentPort } = require("node:worker_threads");
				const { topicIds } = require(file);
				parentPort.postMessage("begun");
				for (;;) void topicIds("nobody", ${BROKER}, ["a"], 60_000);\`;
			const endOne = async () => {
				const worker = new Worker(source, { eval: true, execArgv: [], workerData: addon });
				await new Promise((resolve) => worker.on("message", resolve));
				await worker.terminate();
			};
			for (let round = 0; round < 25; round++) await Promise.all([endOne(), endOne(), endOne(), endOne()]);
			print(livingClients());`;
		expect(await run(body)).toEqual({ clients: 0, requests: 0 });
	});
});

describe("without the addon", () => {
	it("check warns, and says what follows", async () => {
		const check = async (POCKAFFE_NATIVE: string) => {
			const { stdout } = await pockaffe(["check", "--json"], { cwd: "/", env: { POCKAFFE_NATIVE } });
			return (JSON.parse(stdout) as { item: string }[]).find(({ item }) => item === "addon");
		};
		expect(await check("off")).toMatchObject({ result: "warning", detail: expect.stringMatching(/^POCKAFFE_NATIVE is off: .*timestamps/) });
		if (nativeMissing === null) expect(await check("on")).toMatchObject({ result: "ok" });
	});

	it("topics that exist have no id", async () => {
		const body = `const { ConsumerClient } = await import(${JSON.stringify(new URL("dist/kafka/client/consumer-client.js", root).href)});
			const { systemClock } = await import(${JSON.stringify(new URL("dist/core/clock.js", root).href)});
			const client = new ConsumerClient({ "bootstrap.servers": brokers, "group.id": "g" }, {}, systemClock);
			await client.connect(60_000);
			print([nativeMissing, livingClients(), [...(await client.topicIds(["a", "nope"]))]]);
			await client.close();`;
		expect(await run(body, { POCKAFFE_NATIVE: "off" })).toEqual(["POCKAFFE_NATIVE is off", null, [["a", null]]]);
	});
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
