/**
 * A whole daemon in this process: handler threads, group, HTTP and log are the real ones; the broker is librdkafka's mock cluster, and the
 * tables are in memory. What a daemon's parts do is told by their own tests: this is how they are joined.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { tableLayouts } from "../../src/config/table-layouts.ts";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import { Daemon, type StopCause } from "../../src/daemon/daemon.ts";
import { type MockCluster, startMockCluster } from "../../src/kafka/mock-cluster.ts";
import { nativeMissing } from "../../src/kafka/native.ts";
import { Producer } from "../../src/kafka/producer.ts";
import { createLogger } from "../../src/observe/logs/log.ts";
import { buildStatus } from "../../src/observe/status.ts";
import type { Database } from "../../src/sink/database/database.ts";
import { kafkaAt } from "../support/kafka/load-topic.ts";
import { MemoryDatabase } from "../support/postgres/memory-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

/** What `connectDatabase` returns. */
const connected = vi.hoisted(() => ({ database: null as unknown }));

vi.mock("../../src/sink/database/database.ts", async (original) => ({
	...(await original<object>()),
	connectDatabase: () => connected.database,
}));

type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string; readonly level: string };

let cluster: MockCluster;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let memory: MemoryDatabase;
/** Statements but for the upserts; refused while the database is away. */
let asked: string[];
let away: string | null;
let ending: Daemon[];

beforeEach(async () => {
	cluster = await startMockCluster({ topics: ["orders"] });
	folder = await temporaryFolder();
	[asked, away, ending] = [[], null, []];
});
afterEach(async () => {
	for (const daemon of ending) await daemon.stop("the test is over");
	await folder[Symbol.asyncDispose]();
	await cluster[Symbol.asyncDispose]();
});

const handler = `export function handleMessage({ key, value }) {
	const text = value.toString();
	if (text === "throw") throw new Error("it is a test");
	return text === "reject" ? { reject: "not wanted" } : { table: "events", id: key.toString(), fields: { name: text } };
}`;

async function daemonOf(over: Record<string, Record<string, unknown>> = {}, told: Record<string, (fact: never) => void> = {}) {
	const file = join(folder.path, "handler.mjs");
	await writeFile(file, handler);
	const written = {
		kafka: { brokers: cluster.brokers, group: "g", topics: ["orders"], ...over.kafka },
		handler: { module: file, ...over.handler },
		database: { url: "postgres://u@127.0.0.1:1/d" },
		tables: { ...over.tables, events: { columns: { name: "text" }, create: true } },
		http: { port: 0, ...over.http },
		offsets: { ...over.offsets },
	};
	const { config } = loadConfig({ written, environment: {}, cwd: folder.path });
	memory = new MemoryDatabase(tableLayouts(config), {});
	connected.database = {
		...{ stream: memory.stream.bind(memory), close: async () => {}, transaction: memory.transaction.bind(memory) },
		query: async (text: string, parameters: readonly string[] = []) => {
			if (away) throw Object.assign(new Error("it is away"), { code: away });
			if (text.includes('insert into "events"')) return memory.query(text, parameters);
			asked.push(text);
			if (text.startsWith("create table") && text.includes("vector")) throw Object.assign(new Error("no such type"), { code: "42704" });
			// One letter is stored at a time.
			if (text.includes('insert into "pockaffe_dead_letters"')) return [{}];
			return text.includes("to_regclass") ? [{ found: false }] : [];
		},
	} as Database;
	const output = new PassThrough();
	const log: LogLine[] = [];
	output.setEncoding("utf8").on("data", (text: string) => {
		for (const line of text.split("\n").filter(Boolean)) log.push(JSON.parse(line));
	});
	const logger = createLogger({ ...config.log, format: "json" }, output as never);
	const daemon = new Daemon({ config, logger, clock: systemClock, random: systemRandom, version: "1.2.3", told });
	ending.push(daemon);
	const said = (words: string) => log.filter(({ msg }) => msg.includes(words));
	const cause: StopCause[] = [];
	void daemon.stopRequested.then((why) => cause.push(why));
	return { daemon, log, said, cause, file, name: () => [...(memory.tables.get("events")?.values() ?? [])].map(({ values }) => values[0]) };
}

