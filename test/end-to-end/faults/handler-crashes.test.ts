/** The rows of the crash matrix that matter most, through the daemon with a real Kafka: all at once, each in a partition of its own. */
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { ClusterInspector } from "../../../src/kafka/topics.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const COUNT = 50;
const FAILS_AT = 20;

/** A partition's way to fail, the reason of its restart (null: a failed attempt, no restart) and the kind of its report. */
const rows: readonly [what: string, body: string, restart: string | null, kind: string][] = [
	["throws", 'throw new Error("boom")', null, "exception"],
	["rejects", 'return Promise.reject(new Error("boom"))', null, "exception"],
	["returns what can't be cloned", 'return { id: "x", fields: { name: () => {} } }', null, "bad_outcome"],
	["uncaught", "return new Promise(() => setTimeout(() => { throw new Error() }))", "exception", "exception"],
	["unhandled", "Promise.reject(new Error()); return new Promise(() => {})", "exception", "exception"],
	["exits", "process.exit(1)", "exit", "exit"],
	["out of memory", "const all = []; for (;;) all.push(new Array(1e6).fill(Math.random()))", "out_of_memory", "out_of_memory"],
	["busy loop", "for (;;);", "timeout", "timeout"],
];
/** The last partition's handler never fails. */
const CLEAN = rows.length;

function recordsOf(topic: string, partitions: number) {
	return Array.from({ length: partitions * COUNT }, (_, index) => {
		const [partition, offset] = [index % partitions, Math.floor(index / partitions)];
		return { topic, partition, key: `${partition}-${offset % 10}`, value: String(offset) };
	});
}

/** Each id has the last of its messages. */
async function tableIsExact({ database }: TestDatabase, partitions: number): Promise<void> {
	const stored = await database.query("select id, name, kafka_offset::int as offset from events order by kafka_partition, kafka_offset");
	expect(stored).toEqual(
		Array.from({ length: partitions * 10 }, (_, index) => {
			const [partition, last] = [Math.floor(index / 10), index % 10];
			return { id: `${partition}-${last}`, name: String(COUNT - 10 + last), offset: COUNT - 10 + last };
		}),
	);
}

