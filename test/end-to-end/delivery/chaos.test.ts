/** Handlers that crash by chance in every way, under load: the table is exact, no key goes back, no thread is left behind. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { seededRandom } from "../../../src/core/random.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { differences, eventLog, eventTable, foldEvents, readTable } from "../../support/daemons/event-log.ts";
import { untilCommitted } from "../../support/kafka/group-offsets.ts";
import { loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const PARTITIONS = 8;
const MESSAGES = 40_000;
const CRASHES_OF_A_WAY = 40;

const ways = [
	"throw new Error('chaos')",
	"throw null",
	"throw { get message() { throw new Error('hostile') } }",
	"return Promise.reject(new Error('chaos'))",
	"return { id: 'x', fields: { unknown: 1 } }",
	"return { id: 'x', fields: { name: () => {} } }",
	"return { id: 'x', fields: { name: 'x'.repeat(2e6) } }",
	"return new Promise(() => setTimeout(() => { throw new Error('uncaught') }))",
	"Promise.reject(new Error('unhandled')); return new Promise(() => {})",
	"process.exit(1)",
	"process.abort()",
	"process.stdout.end(); JSON.stringify = () => { throw new Error('patched') }; throw new Error('closed and patched')",
	"(function f() { f(); })()",
	"for (;;);",
	"return new Promise(() => {})",
	"const all = []; for (;;) all.push(new Array(1e6).fill(Math.random()))",
];

/** Crashes once at each of the places drawn, as a file of its own remembers; notes every message that it let through. */
function handlerSource(folder: string, crashes: ReadonlyMap<string, number>): string {
	return `
		import { appendFileSync, existsSync, writeFileSync } from "node:fs";
		const crashes = new Map(${JSON.stringify([...crashes])});
		const ways = [${ways.map((way) => `() => { ${way} }`).join(",\n")}];
		export function handleMessage({ partition, offset, key, value }) {
			const place = partition + "-" + offset;
			const way = crashes.get(place);
			const mark = ${JSON.stringify(folder)} + "/crashed-" + place;
			if (way !== undefined && !existsSync(mark)) {
				writeFileSync(mark, "");
				return ways[way]();
			}
			appendFileSync(${JSON.stringify(folder)} + "/seen-" + partition, key + " " + offset + "\\n");
			if (value === null) return { id: key.toString(), delete: true };
			const { id, ...fields } = JSON.parse(value.toString());
			return { id, fields };
		}`;
}

describeOnKafka("chaos", () => {
	it.each([41])("ends with an exact table, every key in order, and no orphan thread (seed %i)", async (seed) => {
		await using folder = await temporaryFolder();
		await using second = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group, brokers] = [uniqueName("chaos"), uniqueName("g"), inject("kafkaBrokers")];
		const random = seededRandom(seed);
		const crashes = new Map<string, number>();
		for (let i = 0; i < CRASHES_OF_A_WAY * ways.length; i++) {
			crashes.set(`${Math.floor(random() * PARTITIONS)}-${Math.floor((random() * 0.8 * MESSAGES) / PARTITIONS)}`, i % ways.length);
		}
		await writeFile(join(folder.path, "handler.mjs"), handlerSource(folder.path, crashes));
		const log = { topic, count: MESSAGES, ids: 3_000, partitions: PARTITIONS, seed, wander: false, deletes: 0.05 };
		await loadTopic(brokers, { name: topic, partitions: PARTITIONS }, eventLog(log));
		const config = {
			kafka: { brokers: [brokers], topics: [topic], group },
			handler: {
				module: join(folder.path, "handler.mjs"),
				timeoutMs: 1_500,
				retryBackoffMs: 1,
				maxAttempts: 3,
				maxOutcomeBytes: 1_000_000,
			},
			supervisor: { maxRestarts: 1_000, minBackoffMs: 1, maxBackoffMs: 50 },
			workers: { maxHeapMb: 64 },
			database: { url: db.url },
			tables: { events: eventTable },
			offsets: { commitIntervalMs: 100 },
			http: { port: 0 },
		};
		await using daemon = await runDaemon(folder.path, config);
		try {
			await untilCommitted(brokers, group, topic);
			expect(differences(await readTable(db.database, "events"), foldEvents(eventLog(log)))).toEqual([]);
			expect(await daemon.metric("pockaffe_dead_letters_total")).toBe(0);
			const crashed = (await readdir(folder.path)).filter((name) => name.startsWith("crashed-"));
			expect(crashed.length).toBe(crashes.size);
			for (let partition = 0; partition < PARTITIONS; partition++) await keysInOrder(join(folder.path, `seen-${partition}`));
			const { partitions } = await daemon.status();
			expect(partitions.reduce((sum, { restarts }) => sum + restarts, 0)).toBeGreaterThan(crashes.size / 3);
			// As many threads and as much memory as after a start without crashes.
			await using quiet = await runDaemon(second.path, { ...config, kafka: { ...config.kafka, group: uniqueName("g") } });
			await waitFor(
				"its threads",
				async () => (await quiet.metric("pockaffe_messages_consumed_total")) === MESSAGES && (await isIdle(quiet)),
			);
			const usual = await threadCount(quiet.child.pid as number);
			const usualMemory = await quiet.metric("process_resident_memory_bytes");
			expect(await quiet.stop()).toBe(0);
			// And the one in reserve, which the other may not have made yet.
			const most = (usual ?? Number.POSITIVE_INFINITY) + 1;
			await waitFor(`${most} threads`, async () => ((await threadCount(daemon.child.pid as number)) ?? 0) <= most);
			expect((await daemon.metric("process_resident_memory_bytes")) / usualMemory).toBeLessThan(1.5);
		} finally {
			expect(await daemon.stop()).toBe(0);
		}
	});
});

/** First times only: a message may be handled again, but none of its key may be handled for the first time out of order. */
async function keysInOrder(file: string): Promise<void> {
	const lines = (await readFile(file, "utf8")).trim().split("\n");
	const seen = new Map<string, number>();
	const known = new Set<string>();
	for (const line of lines) {
		const [key = "", offset = ""] = line.split(" ");
		if (known.has(line)) continue;
		known.add(line);
		expect(Number(offset), `${file}: ${line}`).toBeGreaterThan(seen.get(key) ?? -1);
		seen.set(key, Number(offset));
	}
}

async function isIdle(daemon: DaemonProcess): Promise<boolean> {
	return (await daemon.status()).partitions.every(({ queued, inFlight }) => queued + inFlight === 0);
}

/** Threads of a process that Node started (the client's own are named), where the system tells. */
async function threadCount(pid: number): Promise<number | null> {
	const tasks = await readdir(`/proc/${pid}/task`).catch(() => null);
	if (!tasks) return null;
	const names = await Promise.all(tasks.map((task) => readFile(`/proc/${pid}/task/${task}/comm`, "utf8").catch(() => "")));
	return names.filter((name) => name !== "" && !name.startsWith("rdk:")).length;
}
