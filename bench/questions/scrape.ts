/**
 * Question: does the daemon answer while it works? /metrics and /readyz are asked in turns at full load: their answer times. Then nobody
 * asks for a while, and the daemon's own metric says how late the main thread's event loop was meanwhile.
 */
import { systemClock } from "../../src/core/clock.ts";
import type { DaemonProcess } from "../../test/support/daemons/daemon-process.ts";
import { defineBench } from "../bench.ts";
import { runningDaemon, startDaemon } from "../contenders/daemon-contender.ts";
import { CommittedProgress } from "../measuring/committed-progress.ts";
import { createEventTable, TableCheck } from "../measuring/event-tables.ts";
import { metricOf } from "../measuring/metrics-text.ts";
import { loadLog, startRealServers } from "../measuring/servers.ts";
import { quantile } from "../measuring/statistics.ts";
import { amount, number } from "../options.ts";
import { type Measure, Tally } from "../report/figures.ts";

const TOPIC = "bench-scrape";
const EVERY_MS = 50;
const WARM_UP_SHARE = 0.1;
const ASKED_SHARE = 0.5;
const TAIL_SHARE = 0.15;
/** The daemon's metric counts from one look at the clock to the next, and looks every so often: an idle loop is "delayed" by that. */
const LOOK_EVERY_MS = 10;
const delays = { "p50 ms": "p50", "p99 ms": "p99", "max ms": "max" } as const;
const shares = [
	["p50 ms", 0.5],
	["p99 ms", 0.99],
	["max ms", 1],
] as const;

export const scrapeBench = defineBench({
	name: "scrape",
	question: "answer times of /metrics and /readyz, and the event loop's delay, at full load",
	options: {
		messages: amount("--messages <count>", "messages in the topic", 3_000_000),
		ids: number("--ids <count>", "different ids", 100_000),
		partitions: number("--partitions <count>", "partitions", 4),
		connections: number("--connections <count>", "connections to the database", 2),
	},
	async run({ messages: count, ids, partitions, connections }, setting) {
		await using servers = await startRealServers(setting);
		const log = { topic: TOPIC, count, ids, partitions, seed: 1, wander: false, deletes: 0 };
		setting.say(`loading ${count} messages`);
		await loadLog(servers, log);
		const tally = new Tally();
		const check = new TableCheck();
		const findings: string[] = [];
		for (let round = 1; round <= setting.repeats; round++) {
			setting.say(`round ${round} of ${setting.repeats}`);
			const name = `scrape_${round}`;
			await createEventTable(servers.db.database, name);
			await using progress = await CommittedProgress.connect(servers.brokers, name, TOPIC, partitions);
			const task = { servers, topic: TOPIC, group: name, table: name, connections };
			const daemon = await startDaemon(task, { handler: { module: "pockaffe:json" } });
			await using running = runningDaemon(daemon);
			await progress.reached(Math.max(1, Math.floor(count * WARM_UP_SHARE)), running.ended);
			const asked = new AbortController();
			const asking = askInTurns(daemon, asked.signal);
			await progress.reached(Math.floor(count * ASKED_SHARE), running.ended);
			asked.abort(new Error("enough"));
			const answers = await asking;
			// Each scrape tells of the time since the one before.
			await daemon.metrics();
			await progress.reached(Math.floor(count * (1 - TAIL_SHARE)), running.ended);
			noteDelays(tally, await daemon.metrics());
			await progress.reached(count, running.ended);
			await running.stop();
			findings.push(...(await check.findings(servers.db.database, name, log, "version", "scrape")));
			for (const [subject, times] of Object.entries(answers)) noteTimes(tally, subject, times);
		}
		const notes = [
			`Asked every ${EVERY_MS} ms, one after the other, between a tenth and half of the messages.`,
			"The event loop's delay is that between half and 85 % of the messages, when nobody asked.",
		];
		return { broker: servers.broker, database: servers.db.version, figures: tally.figures(), courses: [], notes, findings };
	},
});

/** Answer times in ms by what was asked. */
async function askInTurns(daemon: DaemonProcess, ended: AbortSignal): Promise<Record<string, number[]>> {
	const url = await daemon.url();
	const times = { "/metrics": [] as number[], "/readyz": [] as number[] };
	const ask = async (path: "/metrics" | "/readyz") => {
		const startedAt = performance.now();
		await (await fetch(url + path)).text();
		times[path].push(performance.now() - startedAt);
	};
	while (!ended.aborted) {
		await ask("/metrics");
		await ask("/readyz");
		await systemClock.sleep(EVERY_MS, ended).catch(() => {});
	}
	return times;
}

function noteDelays(tally: Tally, metrics: string): void {
	for (const [label, name] of Object.entries(delays)) {
		const seconds = metricOf(metrics, `nodejs_eventloop_lag_${name}_seconds`);
		if (seconds !== null) tally.note("event loop's delay", { label, unit: "ms", digits: 1 }, seconds * 1000 - LOOK_EVERY_MS);
	}
}

function noteTimes(tally: Tally, subject: string, times: readonly number[]): void {
	for (const [label, share] of shares) {
		const measure: Measure = { label, unit: "ms", digits: 1 };
		tally.note(subject, measure, quantile(times, share));
	}
}
