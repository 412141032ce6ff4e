/**
 * Question: how many messages a second does the daemon bring from a preloaded topic into a table, at what CPU per message, and how
 * does that compare with a server that writes as many rows from numbers it makes itself, with the same statement form, rows per
 * statement and connections?
 */
import { cpus } from "node:os";
import type { Command } from "commander";
import { systemClock } from "../src/core/clock.ts";
import { Producer } from "../src/kafka/producer.ts";
import { connectDatabase, type Database } from "../src/sink/database.ts";
import { type DaemonProcess, runDaemon } from "../test/support/daemon-process.ts";
import { differences, type EventLogOptions, eventLog, eventTable, foldEvents, readTable } from "../test/support/event-log.ts";
import { kafkaAt, loadTopic } from "../test/support/load-topic.ts";
import { waitFor } from "../test/support/wait-for.ts";
import { printFigures, round, say } from "./report.ts";
import { type Servers, startServers } from "./servers.ts";

interface PipelineOptions {
	readonly messages?: string;
	readonly ids: string;
	readonly embedded?: boolean;
}

const TOPIC = "bench-events";
const PARTITIONS = 4;
const CONNECTIONS = 2;
const ROWS_PER_STATEMENT = 5_000;
/** The mock cluster keeps 5 MiB a partition: more would fall out of its log before it is read. */
const MESSAGES = { "real Kafka": 1_000_000, "mock cluster": 60_000 };

export function registerPipeline(program: Command): void {
	program
		.command("pipeline")
		.description("preloaded topic → pockaffe:json → table")
		.option("--messages <count>", "messages in the topic; default 1,000,000, on the embedded broker 60,000")
		.option("--ids <count>", "different ids", "100000")
		.option("--embedded", "the embedded broker even where a real Kafka can be had")
		.action(measurePipeline);
}

async function measurePipeline(options: PipelineOptions): Promise<void> {
	await using servers = await startServers([TOPIC], options.embedded);
	const count = Number(options.messages ?? MESSAGES[servers.broker]);
	const log = { topic: TOPIC, count, ids: Number(options.ids), partitions: PARTITIONS, seed: 1, wander: false, deletes: 0 };
	say(`loading ${count} messages of ${log.ids} ids into ${PARTITIONS} partitions of a ${servers.broker}`);
	await load(servers, log);
	const database = connectDatabase({ url: servers.databaseUrl, connections: CONNECTIONS, clock: systemClock });
	try {
		const ceilings = [await ceiling(database, log)];
		const daemon = await measureDaemon(servers, log);
		const wrong = differences(await readTable(database, "events"), foldEvents(eventLog(log)));
		ceilings.push(await ceiling(database, log));
		report({ broker: servers.broker, log, ceilings, wrong, ...daemon });
	} finally {
		await database.close();
	}
}

async function load({ broker, brokers }: Servers, log: EventLogOptions): Promise<void> {
	if (broker === "real Kafka") {
		await loadTopic(brokers, { name: TOPIC, partitions: PARTITIONS }, eventLog(log));
		return;
	}
	await using producer = await Producer.connect(kafkaAt(brokers), { lingerMs: 20 });
	await producer.produceMany(eventLog(log));
}

