/**
 * Question: does the daemon answer while it works? /metrics and /readyz are asked in turns at full load; their answer times, and how long
 * the main thread's event loop kept others waiting, as its own metric tells (the 99th percentile between two scrapes).
 */
import { systemClock } from "../src/core/clock.ts";
import type { DaemonProcess } from "../test/support/daemon-process.ts";
import { defineBench } from "./bench.ts";
import { CommittedProgress } from "./committed-progress.ts";
import { runningDaemon, startDaemon } from "./daemon-contender.ts";
import { createEventTable, TableCheck } from "./event-tables.ts";
import { type Measure, Tally } from "./figures.ts";
import { metricOf } from "./metrics-text.ts";
import { amount, number } from "./options.ts";
import { loadLog, startRealServers } from "./servers.ts";
import { quantile } from "./statistics.ts";

const TOPIC = "bench-scrape";
const EVERY_MS = 50;
const WARM_UP_SHARE = 0.1;
const TAIL_SHARE = 0.15;
const shares = [
	["p50 ms", 0.5],
	["p99 ms", 0.99],
	["max ms", 1],
] as const;

export const scrapeBench = defineBench({
	name: "scrape",
	question: "answer times of /metrics and /readyz, and the event loop's delay, at full load",
	options: {
		messages: amount("--messages <count>", "messages in the topic", 2_000_000),
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
			const atFullLoad = new AbortController();
			const asking = askInTurns(daemon, atFullLoad.signal);
			await progress.reached(Math.floor(count * (1 - TAIL_SHARE)), running.ended);
			atFullLoad.abort(new Error("enough"));
			const answers = await asking;
			await progress.reached(count, running.ended);
			await running.stop();
			findings.push(...(await check.findings(servers.db.database, name, log, "version", "scrape")));
			for (const [subject, times] of Object.entries(answers)) noteTimes(tally, subject, times);
		}
		const notes = [`Asked every ${EVERY_MS} ms, one after the other, between a tenth and 85 % of the messages.`];
		return { broker: servers.broker, database: servers.db.version, figures: tally.figures(), courses: [], notes, findings };
	},
});

/** Answer times in ms by what was asked; `event loop` is the main thread's p99 delay between two scrapes. */
async function askInTurns(daemon: DaemonProcess, ended: AbortSignal): Promise<Record<string, number[]>> {
	const url = await daemon.url();
	const times = { "/metrics": [] as number[], "/readyz": [] as number[], "event loop's p99 delay": [] as number[] };
	const ask = async (path: "/metrics" | "/readyz") => {
		const startedAt = performance.now();
		const text = await (await fetch(url + path)).text();
		times[path].push(performance.now() - startedAt);
		return text;
	};
	// The first scrape's percentile is of the start.
	await fetch(`${url}/metrics`).then((response) => response.text());
	while (!ended.aborted) {
		const text = await ask("/metrics");
		const delay = metricOf(text, "nodejs_eventloop_lag_p99_seconds");
		if (delay !== null) times["event loop's p99 delay"].push(delay * 1000);
		await ask("/readyz");
		await systemClock.sleep(EVERY_MS, ended).catch(() => {});
	}
	return times;
}

function noteTimes(tally: Tally, subject: string, times: readonly number[]): void {
	for (const [label, share] of shares) {
		const measure: Measure = { label, unit: "ms", digits: 1 };
		tally.note(subject, measure, quantile(times, share));
	}
}
