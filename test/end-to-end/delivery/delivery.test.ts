/** Everything arrives exactly once in the table, whatever happens to the daemon: the table is compared with the fold of the log. */
import { expect, inject, it } from "vitest";
import type { VerificationReport } from "../../../src/audit/verification/verification-report.ts";
import type { RowFinding } from "../../../src/sink/comparison/table-comparison.ts";
import type { connectDatabase } from "../../../src/sink/database/database.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { type DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { differences, eventLog, eventTable, foldEvents, readTable } from "../../support/daemons/event-log.ts";
import { untilCommitted } from "../../support/kafka/group-offsets.ts";
import { loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const PARTITIONS = 4;

describeOnKafka("delivery", () => {
	it("brings 1,000,000 messages of 100,000 ids into the table, each counted once", async () => {
		await using run = await loadedRun({ count: 1_000_000, ids: 100_000, seed: 11 });
		await using daemon = await runDaemon(run.folder, run.config);
		try {
			await untilCommitted(inject("kafkaBrokers"), run.group, run.topic);
			expect(await daemon.metric("pockaffe_cas_rows_total")).toBe(1_000_000);
			expect(await daemon.metric("pockaffe_messages_consumed_total")).toBe(1_000_000);
			expect(differences(await readTable(run.database, "events"), run.expected)).toEqual([]);
			await verifyFindsWhatIsChanged(run);
		} finally {
			expect(await daemon.stop()).toBe(0);
		}
	});

	it("loses nothing when the daemon is killed again and again", async () => {
		await using run = await loadedRun({ count: 400_000, ids: 50_000, seed: 12 });
		for (const rows of [1, 10_000, 30_000]) {
			const killed = await runDaemon(run.folder, run.config);
			await waitFor(`${rows} rows`, async () => (await rowCount(run)) >= rows);
			expect(await killed.stop("SIGKILL")).toBe(137);
		}
		let daemon: DaemonProcess | undefined;
		try {
			daemon = await runDaemon(run.folder, run.config);
			await untilCommitted(inject("kafkaBrokers"), run.group, run.topic);
			expect(differences(await readTable(run.database, "events"), run.expected)).toEqual([]);
		} finally {
			expect(await daemon?.stop()).toBe(0);
		}
	});
});

interface LoadedRun extends AsyncDisposable {
	readonly folder: string;
	readonly topic: string;
	readonly group: string;
	readonly config: Record<string, unknown>;
	readonly expected: ReturnType<typeof foldEvents>;
	readonly database: ReturnType<typeof connectDatabase>;
}

/** A filled topic, an empty database, a configuration, and what must come of it. */
async function loadedRun({ count, ids, seed }: { count: number; ids: number; seed: number }): Promise<LoadedRun> {
	const folder = await temporaryFolder();
	const db = await createTestDatabase();
	const topic = uniqueName("events");
	const group = uniqueName("delivery");
	const log = { topic, count, ids, seed, partitions: PARTITIONS, wander: true, deletes: 0.02 };
	expect(await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: PARTITIONS }, eventLog(log))).toBe(count);
	const config = {
		kafka: { brokers: [inject("kafkaBrokers")], topics: [topic], group, properties: { "session.timeout.ms": 6000 } },
		handler: { module: "pockaffe:json" },
		database: { url: db.url },
		tables: { events: eventTable },
	};
	const dispose = async () => {
		await db[Symbol.asyncDispose]();
		await folder[Symbol.asyncDispose]();
	};
	return {
		folder: folder.path,
		topic,
		group,
		config,
		expected: foldEvents(eventLog(log)),
		database: db.database,
		[Symbol.asyncDispose]: dispose,
	};
}

/** `verify` beside the running daemon: nothing at first, then one row changed by hand, one deleted, one added, and nothing else. */
async function verifyFindsWhatIsChanged({ folder, database, expected }: LoadedRun): Promise<void> {
	const clean = await pockaffe(["verify", "--json"], { cwd: folder });
	const before = JSON.parse(clean.stdout) as VerificationReport;
	expect(before).toMatchObject({ verified: true, messages: 1_000_000, differences: [], counts: { matched: expected.size, unchecked: 0 } });
	expect(clean.code).toBe(0);
	const [changed, deleted] = [...expected].filter(([, row]) => !row.deleted).map(([id]) => id) as [string, string];
	await database.query("update events set amount = amount + 1 where id = $1", [changed]);
	await database.query("delete from events where id = $1", [deleted]);
	await database.query(
		"insert into events (id, name, kafka_ts, kafka_offset, kafka_partition) select 'by hand', 'x', kafka_ts, kafka_offset, kafka_partition from events limit 1",
	);
	const found = await pockaffe(["verify", "--json"], { cwd: folder });
	expect(found.code).toBe(1);
	const { verified, differences: all } = JSON.parse(found.stdout) as VerificationReport;
	expect(verified).toBe(false);
	expect((all as RowFinding[]).map(({ kind, id, columns }) => [kind, id, columns])).toEqual([
		...[["different", changed, ["amount"]] as const, ["missing", deleted, []] as const].sort(([, a], [, b]) => (a < b ? -1 : 1)),
		["extra", "by hand", []],
	]);
}

async function rowCount({ database }: LoadedRun): Promise<number> {
	const [row] = await database.query("select count(*)::int as rows from events");
	return row?.rows as number;
}
