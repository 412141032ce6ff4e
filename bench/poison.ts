/**
 * Question: what do bad messages cost, and whom? 1 % of the messages of half the partitions fail in a batch handler (attempts without
 * back-off, the breaker off); the rate of the clean partitions and of the poisoned ones, until the last of them is done, as shares of
 * the rate of the same partitions in a run where no message fails. Once where they throw, once where they are rejected.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { runDaemon } from "../test/support/daemon-process.ts";
import { loadTopic } from "../test/support/load-topic.ts";
import { waitFor } from "../test/support/wait-for.ts";
import { printFigures, quantile, round, say } from "./report.ts";
import { type Servers, startServers } from "./servers.ts";

interface PoisonOptions {
	readonly messages: string;
	readonly rounds: string;
}

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

export function registerPoison(program: Command): void {
	program
		.command("poison")
		.description("1 % of the messages of half the partitions fail: the rate of the others, and of themselves")
		.option("--messages <count>", "messages per partition", "100000")
		.option("--rounds <count>", "each way so often; the medians count", "3")
		.action(measurePoison);
}

async function measurePoison(options: PoisonOptions): Promise<void> {
	const count = Number(options.messages);
	await using servers = await startServers([TOPIC]);
	if (servers.broker !== "real Kafka") throw new Error("a real Kafka is needed: the embedded one keeps too little");
	say(`loading ${PARTITIONS} × ${count} messages`);
	await loadTopic(servers.brokers, { name: TOPIC, partitions: PARTITIONS }, records(count));
	const rates: Record<Way, Rates[]> = { none: [], throwing: [], rejecting: [] };
	for (let turn = 1; turn <= Number(options.rounds); turn++) {
		for (const way of Object.keys(rates) as Way[]) {
			const rate = await measure(servers, count, way, turn);
			rates[way].push(rate);
			say(`round ${turn}, ${way}: clean ${Math.round(rate.clean)}, poisoned ${Math.round(rate.poisoned)} messages/s`);
		}
	}
	const median = (way: Way, group: keyof Rates) =>
		quantile(
			rates[way].map((rate) => rate[group]),
			0.5,
		);
	const shares = (way: Way) => ({
		clean: round(median(way, "clean") / median("none", "clean"), 2),
		poisoned: round(median(way, "poisoned") / median("none", "poisoned"), 2),
	});
	printFigures({
		question: "poison",
		messagesPerPartition: count,
		partitions: PARTITIONS,
		poisonedPartitions: POISONED,
		rounds: Number(options.rounds),
		messagesPerSecondWithoutFailures: Math.round(median("none", "clean")),
		throwing: shares("throwing"),
		rejecting: shares("rejecting"),
	});
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
