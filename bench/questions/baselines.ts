/**
 * Question: what would somebody have without PocKaffe? The daemon (pockaffe:json, and a handler in JavaScript) beside what a good
 * engineer would write (bench/baselines) and Kafka Connect with Debezium's JDBC sink: the same topic, the same table, in turns.
 */
import { defineBench } from "../bench.ts";
import type { Contender } from "../contenders/contender.ts";
import { daemonContender, handlerFile } from "../contenders/daemon-contender.ts";
import { debezium, javaMissing } from "../contenders/debezium-contender.ts";
import { type ContenderRun, noteRun, runContender } from "../contenders/run-contender.ts";
import { scriptContender } from "../contenders/script-contender.ts";
import { TableCheck } from "../measuring/event-tables.ts";
import { loadLog, startRealServers } from "../measuring/servers.ts";
import { amount, number, words } from "../options.ts";
import { type Measure, Tally, timesOf } from "../report/figures.ts";

const TOPIC = "bench-baselines";
/** A row a statement: a whole log would take minutes and show nothing more. */
const SLOW_SECONDS = 10;

const contenders = {
	json: daemonContender("pockaffe:json", { handler: { module: "pockaffe:json" } }),
	js: daemonContender("PocKaffe, handler in JavaScript", { handler: { module: handlerFile("json-row.mjs") } }),
	"by-hand": scriptContender({ name: "node-rdkafka by hand", newestBy: "offset", script: "by-hand.mjs" }),
	"by-hand-10000": scriptContender({
		...{ name: "node-rdkafka by hand, 10,000 a statement", newestBy: "offset", script: "by-hand.mjs", given: { rowsPerStatement: 10_000 } },
	}),
	"kafkajs-batches": scriptContender({ name: "kafkajs, batches", newestBy: "offset", script: "kafkajs-batches.mjs" }),
	"kafkajs-one-row": scriptContender({
		...{ name: "kafkajs, a row a message", newestBy: "offset", script: "kafkajs-one-row.mjs", secondsAtMost: SLOW_SECONDS },
	}),
	debezium,
} as const satisfies Record<string, Contender>;
type Name = keyof typeof contenders;
const names = Object.keys(contenders) as Name[];
/** Those that a ratio is told to: the best of the hand-written ones, and Debezium. */
const handWritten: readonly Name[] = ["by-hand", "by-hand-10000", "kafkajs-batches", "kafkajs-one-row"];

export const baselinesBench = defineBench({
	name: "baselines",
	question: "the same topic and table with the alternatives: code by hand with node-rdkafka, kafkajs, Debezium's JDBC sink",
	options: {
		messages: amount("--messages <count>", "messages in the topic", 3_000_000),
		ids: number("--ids <count>", "different ids", 100_000),
		partitions: number("--partitions <count>", "partitions", 4),
		connections: number("--connections <count>", "connections to the database", 2),
		contenders: words("--contenders <names>", "who takes part", names),
	},
	async run(options, setting) {
		const { messages: count, ids, partitions, connections } = options;
		await using servers = await startRealServers(setting);
		const missing = options.contenders.includes("debezium") ? await javaMissing() : null;
		const chosen = options.contenders.filter((name) => name !== "debezium" || missing === null);
		const log = { topic: TOPIC, count, ids, partitions, seed: 1, wander: false, deletes: 0 };
		setting.say(`loading ${count} messages of ${ids} ids`);
		await loadLog(servers, log);
		const tally = new Tally();
		const check = new TableCheck();
		const findings: string[] = [];
		for (let round = 1; round <= setting.repeats; round++) {
			const runs = new Map<Name, ContenderRun>();
			for (const name of chosen) {
				const run = await runContender(contenders[name], { servers, log, connections, check });
				setting.say(`round ${round}, ${contenders[name].name}: ${Math.round(run.messagesPerSecond)} messages/s`);
				runs.set(name, run);
				findings.push(...run.findings);
			}
			noteRound(tally, runs);
		}
		const left = missing === null ? [] : [`Debezium is left out: ${missing}`];
		const notes = [...reading, ...left];
		return { broker: servers.broker, database: servers.db.version, figures: tally.figures(), courses: [], notes, findings };
	},
});

const reading = [
	"Measured between a tenth (for Debezium the JVM's first million, or half) and 85 % of the messages, by committed offsets; every table was compared with the fold of its log.",
	`A row a message: stopped after ${SLOW_SECONDS} s. The daemon's rows carry topic position and time as their version; the baselines guard one column, Debezium's have no guard.`,
];

function noteRound(tally: Tally, runs: ReadonlyMap<Name, ContenderRun>): void {
	const rate = (name: Name) => runs.get(name)?.messagesPerSecond ?? Number.NaN;
	const byHand = handWritten.map(rate).filter(Number.isFinite);
	for (const [name, run] of runs) {
		const { name: subject } = contenders[name];
		noteRun(tally, subject, run);
		const note = (measure: Measure, of: number) => tally.note(subject, measure, run.messagesPerSecond / of);
		if (byHand.length > 0) note(timesOf("best by hand"), Math.max(...byHand));
		if (runs.has("debezium")) note(timesOf("Debezium"), rate("debezium"));
	}
}