async function produce(...values: readonly string[]): Promise<void> {
	await using producer = await Producer.connect(kafkaAt(cluster.brokers.join(",")));
	for (const value of values) await producer.produce({ topic: "orders", partition: 0, key: value, value, headers: [] });
}

const ask = async (daemon: Daemon, path: string, init: RequestInit = {}) => fetch(`${daemon.url}${path}`, init);
const partitionOf = (daemon: Daemon) => buildStatus(daemon.snapshot()).partitions.find(({ partition }) => partition === 0);
const untilCommitted = (daemon: Daemon, offset: number) =>
	waitFor(`offset ${offset} to be committed`, () => partitionOf(daemon)?.committed === offset);

it("goes from starting to stopped, and says where it is in state, readiness, log and metrics", async () => {
	const { daemon, said, name } = await daemonOf();
	expect([daemon.state, daemon.url]).toEqual(["starting", null]);
	expect(daemon.readiness.report()).toMatchObject({ reasons: [{ code: "starting", message: "the daemon is starting" }] });
	const watched = vi.spyOn(daemon.stallDetector, "start");
	await daemon.start();
	expect(watched).toHaveBeenCalledTimes(1);
	// No partition has loaded it yet.
	expect(daemon.handler).toEqual({ version: expect.stringMatching(/^\w{6,}/), mixed: false });
	expect(said("listens at")).toMatchObject([
		{ version: "1.2.3", group: "g", topics: ["orders"], url: daemon.url, handler: { version: expect.stringMatching(/./) } },
	]);
	expect(asked.filter((text) => text.startsWith("create table")).map((text) => /"([^"]+)"/.exec(text)?.[1])).toEqual([
		"pockaffe_offsets_start",
		"pockaffe_dead_letters",
		"events",
	]);
	await produce("a", "b");
	await untilCommitted(daemon, 2);
	await waitFor("readiness", async () => (await ask(daemon, "/readyz")).status === 200);
	expect([name(), daemon.state]).toEqual([["a", "b"], "running"]);
	const status = buildStatus(daemon.snapshot());
	expect(status.connections).toMatchObject([
		{ name: "kafka", target: cluster.brokers.join(","), state: "connected" },
		{ name: "database", target: "postgres://127.0.0.1:1/d", state: "connected", message: null },
	]);
	expect(partitionOf(daemon)).toMatchObject({ state: "running", position: 2, lag: 0, handlerVersion: daemon.handler.version });
	expect(status).toMatchObject({ embedded: false, handler: { version: daemon.handler.version, mixed: false } });
	const metrics = await (await ask(daemon, "/metrics")).text();
	expect(metrics).toMatch(/^pockaffe_cas_rows_total\{.*inserted.*\} 2$/m);
	expect(metrics).toContain(nativeMissing === null ? 'consuming="packed"' : 'consuming="node_rdkafka"');
	expect(metrics).toContain(nativeMissing === null ? 'addon="topic_ids"' : 'addon="none"');
	// Nobody allowed it.
	expect((await ask(daemon, "/partitions/orders/0/pause", { method: "POST" })).status).toBe(405);
	const { url } = daemon;
	expect(await daemon.stop("it is enough")).toEqual({ drained: true, hangs: false });
	expect([daemon.state, said("stopping: it is enough").length, said("stopped").at(-1)?.drained]).toEqual(["stopped", 1, true]);
	await expect(fetch(`${url}/healthz`)).rejects.toThrow("fetch failed");
});

it("tells its owner of letters and crashes, and stops where the policy says so, with its exit code", async () => {
	const letters: { offset: number; reason: string }[] = [];
	const crashes: { error: { message: string } }[] = [];
	const told = { deadLettered: (letter: never) => letters.push(letter), crashed: (report: never) => crashes.push(report) };
	const { daemon, cause, said } = await daemonOf({ handler: { onPoison: "stop", maxAttempts: 2 } }, told);
	await daemon.start();
	await produce("reject", "throw");
	await waitFor("the policy", () => cause.length > 0);
	await untilCommitted(daemon, 1);
	expect(letters).toMatchObject([{ offset: 0, reason: "rejected", error: "not wanted" }]);
	expect(crashes.map(({ error }) => error.message)).toEqual(["it is a test", "it is a test"]);
	expect(cause).toMatchObject([{ exitCode: 3, reason: expect.stringMatching(/^orders\/0: /) }]);
	expect(said("stops the daemon")).toHaveLength(1);
});