/** Rows a second that the server reaches with rows of its own making: no client data, no versions to lose, the same guard. */
async function ceiling(database: Database, { count, ids }: EventLogOptions): Promise<number> {
	await database.query("drop table if exists ceiling");
	await database.query(
		"create table ceiling (id text primary key, name text, amount bigint, note text, kafka_ts bigint not null, kafka_offset bigint not null, kafka_partition int4 not null, deleted boolean not null default false)",
	);
	// 7919 is prime to any number of ids that is not its multiple: no id comes twice in a statement.
	const statement = `
		insert into ceiling as t (id, name, amount, note, kafka_ts, kafka_offset, kafka_partition, deleted)
		select 'id-' || (i * 7919 % ${ids}), 'name ' || i, i * 7, repeat('x', 95), 1767225600000 + i, i, 0, false
		from generate_series($1::bigint, $2::bigint) as i order by 1
		on conflict (id) do update set name = excluded.name, amount = excluded.amount, note = excluded.note, kafka_ts = excluded.kafka_ts,
			kafka_offset = excluded.kafka_offset, kafka_partition = excluded.kafka_partition, deleted = excluded.deleted
		where (t.kafka_ts, t.kafka_offset, t.kafka_partition) < (excluded.kafka_ts, excluded.kafka_offset, excluded.kafka_partition)`;
	const rows = Math.min(ROWS_PER_STATEMENT, ids);
	let next = 0;
	const write = async () => {
		while (next < count) {
			const from = next;
			next += rows;
			await database.query(statement, [String(from), String(Math.min(count, from + rows) - 1)]);
		}
	};
	const startedAt = performance.now();
	await Promise.all(Array.from({ length: CONNECTIONS }, write));
	return (count / (performance.now() - startedAt)) * 1000;
}

interface DaemonFigures {
	readonly seconds: number;
	readonly cpuSeconds: number;
	readonly rssMb: number;
	readonly results: Record<string, number>;
}

/** From the first message that the running daemon receives to the last committed offset. */
async function measureDaemon({ folder, brokers, databaseUrl: url }: Servers, { count }: EventLogOptions): Promise<DaemonFigures> {
	const daemon = await runDaemon(folder, {
		kafka: { brokers: brokers.split(","), topics: [TOPIC], group: "bench" },
		handler: { module: "pockaffe:json" },
		database: { url, connections: CONNECTIONS },
		tables: { events: eventTable },
		batch: { maxRows: ROWS_PER_STATEMENT },
		offsets: { commitIntervalMs: 100 },
	});
	try {
		await waitFor("the first message", async () => (await daemon.metric("pockaffe_messages_consumed_total")) > 0, 60_000);
		const startedAt = performance.now();
		const cpuBefore = await daemon.metric("process_cpu_seconds_total");
		await waitFor("the last commit", async () => (await committed(daemon)) >= count, 600_000);
		const seconds = (performance.now() - startedAt) / 1000;
		const cpuSeconds = (await daemon.metric("process_cpu_seconds_total")) - cpuBefore;
		const rssMb = (await daemon.metric("process_resident_memory_bytes")) / 2 ** 20;
		const results: Record<string, number> = {};
		for (const result of ["inserted", "updated", "stale", "coalesced"])
			results[result] = await daemon.metric("pockaffe_cas_rows_total", `result="${result}"`);
		return { seconds, cpuSeconds, rssMb, results };
	} finally {
		await daemon.stop();
	}
}

async function committed(daemon: DaemonProcess): Promise<number> {
	const { partitions } = await daemon.status();
	return partitions.reduce((sum, partition) => sum + (partition.committed ?? 0), 0);
}

function report(run: DaemonFigures & { broker: string; log: EventLogOptions; ceilings: number[]; wrong: string[] }): void {
	const { log, seconds, cpuSeconds, rssMb, results, ceilings, wrong, broker } = run;
	const perSecond = log.count / seconds;
	const ceilingPerSecond = ceilings.reduce((sum, each) => sum + each, 0) / ceilings.length;
	const figures = {
		question: "pipeline",
		broker,
		messages: log.count,
		ids: log.ids,
		partitions: log.partitions,
		cores: cpus().length,
		seconds: round(seconds, 2),
		messagesPerSecond: Math.round(perSecond),
		cpuMicrosPerMessage: round((cpuSeconds * 1e6) / log.count, 2),
		rssMb: Math.round(rssMb),
		...results,
		serverRowsPerSecond: Math.round(ceilingPerSecond),
		serverRowsPerSecondBeforeAndAfter: ceilings.map(Math.round),
		ratio: round(perSecond / ceilingPerSecond, 2),
		tableEqualsFold: wrong.length === 0,
	};
	for (const line of wrong) say(line);
	printFigures(figures);
}
