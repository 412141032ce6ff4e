/**
 * Question: how long does a partition stand still when all daemons of a group are replaced one after the other, and is anything handled
 * twice? Messages come at a steady rate; of each partition and each restart the longest time between two messages counts. Beside the
 * daemons, in the same run, members that note each message and do no more: what Kafka's rebalances alone take.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type RollingMember, type RollingRestartOptions, rollingRestart } from "../../test/support/daemons/rolling-restart.ts";
import { defineBench } from "../bench.ts";
import { endWithProcess, signalTo } from "../measuring/end-with-process.ts";
import { startRealServers } from "../measuring/servers.ts";
import { quantile } from "../measuring/statistics.ts";
import { amount, count, number, word, words } from "../options.ts";
import { Tally } from "../report/figures.ts";

const script = new URL("../baselines/rolling-member.mjs", import.meta.url).pathname;
/** From a successor's first partitions to the next restart: in a deployment the last one has to be ready for a while before. */
const REST_MS = 3_000;

export const rollingBench = defineBench({
	name: "rolling",
	question: "how long partitions stand still while all daemons are replaced one after the other under load, and what is handled twice",
	options: {
		rate: number("--rate <count>", "messages a second", 5_000),
		daemons: number("--daemons <count>", "daemons", 3),
		partitions: number("--partitions <count>", "partitions", 6),
		rounds: amount("--rounds <count>", "how often each daemon is replaced", 5),
		protocol: word("--protocol <name>", "the group's protocol", ["classic", "eager", "consumer"], "classic"),
		ending: word("--ending <name>", "how a daemon ends: SIGTERM, or kill -9", ["drain", "kill"], "drain"),
		membership: word("--membership <name>", "whether a successor takes over its predecessor's name", ["dynamic", "static"], "dynamic"),
		absence: count("--absence <ms>", "from the end of a daemon to the start of its successor", 0),
		work: count("--work <ms>", "how long the daemons' handler takes for a message", 0),
		contenders: words("--contenders <names>", "who is restarted", ["pockaffe", "bare"]),
	},
	async run({ rate, daemons, partitions, rounds, protocol, ending, membership, absence, work, contenders }, setting) {
		await using servers = await startRealServers(setting);
		const { brokers, databaseUrl, folder, db } = servers;
		const tally = new Tally();
		const findings: string[] = [];
		for (let round = 1; round <= setting.repeats; round++) {
			for (const contender of contenders) {
				const names = { topic: `rolling-${contender}-${round}`, group: `rolling-${contender}-${round}` };
				const options: RollingRestartOptions = {
					brokers,
					databaseUrl,
					folder,
					...names,
					protocol,
					isKilled: ending === "kill",
					isStatic: membership === "static",
					partitions,
					daemons,
					perSecond: rate,
					workMs: work,
					absenceMs: absence,
					restMs: REST_MS,
					rounds,
					say: (line) => setting.say(`${contender}: ${line}`),
				};
				const isBare = contender === "bare";
				const result = await rollingRestart(isBare ? { ...options, start: startBare(options) } : options);
				note(tally, contender, result.pausesMs);
				tally.note(contender, { label: "before any restart, max ms", unit: "ms", digits: 0 }, quantile(result.quietMs, 1));
				tally.note(contender, { label: "handled twice", unit: "messages", digits: 0 }, result.handledTwice.length);
				const failed = result.exitCodes.filter((code) => code !== 0 && !(ending === "kill" && code === 137));
				if (failed.length > 0) findings.push(`rolling: ${contender} ended with ${failed.join(", ")}`);
				if (!isBare) await db.database.query("drop table events");
			}
		}
		const notes = ["The longest time between two messages of a partition, of each partition and restart."];
		return { broker: servers.broker, database: db.version, figures: tally.figures(), courses: [], notes, findings };
	},
});

/** Starts members of node-rdkafka alone. */
function startBare({ brokers, topic, group, protocol, isStatic }: RollingRestartOptions): NonNullable<RollingRestartOptions["start"]> {
	return async (slot, notes): Promise<RollingMember> => {
		const given = JSON.stringify({ brokers, topic, group, protocol, isStatic, clientId: `bare-${slot}`, notes });
		const child = spawn(process.execPath, [script, given], { stdio: ["ignore", "pipe", "inherit"] });
		const exit = once(child, "exit");
		const forget = endWithProcess(() => signalTo(child.pid as number, "SIGKILL"));
		let partitions = 0;
		child.stdout.setEncoding("utf8").on("data", (lines: string) => {
			partitions = Number(lines.trim().split("\n").at(-1));
		});
		const end = async (signal: NodeJS.Signals) => {
			child.kill(signal);
			const [code] = (await exit) as [number | null];
			forget();
			return code ?? (signal === "SIGKILL" ? 137 : 1);
		};
		return {
			partitions: async () => partitions,
			stop: end,
			[Symbol.asyncDispose]: async () => void (await end("SIGKILL")),
		};
	};
}

function note(tally: Tally, subject: string, times: readonly number[]): void {
	for (const [label, share] of shares) tally.note(subject, { label, unit: "ms", digits: 0 }, quantile(times, share));
}

const shares = [
	["p50 ms", 0.5],
	["p99 ms", 0.99],
	["max ms", 1],
] as const;