it("does what is asked of it over HTTP where that is allowed, logs it, and a drain has exit code 0", async () => {
	const { daemon, cause, said, log } = await daemonOf({ http: { admin: true } });
	await daemon.start();
	await produce("a");
	await untilCommitted(daemon, 1);
	const post = async (path: string) => (await ask(daemon, path, { method: "POST" })).status;
	expect([await post("/partitions/orders/0/pause"), await post("/partitions/orders/9/pause")]).toEqual([200, 404]);
	expect(partitionOf(daemon)).toMatchObject({ state: "paused", reason: "admin" });
	expect(await post("/partitions/orders/0/resume")).toBe(200);
	expect(partitionOf(daemon)?.state).toBe("running");
	expect(await post("/drain")).toBeLessThan(300);
	await waitFor("the cause", () => cause.length > 0);
	expect(cause).toEqual([{ reason: "a drain was asked for over HTTP", exitCode: 0 }]);
	expect(log.flatMap(({ action, target }) => (action ? [[action, target]] : []))).toEqual([
		["pause", "orders/0"],
		["resume", "orders/0"],
		["drain", "the daemon"],
	]);
	expect(said("PocKaffe 1.2.3 listens")).toHaveLength(1);
});

it("makes its table of offsets where they are kept in the database, and names the version that its handler is given", async () => {
	const { daemon } = await daemonOf({ offsets: { store: "postgres" }, handler: { version: "7" } });
	await daemon.start();
	expect(asked.filter((text) => text.startsWith('create table if not exists "pockaffe_offsets" '))).toHaveLength(1);
	expect(daemon.handler).toEqual({ version: "7", mixed: false });
});

it("starts without its database: it says so, joins, and writes the rows when it is there", async () => {
	const { daemon, said, name } = await daemonOf();
	away = "ECONNREFUSED";
	const starting = daemon.start();
	await waitFor("the words", () => said("tables can't be prepared yet: ECONNREFUSED").length > 0);
	expect(await (await ask(daemon, "/readyz")).json()).toMatchObject({ ready: false });
	expect(daemon.databaseProblem).toContain("ECONNREFUSED");
	expect(buildStatus(daemon.snapshot()).connections[1]).toMatchObject({ state: "away", message: expect.stringContaining("ECONNREFUSED") });
	away = null;
	await starting;
	await produce("a");
	await untilCommitted(daemon, 1);
	await waitFor("the tables", () => said("tables are prepared").length > 0);
	await waitFor("readiness", async () => (await ask(daemon, "/readyz")).status === 200);
	expect([name(), daemon.databaseProblem]).toEqual([["a"], null]);
});

it("makes its notes where one of the user's tables can't be made, and is not ready, whatever rows go into the others", async () => {
	const { daemon, said, name } = await daemonOf({ tables: { others: { columns: { v: "vector" }, create: true } } });
	await daemon.start();
	expect(asked.some((text) => text.startsWith('create table if not exists "pockaffe_offsets_start"'))).toBe(true);
	await produce("a");
	await untilCommitted(daemon, 1);
	expect(name()).toEqual(["a"]);
	expect(daemon.databaseProblem).toContain("tables can't be prepared");
	expect(said("tables can't be prepared yet")).toHaveLength(1);
});

it("notices that its handler's file is saved", async () => {
	const { daemon, said, file } = await daemonOf();
	const changed = vi.spyOn(daemon.delivery, "handlerChanged");
	await daemon.start();
	await produce("a");
	await untilCommitted(daemon, 1);
	await writeFile(file, `${handler}\n`);
	await waitFor("the change", () => said("changed in the handler's folder").length > 0);
	expect(said("changed in the handler's folder")[0]).toMatchObject({ level: "info", file: "handler.mjs" });
	expect(changed).toHaveBeenCalled();
});
