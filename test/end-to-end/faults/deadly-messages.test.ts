/**
 * Messages that take the whole process with them, and a daemon that is started again each time as systemd or Kubernetes would: in a folder
 * of its own, for a container loses its files.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type MockCluster, startMockCluster } from "../../../src/kafka/mock-cluster.ts";
import { Producer } from "../../../src/kafka/producer.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { kafkaAt } from "../../support/kafka/load-topic.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const TOPIC = "events";
const PARTITIONS = 4;
const MAX_ATTEMPTS = 2;
/** One start that notes nothing, one whose run is noted, and then its attempts. */
const DEATHS = 2 + MAX_ATTEMPTS;

const ways = {
	"kills it": "process.kill(process.pid, 'SIGKILL'); for (;;);",
	"lets V8 abort it, out of memory": "const all = new Map(); for (let i = 0; ; i++) all.set(i, i);",
};

/** A start takes as long as the dead member's session. */
const session = { "session.timeout.ms": 6_000 };

async function scene() {
	const db = await createTestDatabase();
	const cluster = await startMockCluster({ topics: [TOPIC] });
	return {
		db,
		cluster,
		[Symbol.asyncDispose]: async () => {
			await cluster[Symbol.asyncDispose]();
			await db[Symbol.asyncDispose]();
		},
	};
}

/** A start in a new folder. The handler has no other place to remember that it was called before. */
async function start(
	{ db, cluster }: { db: TestDatabase; cluster: MockCluster },
	way: string,
	{ store = "kafka", maxAttempts = MAX_ATTEMPTS, init = "" } = {},
) {
	const folder = await temporaryFolder();
	const source = `
		export async function init({ partition }) { ${init} }
		export async function handleMessage({ key, value }) {
			if (value.toString() === "deadly") { ${way} }
			if (value.toString() === "slow") await new Promise((resolve) => setTimeout(resolve, 20));
			if (value.toString() === "slower") await new Promise((resolve) => setTimeout(resolve, 4_000));
			return { id: key.toString(), fields: { name: value.toString() } };
		}`;
	await writeFile(join(folder.path, "handler.mjs"), source);
	const daemon = await runDaemon(folder.path, {
		kafka: { brokers: cluster.brokers, topics: [TOPIC], group: "g", properties: session },
		handler: { module: "./handler.mjs", maxAttempts, timeoutMs: 60_000 },
		workers: { maxHeapMb: 64 },
		database: { url: db.url },
		tables: { events: { columns: { name: "text" }, create: true } },
		offsets: { store },
	});
	return Object.assign(daemon, {
		end: async () => {
			await daemon[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	});
}

/** `count` messages in each partition; those of `special` are something else than `quick`. */
async function produce({ brokers }: MockCluster, count: number, special: (partition: number, offset: number) => string | null) {
	await using producer = await Producer.connect(kafkaAt(brokers.join()));
	await produceMany(
		producer,
		Array.from({ length: PARTITIONS * count }, (_, index) => {
			const [partition, offset] = [index % PARTITIONS, Math.floor(index / PARTITIONS)];
			return { topic: TOPIC, partition, key: `${partition}-${offset}`, value: special(partition, offset) ?? "quick" };
		}),
	);
}

async function ids(db: TestDatabase): Promise<number> {
	const [row] = await db.database.query("select count(*)::int as n from events").catch(() => [{ n: 0 }]);
	return Number(row?.n);
}

const letters = (db: TestDatabase) =>
	db.database.query('select partition, "offset"::int as offset, reason, attempts, error from pockaffe_dead_letters order by 1, 2');

/** False where the process ended first. */
function lives(daemon: DaemonProcess, until: () => Promise<boolean>): Promise<boolean> {
	const died = daemon.exited().then(() => false);
	return Promise.race([died, waitFor("the table, or the end", until)]);
}

describe("a message that takes the process with it", () => {
	it.each([
		["kills it", "kafka"],
		["kills it", "postgres"],
		["lets V8 abort it, out of memory", "kafka"],
	] as const)(
		"and %s becomes a dead letter after the told number of deaths, and nobody else does (offsets in %s)",
		{},
		async (way, store) => {
			await using parts = await scene();
			await produce(parts.cluster, 40, (partition, offset) => (partition === 1 && offset === 7 ? "deadly" : null));
			let deaths = 0;
			for (;;) {
				const daemon = await start(parts, ways[way], { store });
				try {
					if (!(await lives(daemon, async () => (await ids(parts.db)) === PARTITIONS * 40 - 1 && (await letters(parts.db)).length > 0))) {
						expect(++deaths).toBeLessThanOrEqual(DEATHS);
						continue;
					}
					expect(deaths).toBe(DEATHS);
					expect(await letters(parts.db)).toEqual([
						{
							partition: 1,
							offset: 7,
							reason: "process_died",
							attempts: MAX_ATTEMPTS,
							error: `the process died ${MAX_ATTEMPTS} times while the handler had this message`,
						},
					]);
					expect(daemon.records.map(({ msg }) => msg)).toEqual(
						expect.arrayContaining([expect.stringMatching(/^events\/1 is handled carefully: the process died with offset/)]),
					);
					await daemon.ready();
					expect(await daemon.stop()).toBe(0);
					return;
				} finally {
					await daemon.end();
				}
			}
		},
	);
});

describe("a process that is killed for another reason", () => {
	it("charges no message where an init ends it, beside a slow message", async () => {
		await using parts = await scene();
		await produce(parts.cluster, 1, (partition) => (partition === 0 ? "slower" : null));
		// Behind the longest wait of a message that was charged.
		const later = "await new Promise((resolve) => setTimeout(resolve, 2_500))";
		const init = `if (partition === 1) { ${later}; process.kill(process.pid, 'SIGKILL'); for (;;); }`;
		for (let starts = 0; starts < DEATHS + 1; starts++) {
			const daemon = await start(parts, "", { init });
			try {
				await daemon.exited();
			} finally {
				await daemon.end();
			}
		}
		const daemon = await start(parts, "");
		try {
			await waitFor("every row", async () => (await ids(parts.db)) === PARTITIONS);
			expect(await letters(parts.db)).toEqual([]);
			expect(await daemon.stop()).toBe(0);
		} finally {
			await daemon.end();
		}
	});

	it("charges nobody, however often it is killed under load", async () => {
		await using parts = await scene();
		await produce(parts.cluster, 150, (_, offset) => (offset % 10 === 0 ? "slow" : null));
		for (let kills = 0; kills < 5; kills++) {
			const daemon = await start(parts, "", { maxAttempts: 3 });
			try {
				await waitFor("messages", async () => (await daemon.metric("pockaffe_handler_outcomes_total")) > 0);
				await daemon.stop("SIGKILL");
			} finally {
				await daemon.end();
			}
		}
		const daemon = await start(parts, "", { maxAttempts: 3 });
		try {
			await waitFor("every row", async () => (await ids(parts.db)) === PARTITIONS * 150);
			expect(await letters(parts.db)).toEqual([]);
			expect(await daemon.stop()).toBe(0);
		} finally {
			await daemon.end();
		}
	});
});
