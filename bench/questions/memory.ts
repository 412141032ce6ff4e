/**
 * Question: is memory bounded? A backlog that never ends, for minutes: a million messages before the daemon starts, and then as many as it
 * takes. RSS, heap and queued bytes every second, and their slope by a line of least squares, without the first
 * quarter of the time. Once, whatever `--repeats` says.
 */
import { systemClock } from "../../src/core/clock.ts";
import { Producer, type ProducerRecord } from "../../src/kafka/producer.ts";
import type { DaemonProcess } from "../../test/support/daemons/daemon-process.ts";
import { differences, eventLog, type FoldedRow, foldingAlong, readTable } from "../../test/support/daemons/event-log.ts";
import { createTopicWith, kafkaAt } from "../../test/support/kafka/load-topic.ts";
import { produceMany } from "../../test/support/kafka/produce-many.ts";
import { type BenchSetting, defineBench } from "../bench.ts";
import { runningDaemon, startDaemon } from "../contenders/daemon-contender.ts";
import { CommittedProgress } from "../measuring/committed-progress.ts";
import { createEventTable } from "../measuring/event-tables.ts";
import { metricOf } from "../measuring/metrics-text.ts";
import { type Servers, startRealServers } from "../measuring/servers.ts";
import { linearFit, median, type Point } from "../measuring/statistics.ts";
import { amount, number } from "../options.ts";
import { type Course, type Measure, Tally } from "../report/figures.ts";

const TOPIC = "bench-memory";
const TABLE = "bench_memory";
const EVERY_MS = 1_000;
const PRODUCED_AT_ONCE = 50_000;
const IDLE_MS = 10;
/** Per partition, some million messages: the log of minutes must not fill the disk. */
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
		ahead: amount("--ahead <count>", "messages that always wait in the topic, besides those that the daemon may hold", 1_000_000),
		ids: number("--ids <count>", "different ids", 100_000),
		partitions: number("--partitions <count>", "partitions", 4),
		connections: number("--connections <count>", "connections to the database", 2),
	},
	async run({ seconds, ahead, ids, partitions, connections }, setting) {
		await using servers = await startRealServers(setting);
		await createTopicWith(servers.brokers, { name: TOPIC, partitions }, RETENTION);
		await createEventTable(servers.db.database, TABLE);
		await using progress = await CommittedProgress.connect(servers.brokers, TABLE, TOPIC, partitions);
		const task = { servers, topic: TOPIC, group: TABLE, table: TABLE, connections };
		const table = new Map<string, FoldedRow>();
		const log = { topic: TOPIC, count: Number.POSITIVE_INFINITY, ids, partitions, seed: 1, wander: false, deletes: 0 };
		await using backlog = await Backlog.start(servers, foldingAlong(eventLog(log), table), ahead);
		const daemon = await startDaemon(task, { handler: { module: "pockaffe:json" } });
		await using running = runningDaemon(daemon);
		const time = new AbortController();
		const keeping = backlog.keep(progress, time.signal);
		keeping.catch(() => {});
		await progress.reached(1, running.ended);
		const samples = await sample(daemon, seconds, setting);
		time.abort(new Error("enough"));
		await keeping;
		const { produced, leastAhead } = backlog;
		await progress.reached(produced, running.ended);
		await running.stop();
		const findings = differences(await readTable(servers.db.database, TABLE), table).map((line) => `memory: ${line}`);
		const figures = figuresOf(samples, seconds);
		const shown = (count: number) => count.toLocaleString("en");
		const notes = [
			`${shown(produced)} messages were produced in all; at least ${shown(leastAhead)} were waiting at any time.`,
			"Slopes are of the last three quarters of the time.",
		];
		return { broker: servers.broker, database: servers.db.version, figures, courses: [courseOf(samples)], notes, findings };
	},
});

/** Messages that wait, and the producer that keeps them coming; use with `await using`. */
class Backlog implements AsyncDisposable {
	produced = 0;
	/** The fewest that were seen waiting. */
	leastAhead: number;
	readonly #producer: Producer;
	readonly #events: Generator<ProducerRecord>;
	readonly #ahead: number;

	private constructor(producer: Producer, events: Generator<ProducerRecord>, ahead: number) {
		this.#producer = producer;
		this.#events = events;
		this.#ahead = ahead;
		this.leastAhead = ahead;
	}

	/** Resolves when the first `ahead` messages are there. */
	static async start({ brokers }: Servers, events: Generator<ProducerRecord>, ahead: number): Promise<Backlog> {
		const backlog = new Backlog(await Producer.connect(kafkaAt(brokers), { lingerMs: 20 }), events, ahead);
		while (backlog.produced < ahead) await backlog.#produceSome();
		return backlog;
	}

	/** Makes up for what the group has committed, until the time is over. */
	async keep(progress: CommittedProgress, ended: AbortSignal): Promise<void> {
		while (!ended.aborted) {
			const committed = (await progress.offsets().catch(() => [])).reduce((sum, offset) => sum + offset, 0);
			const ahead = this.produced - committed;
			this.leastAhead = Math.min(this.leastAhead, ahead);
			if (ahead < this.#ahead) await this.#produceSome();
			else await systemClock.sleep(IDLE_MS, ended).catch(() => {});
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#producer[Symbol.asyncDispose]();
	}

	async #produceSome(): Promise<void> {
		const some = Array.from({ length: PRODUCED_AT_ONCE }, () => this.#events.next().value as ProducerRecord);
		this.produced += await produceMany(this.#producer, some);
	}
}

async function sample(daemon: DaemonProcess, seconds: number, { say }: BenchSetting): Promise<Samples> {
	const lines: Record<string, Point[]> = Object.fromEntries(Object.keys(sampled).map((name) => [name, []]));
	const consumedAt = (text: string) => metricOf(text, "pockaffe_messages_consumed_total") ?? 0;
	const startedAt = performance.now();
	let [before, text] = [0, ""];
	for (let at = 0; at < seconds; ) {
		text = await daemon.metrics();
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
