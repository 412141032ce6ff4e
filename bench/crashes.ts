/**
 * Question: what does a crash cost? The time from the death of a thread to the next message its partition handles, without the
 * back-off; and the time from the save of a corrected handler to the first message a parked partition handles.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { runDaemon } from "../test/support/daemon-process.ts";
import { loadTopic } from "../test/support/load-topic.ts";
import { waitFor } from "../test/support/wait-for.ts";
import { printFigures, quantile, round, say } from "./report.ts";
import { type Servers, startServers } from "./servers.ts";

interface CrashOptions {
	readonly crashes: string;
	readonly saves: string;
}

const TOPIC = "bench-crashes";
const SAVES_TOPIC = "bench-saves";

export function registerCrashes(program: Command): void {
	program
		.command("crashes")
		.description("how long a partition stands still after a death of its thread, and after a correction of its handler")
		.option("--crashes <count>", "deaths", "50")
		.option("--saves <count>", "corrections", "10")
		.action(measureCrashes);
}

async function measureCrashes(options: CrashOptions): Promise<void> {
	const [crashes, saves] = [Number(options.crashes), Number(options.saves)];
	await using servers = await startServers([TOPIC, SAVES_TOPIC]);
	const deaths = await deathCosts(servers, crashes);
	const corrections = await correctionTimes(servers, saves);
	const spread = (values: readonly number[]) => ({
		medianMs: round(quantile(values, 0.5), 1),
		p95Ms: round(quantile(values, 0.95), 1),
		maxMs: round(Math.max(...values), 1),
	});
	printFigures({
		question: "crashes",
		broker: servers.broker,
		crashes,
		costOfADeathBesideTheBackOff: spread(deaths),
		saves,
		fromSaveToNextMessage: spread(corrections),
	});
}

/** Every tenth message ends its thread the first time; the handler notes when it dies and when it handles. */
async function deathCosts({ folder, brokers, databaseUrl }: Servers, crashes: number): Promise<number[]> {
	say(`${crashes} deaths`);
	const notes = join(folder, "deaths");
	await loadTopic(brokers, { name: TOPIC, partitions: 1 }, records(TOPIC, crashes * 10 + 10));
	await writeFile(
		join(folder, "handler.mjs"),
		`import { appendFileSync, existsSync, readFileSync } from "node:fs";
		const notes = ${JSON.stringify(notes)};
		const died = new Set(existsSync(notes) ? readFileSync(notes, "utf8").split("\\n").filter((line) => line.startsWith("died")).map((line) => Number(line.split(" ")[1])) : []);
		let first = true;
		export function handleMessage({ offset, key }) {
			if (first) appendFileSync(notes, "goes on " + Date.now() + "\\n");
			first = false;
			if (offset % 10 === 5 && !died.has(offset)) {
				appendFileSync(notes, "died " + offset + " " + Date.now() + "\\n");
				process.exit(1);
			}
			return { id: key.toString(), fields: {} };
		}`,
	);
	const daemon = await runDaemon(folder, {
		kafka: { brokers: [brokers], topics: [TOPIC], group: "deaths" },
		handler: { module: "./handler.mjs" },
		supervisor: { maxRestarts: 1_000_000, minBackoffMs: 5, maxBackoffMs: 5 },
		database: { url: databaseUrl },
		tables: { events: { create: true } },
		http: { port: 0 },
	});
	try {
		const lines = async () => (await readFile(notes, "utf8").catch(() => "")).split("\n").filter(Boolean);
		const isDone = async () => (await lines()).filter((line) => line.startsWith("goes on")).length > crashes;
		await waitFor("the last death", isDone, 300_000);
		const backOffs = daemon.records.filter(({ next }) => next === "restart").map(({ delayMs }) => Number(delayMs));
		// What a storm's summary holds back has the same bounds.
		const meanBackOff = backOffs.reduce((sum, each) => sum + each, 0) / backOffs.length;
		const costs: number[] = [];
		let diedAt = 0;
		for (const line of await lines()) {
			const at = Number(line.split(" ").at(-1));
			if (line.startsWith("died")) diedAt = at;
			else if (diedAt > 0) costs.push(Math.max(0, at - diedAt - meanBackOff));
		}
		return costs;
	} finally {
		await daemon.stop();
	}
}

/** A partition parks at every message until a save raises what the handler lets through. */
async function correctionTimes({ folder, brokers, databaseUrl }: Servers, saves: number): Promise<number[]> {
	say(`${saves} corrections`);
	await loadTopic(brokers, { name: SAVES_TOPIC, partitions: 1 }, records(SAVES_TOPIC, saves + 1));
	const notes = join(folder, "handled");
	const save = async (below: number) => {
		await writeFile(
			join(folder, "handler.new"),
			`import { appendFileSync } from "node:fs";
			export function handleMessage({ offset, key }) {
				if (offset >= ${below}) throw new Error("not yet");
				appendFileSync(${JSON.stringify(notes)}, offset + " " + Date.now() + "\\n");
			}`,
		);
		await rename(join(folder, "handler.new"), join(folder, "saved.mjs"));
	};
	await save(0);
	const daemon = await runDaemon(folder, {
		kafka: { brokers: [brokers], topics: [SAVES_TOPIC], group: "saves" },
		handler: { module: "./saved.mjs", maxAttempts: 1, onPoison: "park" },
		supervisor: { maxBackoffMs: 600_000 },
		database: { url: databaseUrl },
		tables: { events: { create: true } },
		http: { port: 0 },
	});
	try {
		const times: number[] = [];
		for (let offset = 0; offset < saves; offset++) {
			const isParkedThere = async () => {
				const [partition] = (await daemon.status()).partitions;
				return partition?.state === "parked" && partition.lastFailure?.coordinates?.offset === offset;
			};
			await waitFor(`the park at offset ${offset}`, isParkedThere);
			const savedAt = Date.now();
			await save(offset + 1);
			const handled = await waitFor("the message", async () =>
				(await readFile(notes, "utf8").catch(() => "")).split("\n").find((line) => line.startsWith(`${offset} `)),
			);
			times.push(Number(handled.split(" ")[1]) - savedAt);
		}
		return times;
	} finally {
		await daemon.stop();
	}
}

function* records(topic: string, count: number) {
	for (let i = 0; i < count; i++) yield { topic, partition: 0, key: `k${i}`, value: "v" };
}
