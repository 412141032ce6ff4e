/**
 * Question: what do more partitions cost? A preloaded topic of so many partitions: the time from the start of the daemon until all are
 * assigned, and until each of them has a commit of its own; throughput after that; memory. Above `--max-threads` partitions they share
 * that many threads (`workers.maxThreads`).
 */
import { availableParallelism } from "node:os";
import { systemClock } from "../../src/core/clock.ts";
import type { EventLogOptions } from "../../test/support/daemons/event-log.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { defineBench } from "../bench.ts";
import { runningDaemon, startDaemon } from "../contenders/daemon-contender.ts";
import { CommittedProgress } from "../measuring/committed-progress.ts";
import { createEventTable, TableCheck } from "../measuring/event-tables.ts";
import { peakRssMib } from "../measuring/process-cpu.ts";
import { loadLog, type Servers, startRealServers } from "../measuring/servers.ts";
import { amount, number, numbers } from "../options.ts";
import { type Course, type Figure, type Measure, measures, Tally, timesOf } from "../report/figures.ts";

const ASSIGNED_TIMEOUT_MS = 120_000;
/** As docs/operating.md says how to size: about one for each processor. Not fewer than the partitions that the others are compared with. */
const DEFAULT_THREADS = Math.max(4, availableParallelism());
const WARM_UP_SHARE = 0.1;
const TAIL_SHARE = 0.15;
const assigned: Measure = { label: "s to assigned", unit: "s", digits: 2 };
const flowing: Measure = { label: "s to flowing", unit: "s", digits: 2 };

interface Setup {
	readonly servers: Servers;
	readonly log: EventLogOptions;
	readonly maxThreads: number;
	readonly connections: number;
	readonly check: TableCheck;
	readonly name: string;
}

export const partitionsBench = defineBench({
	name: "partitions",
	question: "time to assigned and flowing, throughput and memory by number of partitions",
	options: {
		partitions: numbers("--partitions <counts>", "numbers of partitions", [1, 4, 16, 64, 256]),
		messages: amount("--messages <count>", "messages in each topic", 1_000_000),
		ids: number("--ids <count>", "different ids", 100_000),
		maxThreads: number("--max-threads <count>", "maximum threads; by default one for each processor, and at least 4", DEFAULT_THREADS),
		connections: number("--connections <count>", "connections to the database", 2),
	},
	async run({ partitions: counts, messages: count, ids, maxThreads, connections }, setting) {
		await using servers = await startRealServers(setting);
		const logOf = (partitions: number) => ({
			topic: `bench-partitions-${partitions}`,
			count,
			ids,
			partitions,
			seed: 1,
			wander: false,
			deletes: 0,
		});
		for (const partitions of counts) {
			setting.say(`loading ${count} messages into ${partitions} partitions`);
			await loadLog(servers, logOf(partitions));
		}
		const tally = new Tally();
		const check = new TableCheck();
		const findings: string[] = [];
		for (let round = 1; round <= setting.repeats; round++) {
			let ofFour: number | null = null;
			for (const partitions of counts) {
				const name = `partitions_${partitions}_${round}`;
				const run = await measure({ servers, log: logOf(partitions), maxThreads, connections, check, name });
				setting.say(`round ${round}, ${partitions}: ${Math.round(run.messagesPerSecond)} messages/s`);
				const subject = String(partitions);
				tally.note(subject, assigned, run.assignedSeconds);
				tally.note(subject, flowing, run.flowingSeconds);
				tally.note(subject, measures.messagesPerSecond, run.messagesPerSecond);
				tally.note(subject, measures.peakRssMib, run.peakRssMib);
				if (partitions === 4) ofFour = run.messagesPerSecond;
				tally.note(subject, timesOf("4 partitions"), ofFour === null ? null : run.messagesPerSecond / ofFour);
				findings.push(...run.findings);
			}
		}
		const figures = tally.figures();
		const notes = [
			"From the start of the process. Flowing: every partition has committed something. Throughput between a tenth and 85 % of the messages.",
			`Above ${maxThreads} partitions these share ${maxThreads} threads.`,
		];
		const courses = [courseOf(figures, measures.messagesPerSecond), courseOf(figures, measures.peakRssMib)];
		return { broker: servers.broker, database: servers.db.version, figures, courses, notes, findings };
	},
});

async function measure({ servers, log, maxThreads, connections, check, name }: Setup) {
	const { topic, partitions, count } = log;
	const { database } = servers.db;
	await createEventTable(database, name);
	await servers.db.settle();
	await using progress = await CommittedProgress.connect(servers.brokers, name, topic, partitions);
	const startedAt = performance.now();
	const sharing = partitions > maxThreads ? { workers: { maxThreads } } : {};
	const sections = { handler: { module: "pockaffe:json" }, ...sharing };
	const daemon = await startDaemon({ servers, topic, group: name, table: name, connections }, sections);
	await using running = runningDaemon(daemon);
	const isAssigned = async () => running.ended() !== null || (await daemon.status()).partitions.length === partitions;
	await waitFor("the assignment", isAssigned, ASSIGNED_TIMEOUT_MS);
	if (running.ended() !== null) throw new Error(running.ended() as string);
	const assignedSeconds = (performance.now() - startedAt) / 1000;
	const flowingAt = allMoving(progress, startedAt);
	flowingAt.catch(() => {});
	const from = await progress.reached(Math.max(1, Math.floor(count * WARM_UP_SHARE)), running.ended);
	const to = await progress.reached(Math.floor(count * (1 - TAIL_SHARE)), running.ended);
	await progress.reached(count, running.ended);
	const memory = await peakRssMib(running.pid);
	await running.stop();
	const findings = await check.findings(database, name, log, "version", `partitions ${partitions}`);
	await database.query(`drop table ${name}`);
	const messages = to.committed - from.committed;
	const messagesPerSecond = messages > 0 ? (messages / (to.at - from.at)) * 1000 : Number.NaN;
	return { assignedSeconds, flowingSeconds: ((await flowingAt) - startedAt) / 1000, messagesPerSecond, peakRssMib: memory, findings };
}

/** When a look first showed a commit of every partition. */
async function allMoving(progress: CommittedProgress, startedAt: number): Promise<number> {
	for (;;) {
		const offsets = await progress.offsets().catch(() => []);
		const at = performance.now();
		if (offsets.length > 0 && offsets.every((offset) => offset > 0)) return at;
		if (at - startedAt > ASSIGNED_TIMEOUT_MS) throw new Error(`after ${ASSIGNED_TIMEOUT_MS} ms not every partition had a commit`);
		await systemClock.sleep(10);
	}
}

function courseOf(figures: readonly Figure[], { label }: Measure): Course {
	const found = figures.filter((figure) => figure.label === label && figure.median !== null);
	const points = found.map(({ subject, median }) => [Number(subject), median as number] as const);
	return { title: `${label} by partitions`, x: "partitions", y: label, lines: [{ name: "pockaffe:json", points }] };
}
