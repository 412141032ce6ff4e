/**
 * Question: how long does a message take from its producer to the handler, and to a durable row? At a steady rate, each message a row of
 * its own; on a quiet topic one every 20 ms. Times are of one clock, the machine's monotonic one: noted by the producer in the value, by
 * the handler in the row, and by another session that looks for the row. Beside it the server's clock within the statement: the
 * commit lies between the two.
 */
import { systemClock } from "../../src/core/clock.ts";
import type { Database } from "../../src/sink/database/database.ts";
import type { LogEvent } from "../../test/support/daemons/event-log.ts";
import { loadTopic } from "../../test/support/kafka/load-topic.ts";
import { SteadyLoad } from "../../test/support/kafka/steady-load.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { defineBench } from "../bench.ts";
import { handlerFile, startDaemon } from "../contenders/daemon-contender.ts";
import { type Servers, startRealServers } from "../measuring/servers.ts";
import { quantile } from "../measuring/statistics.ts";
import { VisibleRows, wallClockOffsetMs } from "../measuring/visible-rows.ts";
import { amount, number, numbers } from "../options.ts";
import { type Measure, Tally } from "../report/figures.ts";

const TICK_MS = 1;
const QUIET_PER_SECOND = 50;
/**
 * A look costs the machine some tenths of a millisecond: more often where little else runs. 7 is prime to any usual number of partitions.
 */
const LOOKS = { quiet: { everyMs: 1, step: 1 }, busy: { everyMs: 4, step: 7 } };
const BUSY_PER_SECOND = 5_000;
const WARM_UP_MS = 3_000;
const shares = [
	["p50", 0.5],
	["p99", 0.99],
	["p99.9", 0.999],
] as const;
const table = { id: { column: "id", type: "bigint" }, columns: { produced: "bigint", handled: "bigint" }, create: false };

interface Load {
	readonly name: string;
	readonly perSecond: number;
	readonly tickMs: number;
}

export const latencyBench = defineBench({
	name: "latency",
	question: "from the producer to the handler, and to a durable row, at a steady rate",
	options: {
		rates: numbers("--rates <counts>", "messages a second, measured after the quiet topic", [100, 1_000, 10_000]),
		seconds: amount("--seconds <count>", "seconds for each rate", 30),
		partitions: number("--partitions <count>", "partitions", 4),
		connections: number("--connections <count>", "connections to the database", 2),
	},
	async run({ rates, seconds, partitions, connections }, setting) {
		await using servers = await startRealServers(setting);
		const quiet: Load = { name: "quiet, one every 20 ms", perSecond: QUIET_PER_SECOND, tickMs: 1000 / QUIET_PER_SECOND };
		const named = (perSecond: number): Load => ({ name: `${perSecond.toLocaleString("en")}/s`, perSecond, tickMs: tickOf(perSecond) });
		const tally = new Tally();
		const findings: string[] = [];
		setting.say("warm-up");
		await warmUp(servers, { load: named(Math.max(...rates)), seconds, partitions, connections });
		for (let round = 1; round <= setting.repeats; round++) {
			for (const load of [quiet, ...rates.map(named)]) {
				setting.say(`round ${round}, ${load.name}`);
				const topic = `bench-latency-${round}-${load.perSecond}-${load.tickMs}`;
				findings.push(...(await measure({ servers, topic, load, seconds, partitions, connections, tally })));
			}
		}
		return { broker: servers.broker, database: servers.db.version, figures: tally.figures(), courses: [], notes, findings };
	},
});

const notes = [
	"produce → durable: first seen by another session, which looks every so many ms (last column): late by up to that, never early.",
	"produce → written: the server's clock_timestamp() within the statement, before its commit: always too early.",
];

/**
 * The broker compiles its code as it goes: for some 15 s a bare client sees messages come 100 to 400 ms late now and then. Nothing is
 * counted.
 */
async function warmUp(servers: Servers, pass: Omit<Measuring, "servers" | "topic" | "tally">): Promise<void> {
	await measure({ servers, topic: "bench-latency-warm-up", tally: new Tally(), ...pass });
}

interface Measuring {
	readonly servers: Servers;
	readonly topic: string;
	readonly load: Load;
	readonly seconds: number;
	readonly partitions: number;
	readonly connections: number;
	readonly tally: Tally;
}

