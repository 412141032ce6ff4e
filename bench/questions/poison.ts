/**
 * Question: what do bad messages cost, and whom? 1 % of the messages of half the partitions fail in a batch handler (attempts without
 * back-off, the breaker off); the rate of the clean partitions and of the poisoned ones, until the last of them is done, as shares of
 * the rate of the same partitions in a run where no message fails. Once where they throw, once where they are rejected.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runDaemon } from "../../test/support/daemons/daemon-process.ts";
import { loadTopic } from "../../test/support/kafka/load-topic.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { defineBench } from "../bench.ts";
import { type Servers, startRealServers } from "../measuring/servers.ts";
import { amount } from "../options.ts";
import { type Measure, Tally } from "../report/figures.ts";

const TOPIC = "bench-poison";
const PARTITIONS = 4;
/** Partitions below this one hold bad messages. */
const POISONED = PARTITIONS / 2;

type Way = "none" | "throwing" | "rejecting";
/** Messages a second of a group of partitions. */
interface Rates {
	readonly clean: number;
	readonly poisoned: number;
}

export const poisonBench = defineBench({
	name: "poison",
	question: "1 % of the messages of half the partitions fail: the rate of these partitions, and of the others",
	options: { messages: amount("--messages <count>", "messages per partition", 100_000) },
	async run({ messages: count }, setting) {
		await using servers = await startRealServers(setting);
		setting.say(`loading ${PARTITIONS} × ${count} messages`);
		await loadTopic(servers.brokers, { name: TOPIC, partitions: PARTITIONS }, records(count));
		const tally = new Tally();
		for (let round = 1; round <= setting.repeats; round++) {
			const clean = await measure(servers, count, "none", round);
			setting.say(`round ${round}, no failures: ${Math.round(clean.clean)} and ${Math.round(clean.poisoned)} messages/s`);
			tally.note("clean partitions", withoutFailures, clean.clean);
			tally.note("poisoned partitions", withoutFailures, clean.poisoned);
			for (const way of ["throwing", "rejecting"] as const) {
				const rates = await measure(servers, count, way, round);
				setting.say(`round ${round}, ${way}: ${Math.round(rates.clean)} and ${Math.round(rates.poisoned)} messages/s`);
				tally.note("clean partitions", timesWhile(way), rates.clean / clean.clean);
				tally.note("poisoned partitions", timesWhile(way), rates.poisoned / clean.poisoned);
			}
		}
		const notes = [
			`1 % of the messages of ${POISONED} of ${PARTITIONS} partitions; shares of the rate of the same partitions without failures.`,
		];
		return { broker: servers.broker, database: servers.db.version, figures: tally.figures(), courses: [], notes, findings: [] };
	},
});

const withoutFailures: Measure = { label: "messages/s without failures", unit: "1/s", digits: 0 };

function timesWhile(way: Way): Measure {
	return { label: `× while ${way}`, unit: "×", digits: 2 };
}

function* records(count: number) {
	for (let i = 0; i < count * PARTITIONS; i++) {
		const [partition, index] = [i % PARTITIONS, Math.floor(i / PARTITIONS)];
		const value = JSON.stringify({ name: `name ${index}`, bad: partition < POISONED && (index * 7919) % 100 === 0 });
		yield { topic: TOPIC, partition, key: `${partition}-${index % 20_000}`, value };
	}
}

/** From the first message the daemon received to the last commit of the group's slowest partition. */
async function measure({ folder, brokers, databaseUrl }: Servers, count: number, way: Way, turn: number): Promise<Rates> {
	const bad = { none: "", throwing: 'throw new Error("bad");', rejecting: 'return { reject: "bad" };' }[way];
	await writeFile(
		join(folder, "handler.mjs"),
		`export const handleMessages = (batch) => batch.map(({ key, value }) => {
			const { name, bad } = JSON.parse(value.toString());
			if (bad) { ${bad} }
			return { id: key.toString(), fields: { name } };
		});`,
	);
	const table = `${way}_${turn}`;
	const daemon = await runDaemon(folder, {
		kafka: { brokers: [brokers], topics: [TOPIC], group: table },
		handler: { module: "./handler.mjs", maxAttempts: 2, retryBackoffMs: 0 },
		database: { url: databaseUrl },
		tables: { [table]: { columns: { name: "text" }, create: true } },
		deadLetters: { table: `${table}_letters`, breaker: { share: 1, consecutive: 0 } },
		offsets: { commitIntervalMs: 50 },
		http: { port: 0 },
	});
	try {
		await waitFor("the first message", async () => (await daemon.metric("pockaffe_messages_consumed_total")) > 0, 60_000);
		const startedAt = performance.now();
		const endedAt = new Array<number>(PARTITIONS).fill(0);
		const look = async () => {
			for (const { partition, committed } of (await daemon.status()).partitions)
				if (committed === count) endedAt[partition] ||= performance.now();
			return endedAt.every((at) => at > 0);
		};
		await waitFor("the last commit", look, 600_000);
		const rateOf = (group: readonly number[]) => ((count * group.length) / (Math.max(...group) - startedAt)) * 1000;
		return { clean: rateOf(endedAt.slice(POISONED)), poisoned: rateOf(endedAt.slice(0, POISONED)) };
	} finally {
		await daemon.stop();
	}
}
