/**
 * A stage that doesn't keep up while a backlog waits: the partitions behind it are paused with no more in hand than the limits allow, the
 * others end their logs, and once it goes on everything arrives.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const PARTITIONS = 3;
const MESSAGES = 4_000;
const SLOW = 0;
const MAX_QUEUED = 3_000;
/** A poll is not cut short where it goes over the share. */
const A_POLL = 1_000;

/** Rows of partition 0 go into a table of their own; `setup` is the handler's first lines. */
const handler = (setup: string, onSlow: string) => `
	${setup}
	export async function handleMessage({ key, partition }) {
		if (partition === ${SLOW}) { ${onSlow} }
		return { table: partition === ${SLOW} ? "slow" : "events", id: key.toString(), fields: { name: "n" } };
	}`;

const gate = `
	import { existsSync } from "node:fs";
	const opened = new URL("./opened", import.meta.url);
	const wait = () => new Promise((resolve) => setTimeout(resolve, 20));`;

interface Case {
	readonly source: string;
	/** Makes the stage stand still; what it resolves with lets it go on. */
	readonly hold: (scene: { url: string; folder: string }) => Promise<() => Promise<unknown>>;
	/** What becomes of the slow partition's messages. */
	readonly letters: number;
}

async function lock(url: string, table: string): Promise<() => Promise<unknown>> {
	const holder = connectDatabase({ url, connections: 1, clock: systemClock });
	await holder.query("begin");
	await holder.query(`lock table ${table}`);
	return async () => {
		await holder.query("rollback");
		await holder.close();
	};
}

const cases: Record<string, Case> = {
	"a handler": {
		source: handler(gate, "while (!existsSync(opened)) await wait();"),
		hold:
			async ({ folder }) =>
			() =>
				writeFile(join(folder, "opened"), ""),
		letters: 0,
	},
	"the database, for one table": { source: handler("", ""), hold: ({ url }) => lock(url, "slow"), letters: 0 },
	"the target of dead letters": {
		source: handler("", 'throw new Error("bad");'),
		hold: ({ url }) => lock(url, "pockaffe_dead_letters"),
		letters: MESSAGES,
	},
};

describeOnKafka("a stage that stands still", () => {
	it.each(Object.entries(cases))("%s: holds up its own partition alone, within the limits", async (_name, { source, hold, letters }) => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, brokers] = [uniqueName("pressure"), inject("kafkaBrokers")];
		await loadTopic(
			brokers,
			{ name: topic, partitions: PARTITIONS },
			Array.from({ length: PARTITIONS * MESSAGES }, (_, i) => ({
				topic,
				partition: i % PARTITIONS,
				key: `k${i}`,
				value: "x".repeat(100),
			})),
		);
		await writeFile(join(folder.path, "handler.mjs"), source);
		const config = {
			kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
			handler: { module: "./handler.mjs", maxAttempts: 1, timeoutMs: 110_000 },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true }, slow: { columns: { name: "text" }, create: true } },
			workers: { maxQueuedMessages: MAX_QUEUED },
			deadLetters: { breaker: { share: 1, consecutive: 0 } },
			offsets: { commitIntervalMs: 100 },
		};
		await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(config));
		// Tables have to be there to be locked.
		await db.database.query((await pockaffe(["schema", "-c", "pockaffe.yaml"], { cwd: folder.path })).stdout);
		const goOn = await hold({ url: db.url, folder: folder.path });
		await using daemon = await runDaemon(folder.path, config);
		const partitions = async () => (await daemon.status()).partitions;
		const isThrough = ({ committed }: { committed: number | null }) => committed === MESSAGES;
		const others = async () => (await partitions()).filter(({ partition }) => partition !== SLOW);
		await waitFor(
			"the other partitions' ends",
			async () => (await others()).length === PARTITIONS - 1 && (await others()).every(isThrough),
		);
		const slow = await waitFor("the pause", async () =>
			(await partitions()).find(({ partition, state }) => partition === SLOW && state === "paused"),
		);
		expect(slow.committed).toBe(0);
		expect(slow.queued + slow.inFlight).toBeLessThanOrEqual(MAX_QUEUED + A_POLL);
		expect(await daemon.metric("pockaffe_write_queue_rows")).toBeLessThanOrEqual(MAX_QUEUED + A_POLL);

		await goOn();
		await waitFor("the slow partition's end", async () => (await partitions()).every(isThrough));
		const [rows] = await db.database.query(
			"select (select count(*) from events)::int as events, (select count(*) from slow)::int as slow, (select count(*) from pockaffe_dead_letters)::int as letters",
		);
		expect(rows).toEqual({ events: (PARTITIONS - 1) * MESSAGES, slow: MESSAGES - letters, letters });
		expect(await daemon.stop()).toBe(0);
	});
});
