/**
 * A handler that takes its time, over restarts and rebalances: every call is counted against what is committed. A graceful stop and a
 * revocation wait for the calls that run, so nothing is handled twice; nothing is lost; commits follow the calls.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { committedOffsets, untilCommitted } from "../../support/kafka/group-offsets.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { slowness } from "../../support/slowness.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

interface SlowHandler {
	readonly takesMs: number;
	/** It keeps its thread meanwhile. */
	readonly isBusy?: boolean;
	readonly concurrency?: number;
	readonly maxThreads?: number;
	readonly partitions: number;
	readonly count: number;
	/** Calls that begin between two events. */
	readonly between: number;
}

const cases: readonly [what: string, handler: SlowHandler][] = [
	["100 ms, one partition", { takesMs: 100, partitions: 1, count: 60, between: 10 }],
	["100 ms, two partitions on one thread", { takesMs: 100, maxThreads: 1, partitions: 2, count: 60, between: 10 }],
	["100 ms, four at a time, two partitions", { takesMs: 100, concurrency: 4, partitions: 2, count: 640, between: 40 }],
	["5 s, four at a time, two partitions", { takesMs: 5_000, concurrency: 4, partitions: 2, count: 24, between: 4 }],
	["5 s that keep the thread, two partitions", { takesMs: 5_000, isBusy: true, partitions: 2, count: 6, between: 1 }],
];

function sourceOf(notes: string, { takesMs, isBusy }: SlowHandler): string {
	const wait = isBusy
		? `for (const end = performance.now() + ${takesMs}; performance.now() < end; );`
		: `await new Promise((resolve) => setTimeout(resolve, ${takesMs}));`;
	return `
		import { openSync, writeSync } from "node:fs";
		const notes = openSync(${JSON.stringify(notes)}, "a");
		export ${isBusy ? "" : "async"} function handleMessage({ partition, offset, key }) {
			writeSync(notes, partition + "@" + offset + "\\n");
			${wait}
			return { id: key.toString(), fields: { name: "n" + offset } };
		}`;
}

async function open(handler: SlowHandler) {
	const folder = await temporaryFolder();
	const db = await createTestDatabase();
	const [topic, group, brokers] = [uniqueName("slow"), uniqueName("g"), inject("kafkaBrokers")];
	const { partitions, count } = handler;
	const recordsFrom = (first: number, many = count) =>
		Array.from({ length: many }, (_, i) => ({ topic, partition: i % partitions, key: `k${first + i}`, value: "v" }));
	await loadTopic(brokers, { name: topic, partitions }, recordsFrom(0));
	const notes = join(folder.path, "notes");
	await writeFile(notes, "");
	await writeFile(join(folder.path, "handler.mjs"), sourceOf(notes, handler));
	const config = {
		kafka: { brokers: [brokers], topics: [topic], group, properties: { "session.timeout.ms": 6_000 } },
		handler: { module: "./handler.mjs", concurrency: handler.concurrency ?? 1 },
		workers: { maxThreads: handler.maxThreads ?? 0 },
		database: { url: db.url },
		tables: { events: { columns: { name: "text" }, create: true } },
		drain: { timeoutMs: 8_000 },
		offsets: { commitIntervalMs: 100 },
	};
	const calls = async () => (await readFile(notes, "utf8")).trim().split("\n").filter(Boolean);
	return {
		run: () => runDaemon(folder.path, config),
		async produceMore(many: number): Promise<void> {
			await using producer = await Producer.connect(kafkaAt(brokers));
			await produceMany(producer, recordsFrom(count, many));
		},
		calls,
		async moreCalls(count: number): Promise<void> {
			const before = (await calls()).length;
			await waitFor(`${count} more calls`, async () => (await calls()).length >= before + count);
		},
		committed: async () => (await committedOffsets(brokers, group, topic)).map((each) => each ?? 0),
		allCommitted: () => untilCommitted(brokers, group, topic),
		rows: async () => (await db.database.query("select count(*)::int as rows from events"))[0]?.rows as number,
		async [Symbol.asyncDispose]() {
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

/** The daemon handles something of every partition that it may have. */
async function hasJoined(daemon: DaemonProcess): Promise<void> {
	await waitFor("an assignment", async () => (await daemon.status()).partitions.length > 0);
}

describeOnKafka("a slow handler", () => {
	it.each(cases)("of %s: over restarts the successor handles nothing again, and nothing is lost", async (_, handler) => {
		await using test = await open(handler);
		for (let restart = 0; restart < 2; restart++) {
			await using daemon = await test.run();
			await test.moreCalls(handler.between);
			expect(await daemon.stop()).toBe(0);
			const calls = await test.calls();
			expect(new Set(calls).size).toBe(calls.length);
			expect((await test.committed()).reduce((sum, each) => sum + each)).toBe(calls.length);
			expect(await test.rows()).toBe(calls.length);
		}
		await using daemon = await test.run();
		await test.allCommitted();
		expect(await daemon.stop()).toBe(0);
		expect([(await test.calls()).length, await test.rows()]).toEqual([handler.count, handler.count]);
	});

	it.each(cases.slice(2))("of %s: a member that joins and one that leaves repeat nothing", async (_, handler) => {
		await using test = await open(handler);
		await using first = await test.run();
		await test.moreCalls(handler.between);
		await using second = await test.run();
		await hasJoined(second);
		// On a busy machine the first may have handled all there was by then.
		const more = 2 * handler.between;
		await test.produceMore(more);
		await test.moreCalls(handler.between);
		expect(await first.stop()).toBe(0);
		await test.allCommitted();
		expect(await second.stop()).toBe(0);
		const calls = await test.calls();
		expect([calls.length, new Set(calls).size, await test.rows()]).toEqual(Array(3).fill(handler.count + more));
	});

	it("of 100 ms: its commits follow its calls, and a kill repeats little", async () => {
		await using test = await open({ takesMs: 100, partitions: 1, count: 150, between: 0 });
		await using killed = await test.run();
		await test.moreCalls(60);
		await killed.stop("SIGKILL");
		const before = (await test.calls()).length;
		expect(await test.committed()).toEqual([expect.any(Number)]);
		// A part's time, a commit's interval and a poll: well below a second of calls, where there was none committed of 60 before. A busy
		// machine takes longer, and calls of 100 ms don't.
		const few = Math.min(12 * (await slowness()), 40);
		const uncommitted = before - ((await test.committed())[0] as number);
		expect(uncommitted).toBeLessThan(few);
		await using successor = await test.run();
		await test.allCommitted();
		expect(await successor.stop()).toBe(0);
		const calls = await test.calls();
		// What comes again is what was not committed, and nothing else.
		expect([calls.length, new Set(calls).size, await test.rows()]).toEqual([150 + uncommitted, 150, 150]);
	});
});
