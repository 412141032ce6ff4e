/**
 * Question: how long does a partition stand still when all daemons of a group are replaced one after the other, and is anything handled
 * twice? Messages come at a steady rate; of each partition and each restart the longest time between two messages counts.
 */
import type { Command } from "commander";
import { rollingRestart } from "../test/support/rolling-restart.ts";
import { printFigures, quantile, round, say } from "./report.ts";
import { startServers } from "./servers.ts";

interface RollingOptions {
	readonly rate: string;
	readonly daemons: string;
	readonly partitions: string;
	readonly rounds: string;
	readonly protocol: "classic" | "eager" | "consumer";
}

const TOPIC = "bench-rolling";

export function registerRolling(program: Command): void {
	program
		.command("rolling")
		.description("how long partitions stand still while all daemons are replaced under load, and what is handled twice")
		.option("--rate <count>", "messages a second", "5000")
		.option("--daemons <count>", "daemons", "3")
		.option("--partitions <count>", "partitions", "6")
		.option("--rounds <count>", "how often each daemon is replaced", "5")
		.option("--protocol <name>", "classic, eager or consumer", "classic")
		.action(measureRolling);
}

async function measureRolling(options: RollingOptions): Promise<void> {
	await using servers = await startServers([TOPIC]);
	const [perSecond, daemons, partitions, rounds] = [options.rate, options.daemons, options.partitions, options.rounds].map(Number) as [
		number,
		number,
		number,
		number,
	];
	const { brokers, databaseUrl, folder } = servers;
	const { protocol } = options;
	const result = await rollingRestart({
		...{ brokers, databaseUrl, folder, topic: TOPIC, group: "rolling", protocol, partitions, daemons, perSecond, rounds, say },
	});
	const spread = (values: readonly number[]) => ({
		medianMs: round(quantile(values, 0.5), 0),
		p99Ms: round(quantile(values, 0.99), 0),
		maxMs: round(Math.max(...values), 0),
	});
	printFigures({
		question: "rolling",
		broker: servers.broker,
		protocol,
		daemons,
		partitions,
		perSecond,
		restarts: rounds * daemons,
		messages: result.messages,
		handledTwice: result.handledTwice.length,
		exitCodes: [...new Set(result.exitCodes)],
		longestPauseOfAPartitionPerRestart: spread(result.pausesMs),
		longestPauseOfAPartitionBeforeAnyRestart: spread(result.quietMs),
	});
}
