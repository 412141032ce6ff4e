/**
 * Question: how long does a partition stand still when all daemons of a group are replaced one after the other, and is anything handled
 * twice? Messages come at a steady rate; of each partition and each restart the longest time between two messages counts.
 */
import { rollingRestart } from "../../test/support/daemons/rolling-restart.ts";
import { defineBench } from "../bench.ts";
import { startRealServers } from "../measuring/servers.ts";
import { quantile } from "../measuring/statistics.ts";
import { amount, number, word } from "../options.ts";
import { Tally } from "../report/figures.ts";

const TOPIC = "bench-rolling";

export const rollingBench = defineBench({
	name: "rolling",
	question: "how long partitions stand still while all daemons are replaced under load, and what is handled twice",
	options: {
		rate: number("--rate <count>", "messages a second", 5_000),
		daemons: number("--daemons <count>", "daemons", 3),
		partitions: number("--partitions <count>", "partitions", 6),
		rounds: amount("--rounds <count>", "how often each daemon is replaced", 5),
		protocol: word("--protocol <name>", "the group's protocol", ["classic", "eager", "consumer"], "classic"),
	},
	async run({ rate: perSecond, daemons, partitions, rounds, protocol }, setting) {
		await using servers = await startRealServers(setting);
		const { brokers, databaseUrl, folder, db } = servers;
		const { say } = setting;
		const tally = new Tally();
		const findings: string[] = [];
		for (let round = 1; round <= setting.repeats; round++) {
			const names = { topic: `${TOPIC}-${round}`, group: `rolling-${round}` };
			const result = await rollingRestart({
				brokers,
				databaseUrl,
				folder,
				...names,
				protocol,
				partitions,
				daemons,
				perSecond,
				rounds,
				say,
			});
			await db.database.query("drop table events");
			note(tally, "a restart", result.pausesMs);
			note(tally, "before any restart", result.quietMs);
			tally.note("a restart", { label: "handled twice", unit: "messages", digits: 0 }, result.handledTwice.length);
			const failed = result.exitCodes.filter((code) => code !== 0);
			if (failed.length > 0) findings.push(`rolling: daemons ended with ${failed.join(", ")}`);
		}
		const notes = ["The longest time between two messages of a partition, of each partition and restart."];
		return { broker: servers.broker, database: db.version, figures: tally.figures(), courses: [], notes, findings };
	},
});

function note(tally: Tally, subject: string, times: readonly number[]): void {
	for (const [label, share] of shares) tally.note(subject, { label, unit: "ms", digits: 0 }, quantile(times, share));
}

const shares = [
	["p50 ms", 0.5],
	["p99 ms", 0.99],
	["max ms", 1],
] as const;