/** Resolves with what is wrong. */
async function measure({ servers, topic, load, seconds, partitions, connections, tally }: Measuring): Promise<string[]> {
	const { brokers, db, databaseUrl } = servers;
	const name = topic.replaceAll(/[-.]/g, "_");
	await db.database.query(`create table ${name} (id bigint primary key, produced bigint, handled bigint,
		kafka_ts bigint not null, kafka_offset bigint not null, kafka_partition int4 not null, deleted boolean not null default false,
		written_at timestamptz not null default clock_timestamp())`);
	await loadTopic(brokers, { name: topic, partitions }, []);
	const handler = { module: handlerFile("timed-row.mjs") };
	await using daemon = await startDaemon({ servers, topic, group: name, table: name, connections }, { handler, tables: { [name]: table } });
	await waitFor("the assignment", async () => (await daemon.status()).partitions.length === partitions);
	const looks = load.perSecond >= BUSY_PER_SECOND ? LOOKS.busy : LOOKS.quiet;
	await using visible = new VisibleRows(databaseUrl, name, looks);
	await using steady = await SteadyLoad.start(brokers, messages(topic, partitions), load.perSecond, {
		tickMs: load.tickMs,
		lingerMs: 0,
		stamp: stampedWhenDue,
	});
	await systemClock.sleep(WARM_UP_MS);
	const from = process.hrtime.bigint();
	await systemClock.sleep(seconds * 1000);
	await steady.stop();
	const isAllSeen = () => visible.seen.size >= Math.floor(steady.delivered / looks.step);
	const all = await waitFor("every row", isAllSeen).catch(() => false);
	const rows = await readRows(db.database, name);
	note(
		tally,
		load.name,
		rows.filter(({ produced }) => produced >= from),
		visible,
	);
	await daemon.stop();
	const isWhole = all && rows.length === steady.delivered;
	return isWhole ? [] : [`latency: of ${steady.delivered} messages ${rows.length} rows are in the table, ${visible.seen.size} were seen`];
}

/** Times in ns of the monotonic clock, `writtenAt` in ms of the wall clock. */
interface TimedRow {
	readonly id: number;
	readonly produced: bigint;
	readonly handled: bigint;
	readonly writtenAt: number;
}

async function readRows(database: Database, name: string): Promise<TimedRow[]> {
	const rows = await database.query(
		`select id::int4 as id, produced::text, handled::text, (extract(epoch from written_at) * 1000)::text as written from ${name}`,
	);
	return rows.map(({ id, produced, handled, written }) => ({
		...{ id: id as number, produced: BigInt(produced as string), handled: BigInt(handled as string), writtenAt: Number(written) },
	}));
}

function note(tally: Tally, subject: string, rows: readonly TimedRow[], { seen, gapsMs }: VisibleRows): void {
	const offset = wallClockOffsetMs();
	const ms = (from: bigint, to: bigint) => Number(to - from) / 1e6;
	const ways = {
		handler: rows.map(({ produced, handled }) => ms(produced, handled)),
		written: rows.map(({ produced, writtenAt }) => writtenAt - offset - Number(produced) / 1e6),
		durable: rows.flatMap(({ id, produced }) => (seen.has(id) ? ms(produced, seen.get(id) as bigint) : [])),
	};
	for (const [way, times] of Object.entries(ways))
		for (const [label, share] of shares) tally.note(subject, milliseconds(`→ ${way} ${label} ms`), quantile(times, share));
	tally.note(subject, milliseconds("between looks ms"), quantile(gapsMs, 0.5));
}

function milliseconds(label: string): Measure {
	return { label, unit: "ms", digits: 2 };
}

function tickOf(perSecond: number): number {
	return Math.max(TICK_MS, 1000 / perSecond);
}

/** Endless. Ids count from 1. */
function* messages(topic: string, partitions: number): Generator<LogEvent> {
	for (let id = 1; ; id++) yield { topic, partition: id % partitions, key: String(id), value: null, timestamp: 0 };
}

/** A message's time is when it was due: where this process is late, whoever waits for the message waits for that, too. */
function stampedWhenDue(event: LogEvent, lateMs: number): LogEvent {
	const due = process.hrtime.bigint() - BigInt(Math.round(lateMs * 1e6));
	return { ...event, value: due.toString(), timestamp: Date.now() - Math.round(lateMs) };
}
