/**
 * Question: how many messages a second can one process receive, at what CPU per message, if it does nothing with them? The limit of
 * everything behind it. Both ways to librdkafka's messages, in pairs: node-rdkafka's own `consume`, asked as one asks it who knows it (one
 * message while it is quiet, a thousand under a backlog), and PocKaffe's packed polls.
 */
import { defineBench } from "../bench.ts";
import { noteRun, runContender } from "../contenders/run-contender.ts";
import { scriptContender } from "../contenders/script-contender.ts";
import { loadPlainLog, startServers } from "../measuring/servers.ts";
import { amount, number } from "../options.ts";
import { Tally, timesOf } from "../report/figures.ts";

const TOPIC = "bench-consume";

/** Receives and does nothing. */
export const rawConsumer = scriptContender({ name: "node-rdkafka alone", newestBy: "offset", script: "raw-consumer.mjs" });

/** Receives packed, as the daemon does, and does nothing. */
export const packedConsumer = scriptContender({ name: "packed, PocKaffe's own", newestBy: "offset", script: "packed-consumer.mjs" });

export const consumeBench = defineBench({
	name: "consume",
	question: "how fast node-rdkafka and packed polls deliver messages if nothing is done with them",
	options: {
		messages: amount("--messages <count>", "messages in the topic", 2_000_000),
		partitions: number("--partitions <count>", "partitions", 4),
	},
	async run({ messages: count, partitions }, setting) {
		await using servers = await startServers(setting, [TOPIC]);
		setting.say(`loading ${count} messages`);
		const log = await loadPlainLog(servers, { topic: TOPIC, count, partitions });
		const tally = new Tally();
		for (let round = 1; round <= setting.repeats; round++) {
			const options = { servers, log, connections: 1, check: null };
			const raw = await runContender(rawConsumer, options);
			const packed = await runContender(packedConsumer, options);
			noteRun(tally, rawConsumer.name, raw);
			noteRun(tally, packedConsumer.name, packed);
			tally.note(packedConsumer.name, timesOf(rawConsumer.name), packed.messagesPerSecond / raw.messagesPerSecond);
			setting.say(`round ${round} of ${setting.repeats}`);
		}
		return { broker: servers.broker, database: null, figures: tally.figures(), courses: [], notes: [], findings: [] };
	},
});