describeOnKafka("crashes through the daemon", () => {
	it("end in the same table, each with its reason, its attempt and its partition alone", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group, brokers] = [uniqueName("crashes"), uniqueName("g"), inject("kafkaBrokers")];
		const partitions = rows.length + 1;
		await loadTopic(brokers, { name: topic, partitions }, recordsOf(topic, partitions));
		const source = `
			import { existsSync, writeFileSync } from "node:fs";
			const ways = [${rows.map(([, body]) => `() => { ${body} }`).join(",\n")}];
			export function handleMessage({ partition, offset, key, value }) {
				const mark = ${JSON.stringify(folder.path)} + "/failed-" + partition;
				if (offset === ${FAILS_AT} && partition < ${CLEAN} && !existsSync(mark)) {
					writeFileSync(mark, "");
					return ways[partition]();
				}
				return { id: key.toString(), fields: { name: value.toString() } };
			}`;
		await writeFile(join(folder.path, "handler.mjs"), source);
		await using daemon = await runDaemon(folder.path, {
			kafka: { brokers: [brokers], topics: [topic], group },
			handler: { module: "./handler.mjs", timeoutMs: 5_000, retryBackoffMs: 1, maxAttempts: 3 },
			supervisor: { minBackoffMs: 1, maxBackoffMs: 10 },
			workers: { maxHeapMb: 64 },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
			offsets: { commitIntervalMs: 100 },
		});
		try {
			await using inspector = await ClusterInspector.connect(kafkaAt(brokers), systemClock, group);
			await waitFor(
				"every offset to be committed",
				async () => (await inspector.groupOffsets([topic])).every(({ committed }) => committed === COUNT),
				90_000,
			);
			await tableIsExact(db, partitions);
			expect(await daemon.metric("pockaffe_dead_letters_total")).toBe(0);
			const status = await daemon.status();
			for (const [partition, [what, , restart, kind]] of rows.entries()) {
				const { restarts, failures } = status.partitions[partition] as (typeof status.partitions)[number];
				expect([what, restarts], what).toEqual([what, restart === null ? 0 : 1]);
				expect(failures, what).toMatchObject([{ kind, attempt: 1, coordinates: { topic, partition, offset: FAILS_AT } }]);
				const counted = await daemon.metric("pockaffe_worker_restarts_total", `partition="${partition}",reason="${restart}"`);
				expect([what, counted]).toEqual([what, restart === null ? 0 : 1]);
			}
			expect(status.partitions[CLEAN]).toMatchObject({ restarts: 0, attempts: 0, failures: [] });
		} finally {
			expect(await daemon.stop()).toBe(0);
		}
	});

	it.each(["dead-letter", "skip"])("of one message end with it (%s): ready again, though no other message comes", async (onPoison) => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, brokers] = [uniqueName("poison"), inject("kafkaBrokers")];
		await loadTopic(brokers, { name: topic, partitions: 1 }, [{ topic, key: "a", value: "poison" }]);
		await writeFile(join(folder.path, "handler.mjs"), 'export const handleMessage = () => { throw new Error("always"); };');
		await using daemon = await runDaemon(folder.path, {
			kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
			handler: { module: "./handler.mjs", maxAttempts: 4, retryBackoffMs: 300, onPoison },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
			offsets: { commitIntervalMs: 20 },
		});
		const loop = await waitFor("the crash loop", async () => (await daemon.notReady()).find(({ code }) => code === "crash_loop"));
		expect(loop).toMatchObject({ topic, partition: 0, message: expect.stringMatching(/^[234] failures in a row: always/) });
		await waitFor("the commit", async () => (await daemon.status()).partitions[0]?.committed === 1);
		await daemon.ready();
		expect(await daemon.metric("pockaffe_not_ready_reasons")).toBe(0);
		expect(await daemon.stop()).toBe(0);
	});

	it("that take the whole process commit nothing wrong: the next start ends in the same table", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group, brokers] = [uniqueName("native"), uniqueName("g"), inject("kafkaBrokers")];
		await loadTopic(brokers, { name: topic, partitions: 2 }, recordsOf(topic, 2));
		// A native crash of a handler's addon, as the system sees it.
		const source = (crashes: boolean) => `
			export function handleMessage({ partition, offset, key, value }) {
				if (${crashes} && partition === 0 && offset === ${FAILS_AT}) process.kill(process.pid, "SIGSEGV");
				return { id: key.toString(), fields: { name: value.toString() } };
			}`;
		await writeFile(join(folder.path, "handler.mjs"), source(true));
		const config = {
			kafka: { brokers: [brokers], topics: [topic], group, properties: { "session.timeout.ms": 6_000 } },
			handler: { module: "./handler.mjs" },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
			offsets: { commitIntervalMs: 20 },
		};
		await using first = await runDaemon(folder.path, config);
		await first.exited();
		expect(first.child.signalCode).toBe("SIGSEGV");
		await using inspector = await ClusterInspector.connect(kafkaAt(brokers), systemClock, group);
		const [crashed] = await inspector.groupOffsets([topic]);
		expect(crashed?.committed ?? 0).toBeLessThanOrEqual(FAILS_AT);
		await writeFile(join(folder.path, "handler.mjs"), source(false));
		await using second = await runDaemon(folder.path, config);
		try {
			const isDone = async () => (await inspector.groupOffsets([topic])).every(({ committed }) => committed === COUNT);
			await waitFor("every offset to be committed", isDone);
			await tableIsExact(db, 2);
		} finally {
			expect(await second.stop()).toBe(0);
		}
	});

	it("parked for good go on from the failing offset once what the handler imports is replaced", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, brokers] = [uniqueName("parked"), inject("kafkaBrokers")];
		await loadTopic(brokers, { name: topic, partitions: 2 }, recordsOf(topic, 2));
		const path = (name: string) => join(folder.path, name);
		await writeFile(
			path("handler.mjs"),
			'import { convert } from "./convert.mjs";\nexport const handleMessage = ({ partition, offset, key, value }) => ({ id: key.toString(), fields: { name: convert(partition, offset, value) } });',
		);
		await writeFile(
			path("convert.mjs"),
			`export function convert(partition, offset, value) { if (partition === 0 && offset === ${FAILS_AT}) throw new Error("not yet"); return value.toString(); }`,
		);
		await using daemon = await runDaemon(folder.path, {
			kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
			handler: { module: "./handler.mjs", maxAttempts: 2, retryBackoffMs: 1, onPoison: "park" },
			// By itself it would be tried again in ten minutes.
			supervisor: { maxBackoffMs: 600_000 },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
			offsets: { commitIntervalMs: 20 },
		});
		try {
			const committed = async () => (await daemon.status()).partitions.map((each) => each.committed).join();
			await waitFor("the park", async () => (await daemon.status()).partitions[0]?.state === "parked");
			await waitFor("the other partition", async () => (await committed()) === `${FAILS_AT},${COUNT}`);
			await writeFile(path("convert.mjs.new"), "export const convert = (partition, offset, value) => value.toString();");
			await rename(path("convert.mjs.new"), path("convert.mjs"));
			await waitFor("the rest", async () => (await committed()) === `${COUNT},${COUNT}`);
			await tableIsExact(db, 2);
			expect((await daemon.status()).partitions[1]).toMatchObject({ restarts: 0, failures: [] });
		} finally {
			expect(await daemon.stop()).toBe(0);
		}
	});
});
