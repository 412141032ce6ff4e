/**
 * Question: what does it cost to read a topic again whose rows are all there? The daemon runs over it with a fresh group into an empty
 * table, and then with another fresh group into the same table, where every row is stale.
 */
import type { EventLogOptions } from "../../test/support/daemons/event-log.ts";
import { type BenchSetting, defineBench } from "../bench.ts";
import { daemonContender } from "../contenders/daemon-contender.ts";
import { noteRun, runContender } from "../contenders/run-contender.ts";
import { TableCheck } from "../measuring/event-tables.ts";
import { loadLog, startServers } from "../measuring/servers.ts";
import { amount, number } from "../options.ts";
import { Tally, timesOf } from "../report/figures.ts";

const TOPIC = "bench-replay";
const daemon = daemonContender("pockaffe:json", { handler: { module: "pockaffe:json" } });

export const replayBench = defineBench({
	name: "replay",
	question: "a topic read again, every row stale, compared with its first run",
	options: {
		messages: amount("--messages <count>", "messages in the topic", 1_000_000),
		ids: number("--ids <count>", "different ids", 100_000),
		partitions: number("--partitions <count>", "partitions", 4),
		connections: number("--connections <count>", "connections to the database", 2),
	},
	async run({ messages: count, ids, partitions, connections }, setting: BenchSetting) {
		await using servers = await startServers(setting, [TOPIC]);
		const log: EventLogOptions = { topic: TOPIC, count, ids, partitions, seed: 1, wander: false, deletes: 0 };
		setting.say(`loading ${count} messages of ${ids} ids`);
		await loadLog(servers, log);
		const tally = new Tally();
		const check = new TableCheck();
		const findings: string[] = [];
		for (let round = 1; round <= setting.repeats; round++) {
			const table = `replayed_${round}`;
			const options = { servers, log, connections, check, table };
			const first = await runContender(daemon, options);
			const again = await runContender(daemon, options);
			setting.say(`round ${round}: ${Math.round(first.messagesPerSecond)} and ${Math.round(again.messagesPerSecond)} messages/s`);
			noteRun(tally, "first run", first);
			noteRun(tally, "again, all stale", again);
			tally.note("again, all stale", timesOf("first run"), again.messagesPerSecond / first.messagesPerSecond);
			findings.push(...first.findings, ...again.findings);
		}
		const notes = ["Measured between a tenth and 85 % of the messages; the table was compared with the fold of its log after each run."];
		return { broker: servers.broker, database: servers.db.version, figures: tally.figures(), courses: [], notes, findings };
	},
});
