/**
 * One run of a contender over a loaded topic: messages a second and CPU per message while it is in full swing, the most memory it took,
 * and whether its table came out right. Runs of less than some hundred thousand messages show only that it works: what is on its way
 * weighs more than what is measured.
 */
import { behind, type EventLogOptions, eventLog, eventsBelow, foldEvents, readTable } from "../../test/support/daemons/event-log.ts";
import { CommittedProgress, type Progress } from "../measuring/committed-progress.ts";
import { createEventTable, type TableCheck } from "../measuring/event-tables.ts";
import { peakRssMib } from "../measuring/process-cpu.ts";
import type { Servers } from "../measuring/servers.ts";
import { measures, type Tally } from "../report/figures.ts";
import type { Contender, Running } from "./contender.ts";

/** Share of the messages that is not measured: threads start, code is compiled, the table gets its first rows. */
const WARM_UP_SHARE = 0.1;
/**
 * Nor is the end: all has been received by then and only the writing is left. So as much is on its way at the end of the measuring as at
 * its beginning, and what was paid before is what is paid for afterwards.
 */
const TAIL_SHARE = 0.15;
/** The warm-up of one that is too slow for a share of the messages. */
const WARM_UP_SECONDS = 5;
let runs = 0;

/** What a run needs beside its contender. */
export interface RunOptions {
	readonly servers: Servers;
	readonly log: EventLogOptions;
	readonly connections: number;
	/** Null where no rows are written. */
	readonly check: TableCheck | null;
	/** Kept from run to run; left out: a table of its own for each. */
	readonly table?: string;
}

/** What came of it; figures that can't be known on this machine are null. */
export interface ContenderRun {
	readonly messagesPerSecond: number;
	readonly cpuMicros: number | null;
	readonly databaseMicros: number | null;
	readonly peakRssMib: number | null;
	/** False: it has nothing to do with the database. */
	readonly writes: boolean;
	readonly findings: readonly string[];
}

/** Runs it once. */
export async function runContender(contender: Contender, options: RunOptions): Promise<ContenderRun> {
	const { servers, log, connections, check } = options;
	const { topic, partitions, count } = log;
	const name = `run_${++runs}`;
	const table = options.table ?? name;
	await createEventTable(servers.db.database, table);
	await servers.db.settle();
	await using progress = await CommittedProgress.connect(servers.brokers, name, topic, partitions);
	await using running = await contender.start({ servers, topic, group: name, table, connections });
	const warmUp = Math.min(Math.max(contender.warmUp ?? 0, Math.ceil(count * WARM_UP_SHARE)), Math.ceil(count / 2));
	const ended = () => running.ended();
	const isSlow = contender.secondsAtMost !== undefined;
	const until = (seconds: number) => (isSlow ? performance.now() + seconds * 1000 : Number.POSITIVE_INFINITY);
	const first = await snapshot(servers, running, await progress.reached(Math.max(1, warmUp), ended, until(WARM_UP_SECONDS)));
	const steady = Math.max(warmUp + 1, Math.floor(count * (1 - TAIL_SHARE)));
	const last = await snapshot(servers, running, await progress.reached(steady, ended, until(contender.secondsAtMost ?? 0)));
	if (!isSlow) await progress.reached(count, ended);
	const memory = await peakRssMib(running.pid);
	await running.stop();
	const findings = check === null ? [] : await tableFindings(contender, options, check, table, await progress.offsets());
	if (options.table === undefined) await servers.db.database.query(`drop table ${table}`);
	const messages = last.committed - first.committed;
	const micros = (before: number | null, after: number | null) =>
		before === null || after === null ? null : ((after - before) * 1e6) / messages;
	return {
		// Nothing between the looks: too few messages to say anything.
		messagesPerSecond: messages > 0 ? (messages / (last.at - first.at)) * 1000 : Number.NaN,
		cpuMicros: micros(first.cpu, last.cpu),
		databaseMicros: micros(first.databaseCpu, last.databaseCpu),
		peakRssMib: memory,
		writes: check !== null,
		findings,
	};
}

/** Its figures under its name. */
export function noteRun(tally: Tally, subject: string, run: ContenderRun): void {
	tally.note(subject, measures.messagesPerSecond, run.messagesPerSecond);
	tally.note(subject, measures.cpuMicros, run.cpuMicros);
	if (run.writes) tally.note(subject, measures.databaseMicros, run.databaseMicros);
	tally.note(subject, measures.peakRssMib, run.peakRssMib);
}

async function snapshot(servers: Servers, running: Running, progress: Progress) {
	return { ...progress, cpu: await running.cpuSeconds(), databaseCpu: await servers.db.cpuSeconds() };
}

/** A whole run's table must equal the fold; of a run that was cut short nothing committed may be missing. */
async function tableFindings(
	contender: Contender,
	{ servers, log }: RunOptions,
	check: TableCheck,
	table: string,
	committed: readonly number[],
): Promise<string[]> {
	const { database } = servers.db;
	if (committed.reduce((sum, offset) => sum + offset, 0) >= log.count)
		return check.findings(database, table, log, contender.newestBy, contender.name);
	const events = eventsBelow(eventLog(log), committed);
	const rows = await readTable(database, table);
	const missing = new Set(events.map(({ key }) => key)).size > rows.size;
	const late = contender.newestBy === "version" ? behind(rows, foldEvents(events)) : [];
	return [
		...(missing ? [`${contender.name}: rows of committed messages are missing`] : []),
		...late.map((line) => `${contender.name}: ${line}`),
	];
}
