/**
 * Question: what does it cost to produce from a handler? Messages in, a record each out, without rows and with them, beside node-rdkafka's
 * own producer by hand, without and with the headers that tell a record's source: in turns.
 */
import { systemClock } from "../../src/core/clock.ts";
import { awaitTopic, createTopic } from "../../src/kafka/topics.ts";
import { kafkaAt } from "../../test/support/kafka/load-topic.ts";
import { defineBench } from "../bench.ts";
import type { Contender } from "../contenders/contender.ts";
import { daemonContender, handlerFile } from "../contenders/daemon-contender.ts";
import { noteRun, runContender } from "../contenders/run-contender.ts";
import { scriptContender } from "../contenders/script-contender.ts";
import { TableCheck } from "../measuring/event-tables.ts";
import { loadPlainLog, startServers } from "../measuring/servers.ts";
import { amount, number } from "../options.ts";
import { Tally, timesOf } from "../report/figures.ts";

const TOPIC = "bench-produce";
const OUT = "bench-produced";

const module = handlerFile("produce-record.mjs");
const byHand = scriptContender({ name: "node-rdkafka by hand", newestBy: "offset", script: "by-hand-produce.mjs", given: { out: OUT } });
const withHeaders = scriptContender({
	...{ name: "node-rdkafka by hand, with headers", newestBy: "offset", script: "by-hand-produce.mjs", given: { out: OUT, headers: true } },
});
const records = daemonContender("daemon, records", { tables: {}, handler: { module, produces: [OUT], options: { topic: OUT } } });
const both = daemonContender("daemon, rows and records", { handler: { module, produces: [OUT], options: { topic: OUT, rows: true } } });

export const produceBench = defineBench({
	name: "produce",
	question: "messages in, records out: a handler that produces, compared with node-rdkafka's own producer",
	options: {
		messages: amount("--messages <count>", "messages in the topic", 500_000),
		partitions: number("--partitions <count>", "partitions", 4),
		connections: number("--connections <count>", "connections to the database", 2),
	},
	async run({ messages: count, partitions, connections }, setting) {
		await using servers = await startServers(setting, [TOPIC, OUT]);
		setting.say(`loading ${count} messages`);
		const log = await loadPlainLog(servers, { topic: TOPIC, count, partitions });
		if (servers.broker === "real Kafka") {
			await createTopic(kafkaAt(servers.brokers), { name: OUT, partitions, replication: 1 });
			await awaitTopic(kafkaAt(servers.brokers), systemClock, OUT, partitions);
		}
		const tally = new Tally();
		const check = new TableCheck();
		const findings: string[] = [];
		for (let round = 1; round <= setting.repeats; round++) {
			let bare = Number.NaN;
			for (const contender of [byHand, withHeaders, records, both] satisfies Contender[]) {
				const run = await runContender(contender, { servers, log, connections, check: contender === both ? check : null });
				setting.say(`round ${round}, ${contender.name}: ${Math.round(run.messagesPerSecond)} messages/s`);
				noteRun(tally, contender.name, run);
				if (contender === byHand) bare = run.messagesPerSecond;
				else tally.note(contender.name, timesOf(byHand.name), run.messagesPerSecond / bare);
				findings.push(...run.findings);
			}
		}
		const notes = ["A record has four headers that tell its source; by hand it has them where the name says so."];
		return { broker: servers.broker, database: servers.db.version, figures: tally.figures(), courses: [], notes, findings };
	},
});
