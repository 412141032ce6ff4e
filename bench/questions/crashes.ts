/**
 * Question: what does a crash cost? The time from the death of a thread to the next message its partition handles, with a back-off
 * too small to count; and the time from the save of a corrected handler to the first message a parked partition handles.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runDaemon } from "../../test/support/daemons/daemon-process.ts";
import { loadTopic } from "../../test/support/kafka/load-topic.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { defineBench } from "../bench.ts";
import { type Servers, startRealServers } from "../measuring/servers.ts";
import { quantile } from "../measuring/statistics.ts";
import { amount } from "../options.ts";
import { Tally } from "../report/figures.ts";

const TOPIC = "bench-crashes";
const SAVES_TOPIC = "bench-saves";
/** Nothing is subtracted from what is measured: a mean would give some deaths more than their own, and hide it in the others. */
const BACK_OFF_MS = 1;

export const crashesBench = defineBench({
	name: "crashes",
	question: "how long a partition stands still after its thread dies, and after its handler is corrected",
	options: {
		crashes: amount("--crashes <count>", "how often a thread dies", 50),
		saves: amount("--saves <count>", "how often the handler is corrected", 10),
	},
	async run({ crashes, saves }, setting) {
		const tally = new Tally();
		await using servers = await startRealServers(setting);
		for (let round = 1; round <= setting.repeats; round++) {
			setting.say(`round ${round}: ${crashes} deaths, ${saves} corrections`);
			const deaths = await deathCosts(servers, crashes, round);
			note(tally, `a death, with a back-off of ${BACK_OFF_MS} ms at most`, deaths);
			note(tally, "a correction, from its save to the next message", await correctionTimes(servers, saves, round));
		}
		const notes = [`${crashes} deaths and ${saves} corrections a round.`];
		return { broker: servers.broker, database: servers.db.version, figures: tally.figures(), courses: [], notes, findings: [] };
	},
});

function note(tally: Tally, subject: string, times: readonly number[]): void {
	for (const [label, share] of [
		["p50 ms", 0.5],
		["p95 ms", 0.95],
		["max ms", 1],
	] as const)
		tally.note(subject, { label, unit: "ms", digits: 1 }, quantile(times, share));
}

/** Every tenth message ends its thread the first time; the handler notes when it dies and when it handles. */
async function deathCosts({ folder, brokers, databaseUrl }: Servers, crashes: number, round: number): Promise<number[]> {
	const notes = join(folder, `deaths-${round}`);
	if (round === 1) await loadTopic(brokers, { name: TOPIC, partitions: 1 }, records(TOPIC, crashes * 10 + 10));
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
		kafka: { brokers: [brokers], topics: [TOPIC], group: `deaths-${round}` },
		handler: { module: "./handler.mjs" },
		supervisor: { maxRestarts: 1_000_000, minBackoffMs: BACK_OFF_MS, maxBackoffMs: BACK_OFF_MS },
		database: { url: databaseUrl },
		tables: { events: { create: true } },
		http: { port: 0 },
	});
	try {
		const lines = async () => (await readFile(notes, "utf8").catch(() => "")).split("\n").filter(Boolean);
		const isDone = async () => (await lines()).filter((line) => line.startsWith("goes on")).length > crashes;
		await waitFor("the last death", isDone, 300_000);
		const costs: number[] = [];
		let diedAt = 0;
		for (const line of await lines()) {
			const at = Number(line.split(" ").at(-1));
			if (line.startsWith("died")) diedAt = at;
			else if (diedAt > 0) costs.push(at - diedAt);
		}
		return costs;
	} finally {
		await daemon.stop();
	}
}

/** A partition parks at every message until a save raises what the handler lets through. */
async function correctionTimes({ folder, brokers, databaseUrl }: Servers, saves: number, round: number): Promise<number[]> {
	if (round === 1) await loadTopic(brokers, { name: SAVES_TOPIC, partitions: 1 }, records(SAVES_TOPIC, saves + 1));
	const notes = join(folder, `handled-${round}`);
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
		kafka: { brokers: [brokers], topics: [SAVES_TOPIC], group: `saves-${round}` },
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
