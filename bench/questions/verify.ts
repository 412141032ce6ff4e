/**
 * Question: what does `verify` cost? A topic whose rows are all there, written by the daemon, and the command beside it as a process of its
 * own: the time until its answer, its CPU per message, and the most memory it had. Not verified is a finding.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import type { EventLogOptions } from "../../test/support/daemons/event-log.ts";
import { defineBench } from "../bench.ts";
import { startDaemon } from "../contenders/daemon-contender.ts";
import { CommittedProgress } from "../measuring/committed-progress.ts";
import { endWithProcess, signalTo } from "../measuring/end-with-process.ts";
import { createEventTable } from "../measuring/event-tables.ts";
import { cpuSecondsOf, peakRssMib } from "../measuring/process-cpu.ts";
import { loadLog, startServers } from "../measuring/servers.ts";
import { amount, number } from "../options.ts";
import { type Measure, measures, Tally } from "../report/figures.ts";

const TOPIC = "bench-verify";
const TABLE = "bench_verify";
const main = new URL("../../dist/main.js", import.meta.url).pathname;
/** What a process has used is seen from outside, while it is there. */
const LOOK_MS = 50;

const seconds: Measure = { label: "seconds to its answer", unit: "s", digits: 1 };

export const verifyBench = defineBench({
	name: "verify",
	question: "a verification of a whole topic: time, CPU and memory",
	options: {
		messages: amount("--messages <count>", "messages in the topic", 1_000_000),
		ids: number("--ids <count>", "different ids", 100_000),
		partitions: number("--partitions <count>", "partitions", 4),
		connections: number("--connections <count>", "connections to the database", 2),
	},
	async run({ messages: count, ids, partitions, connections }, setting) {
		await using servers = await startServers(setting, [TOPIC]);
		const log: EventLogOptions = { topic: TOPIC, count, ids, partitions, seed: 1, wander: false, deletes: 0 };
		setting.say(`loading ${count} messages of ${ids} ids`);
		await loadLog(servers, log);
		await createEventTable(servers.db.database, TABLE);
		await using progress = await CommittedProgress.connect(servers.brokers, TABLE, TOPIC, partitions);
		const task = { servers, topic: TOPIC, group: TABLE, table: TABLE, connections };
		const daemon = await startDaemon(task, { handler: { module: "pockaffe:json" } });
		await progress.reached(count, () => (daemon.child.exitCode === null ? null : daemon.output.slice(-2000)));
		await daemon.stop();
		const tally = new Tally();
		const findings: string[] = [];
		for (let round = 1; round <= setting.repeats; round++) {
			const run = await verified(join(servers.folder, TABLE));
			setting.say(`round ${round}: ${run.seconds.toFixed(1)} s`);
			tally.note("verify", seconds, run.seconds);
			tally.note("verify", measures.cpuMicros, run.cpuSeconds === null ? null : (run.cpuSeconds / count) * 1e6);
			tally.note("verify", measures.peakRssMib, run.peakRssMib);
			if (run.code !== 0) findings.push(`exit ${run.code}: ${run.output.slice(-500)}`);
		}
		return { broker: servers.broker, database: servers.db.version, figures: tally.figures(), courses: [], notes: [], findings };
	},
});

/** One run of the command, in the folder of its configuration. */
async function verified(cwd: string) {
	const startedAt = performance.now();
	const child = spawn(process.execPath, [main, "verify"], { cwd, stdio: ["ignore", "pipe", "pipe"] });
	const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
	const takeBack = endWithProcess(() => signalTo(child.pid as number, "SIGKILL"));
	let output = "";
	for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk));
	let [cpuSeconds, peak] = [null as number | null, null as number | null];
	while (child.exitCode === null && child.signalCode === null) {
		cpuSeconds = (await cpuSecondsOf(child.pid as number)) ?? cpuSeconds;
		peak = (await peakRssMib(child.pid as number)) ?? peak;
		await systemClock.sleep(LOOK_MS);
	}
	takeBack();
	return { code: await ended, seconds: (performance.now() - startedAt) / 1000, cpuSeconds, peakRssMib: peak, output };
}
