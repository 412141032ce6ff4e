/**
 * Question: what do threads, supervision and tracking cost? A handler whose outcome is nothing: no rows, so that what is left is the way
 * from Kafka through the thread to the committed offset; beside a process that receives the same messages and does nothing.
 */
import { defineBench } from "../bench.ts";
import { daemonContender, handlerFile } from "../contenders/daemon-contender.ts";
import { noteRun, runContender } from "../contenders/run-contender.ts";
import { loadPlainLog, startServers } from "../measuring/servers.ts";
import { amount, number } from "../options.ts";
import { Tally, timesOf } from "../report/figures.ts";
import { rawConsumer } from "./consume.ts";

const TOPIC = "bench-workers";
const daemon = daemonContender("daemon, outcome nothing", { handler: { module: handlerFile("nothing.mjs") } });

export const workersBench = defineBench({
	name: "workers",
	question: "topic → worker threads → commit, without rows, compared with node-rdkafka alone",
	options: {
		messages: amount("--messages <count>", "messages in the topic", 2_000_000),
		partitions: number("--partitions <count>", "partitions", 4),
	},
	async run({ messages: count, partitions }, setting) {
		await using servers = await startServers(setting, [TOPIC]);
		setting.say(`loading ${count} messages`);
		const log = await loadPlainLog(servers, { topic: TOPIC, count, partitions });
		const tally = new Tally();
		const options = { servers, log, connections: 1, check: null };
		for (let round = 1; round <= setting.repeats; round++) {
			const raw = await runContender(rawConsumer, options);
			const run = await runContender(daemon, options);
			setting.say(`round ${round}: ${Math.round(raw.messagesPerSecond)} and ${Math.round(run.messagesPerSecond)} messages/s`);
			noteRun(tally, rawConsumer.name, raw);
			noteRun(tally, daemon.name, run);
			tally.note(daemon.name, timesOf(rawConsumer.name), run.messagesPerSecond / raw.messagesPerSecond);
		}
		return { broker: servers.broker, database: null, figures: tally.figures(), courses: [], notes: [], findings: [] };
	},
});
