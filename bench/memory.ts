/**
 * Question: is memory bounded? A backlog that never ends, for minutes: messages are produced as fast as the daemon takes them, always
 * some hundred thousand ahead. RSS, heap and queued bytes every second, and their slope by a line of least squares, without the first
 * quarter of the time. Once, whatever `--repeats` says.
 */
import { systemClock } from "../src/core/clock.ts";
import { Producer } from "../src/kafka/producer.ts";
import type { DaemonProcess } from "../test/support/daemon-process.ts";
import { differences, eventLog, type FoldedRow, foldingAlong, readTable } from "../test/support/event-log.ts";
import { createTopicWith, kafkaAt } from "../test/support/load-topic.ts";
import { type BenchSetting, defineBench } from "./bench.ts";
import { CommittedProgress } from "./committed-progress.ts";
import { runningDaemon, startDaemon } from "./daemon-contender.ts";
import { createEventTable } from "./event-tables.ts";
import { type Course, type Measure, Tally } from "./figures.ts";
import { metricOf } from "./metrics-text.ts";
import { amount, number } from "./options.ts";
import { type Servers, startRealServers } from "./servers.ts";
import { linearFit, median, type Point } from "./statistics.ts";

const TOPIC = "bench-memory";
const EVERY_MS = 1_000;
/** Messages ahead of the daemon: more than it may take at once, and far less than the topic keeps. */
const AHEAD = 500_000;
const PRODUCED_AT_ONCE = 20_000;
/** Per partition, about two million messages: the log of minutes must not fill the disk. */
const RETENTION = { "retention.bytes": String(256 * 2 ** 20), "segment.bytes": String(32 * 2 ** 20) };
const SETTLING_SHARE = 0.25;
const MEBI = 2 ** 20;

/** Metrics that are sampled, by their name for people; all in bytes. */
const sampled = {
	RSS: "process_resident_memory_bytes",
	"heap of the main thread": "nodejs_heap_size_used_bytes",
	"outside the heap": "nodejs_external_memory_bytes",
	"prefetched by librdkafka": "pockaffe_kafka_fetch_queue_bytes",
	"with the writer": "pockaffe_write_queue_bytes",
} as const;

interface Samples {
	/** Seconds since the first, then MiB. */
	readonly lines: Readonly<Record<string, Point[]>>;
	readonly consumed: number;
}

export const memoryBench = defineBench({
	name: "memory",
	question: "RSS, heap and queues over minutes of backlog",
	options: {
		seconds: amount("--seconds <count>", "how long", 600),
		ids: number("--ids <count>", "different ids", 100_000),
		partitions: number("--partitions <count>", "partitions", 4),
		connections: number("--connections <count>", "connections to the database", 2),
	},
	async run({ seconds, ids, partitions, connections }, setting) {
		await using servers = await startRealServers(setting);
		await createTopicWith(servers.brokers, { name: TOPIC, partitions }, RETENTION);
		await createEventTable(servers.db.database, TABLE);
		await using progress = await CommittedProgress.connect(servers.brokers, TABLE, TOPIC, partitions);
		const task = { servers, topic: TOPIC, group: TABLE, table: TABLE, connections };
		const daemon = await startDaemon(task, { handler: { module: "pockaffe:json" } });
		await using running = runningDaemon(daemon);
		const table = new Map<string, FoldedRow>();
		const log = { topic: TOPIC, count: Number.POSITIVE_INFINITY, ids, partitions, seed: 1, wander: false, deletes: 0 };
		const time = new AbortController();
		const producing = produceAhead(servers, foldingAlong(eventLog(log), table), progress, time.signal);
		producing.catch(() => {});
		await progress.reached(1, running.ended);
		const samples = await sample(daemon, seconds, setting);
		time.abort(new Error("enough"));
		const produced = await producing;
		await progress.reached(produced, running.ended);
		await running.stop();
		const findings = differences(await readTable(servers.db.database, TABLE), table).map((line) => `memory: ${line}`);
		const figures = figuresOf(samples, seconds);
		const notes = [`${produced.toLocaleString("en")} messages were produced in all. Slopes are of the last three quarters of the time.`];
		return { broker: servers.broker, database: servers.db.version, figures, courses: [courseOf(samples)], notes, findings };
	},
});

const TABLE = "bench_memory";

/** Keeps the topic ahead of the group until the time is over; resolves with how many were produced. */
async function produceAhead(
	{ brokers }: Servers,
	events: Generator<Parameters<Producer["produce"]>[0]>,
	progress: CommittedProgress,
	ended: AbortSignal,
): Promise<number> {
	await using producer = await Producer.connect(kafkaAt(brokers), { lingerMs: 20 });
	let produced = 0;
	while (!ended.aborted) {
		const committed = (await progress.offsets().catch(() => [])).reduce((sum, offset) => sum + offset, 0);
		if (produced - committed >= AHEAD) {
			await systemClock.sleep(10, ended).catch(() => {});
			continue;
		}
		const some = Array.from({ length: PRODUCED_AT_ONCE }, () => events.next().value);
		produced += await producer.produceMany(some);
	}
	return produced;
}

async function sample(daemon: DaemonProcess, seconds: number, { say }: BenchSetting): Promise<Samples> {
	const url = await daemon.url();
	const lines: Record<string, Point[]> = Object.fromEntries(Object.keys(sampled).map((name) => [name, []]));
	const consumedAt = (text: string) => metricOf(text, "pockaffe_messages_consumed_total") ?? 0;
	const startedAt = performance.now();
	let [before, text] = [0, ""];
	for (let at = 0; at < seconds; ) {
		text = await (await fetch(`${url}/metrics`)).text();
		at = (performance.now() - startedAt) / 1000;
		if (before === 0) before = consumedAt(text);
		for (const [name, metric] of Object.entries(sampled)) {
			const bytes = metricOf(text, metric);
			if (bytes !== null) lines[name]?.push([at, bytes / MEBI]);
		}
		if (Math.floor(at) % 60 === 0) say(`${Math.floor(at)} s, RSS ${Math.round(lines.RSS?.at(-1)?.[1] ?? 0)} MiB`);
		await systemClock.sleep(EVERY_MS);
	}
	return { lines, consumed: consumedAt(text) - before };
}

function figuresOf({ lines, consumed }: Samples, seconds: number) {
	const tally = new Tally();
	const note = (subject: string, label: string, unit: string, value: number) => {
		const measure: Measure = { label, unit, digits: 1 };
		tally.note(subject, measure, value);
	};
	for (const [subject, points] of Object.entries(lines)) {
		const settled = points.filter(([at]) => at >= seconds * SETTLING_SHARE);
		const values = settled.map(([, mib]) => mib);
		note(subject, "median MiB", "MiB", median(values));
		note(subject, "most MiB", "MiB", Math.max(...points.map(([, mib]) => mib)));
		note(subject, "slope MiB/min", "MiB/min", linearFit(settled).slope * 60);
	}
	tally.note("messages received", { label: "messages/s", unit: "1/s", digits: 0 }, consumed / seconds);
	return tally.figures();
}

function courseOf({ lines }: Samples): Course {
	return { title: "memory under a backlog", x: "s", y: "MiB", lines: Object.entries(lines).map(([name, points]) => ({ name, points })) };
}
