/**
 * Question: what do threads gain where the handler needs the processor? So much work before each row, the same number of rounds wherever
 * it runs, in the daemon with a thread per partition and by hand on one thread, in turns.
 */
import { cpus } from "node:os";
import { defineBench } from "../bench.ts";
import { daemonContender, handlerFile } from "../contenders/daemon-contender.ts";
import { noteRun, runContender } from "../contenders/run-contender.ts";
import { scriptContender } from "../contenders/script-contender.ts";
import { TableCheck } from "../measuring/event-tables.ts";
import { loadPlainLog, startServers } from "../measuring/servers.ts";
import { median } from "../measuring/statistics.ts";
import { amount, number } from "../options.ts";
import { Tally, timesOf } from "../report/figures.ts";

const TOPIC = "bench-cpu-handler";
const CALIBRATIONS = 21;
const CALIBRATION_ROUNDS = 100_000;

export const cpuHandlerBench = defineBench({
	name: "cpu-handler",
	question: "a handler that computes: a thread per partition compared with one thread",
	options: {
		messages: amount("--messages <count>", "messages in the topic", 100_000),
		micros: number("--micros <count>", "work per message, µs of an idle processor", 100),
		partitions: number("--partitions <count>", "partitions", 4),
		connections: number("--connections <count>", "connections to the database", 2),
	},
	async run({ messages: count, micros, partitions, connections }, setting) {
		await using servers = await startServers(setting, [TOPIC]);
		setting.say(`loading ${count} messages`);
		const log = await loadPlainLog(servers, { topic: TOPIC, count, partitions });
		const work = await roundsOf(micros);
		const daemon = daemonContender("daemon, a thread per partition", {
			handler: { module: handlerFile("busy-row.mjs"), options: { work } },
		});
		const byHand = scriptContender({ name: "by hand, one thread", newestBy: "offset", script: "by-hand.mjs", given: { work } });
		const tally = new Tally();
		const check = new TableCheck();
		const findings: string[] = [];
		for (let round = 1; round <= setting.repeats; round++) {
			const single = await runContender(byHand, { servers, log, connections, check });
			const threads = await runContender(daemon, { servers, log, connections, check });
			setting.say(`round ${round}: ${Math.round(single.messagesPerSecond)} and ${Math.round(threads.messagesPerSecond)} messages/s`);
			noteRun(tally, byHand.name, single);
			noteRun(tally, daemon.name, threads);
			tally.note(daemon.name, timesOf(byHand.name), threads.messagesPerSecond / single.messagesPerSecond);
			findings.push(...single.findings, ...threads.findings);
		}
		const notes = [`${work} rounds of work per message; ${cpus().length} cores.`];
		return { broker: servers.broker, database: servers.db.version, figures: tally.figures(), courses: [], notes, findings };
	},
});

/** Rounds of work that take so many µs here, by the fastest half of several tries: the others were interrupted. */
async function roundsOf(micros: number): Promise<number> {
	const { busy } = (await import(handlerFile("busy-work.mjs"))) as { busy: (rounds: number) => number };
	const tries = Array.from({ length: CALIBRATIONS }, () => {
		const startedAt = performance.now();
		busy(CALIBRATION_ROUNDS);
		return performance.now() - startedAt;
	});
	const fastest = tries.sort((left, right) => left - right).slice(0, Math.ceil(CALIBRATIONS / 2));
	return Math.max(1, Math.round((micros / 1000 / median(fastest)) * CALIBRATION_ROUNDS));
}
