/**
 * A rolling restart under load: one daemon after the other is stopped by SIGTERM and replaced, while messages come at a steady rate. Each
 * handler notes what it was given and when, so that repeats and pauses can be told afterwards. Another member of a group can take the
 * daemons' place.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loadTopic } from "../kafka/load-topic.ts";
import { SteadyLoad } from "../kafka/steady-load.ts";
import { waitFor } from "../wait-for.ts";
import { runDaemon } from "./daemon-process.ts";
import type { LogEvent } from "./event-log.ts";

/** What is wanted. */
export interface RollingRestartOptions {
	readonly brokers: string;
	readonly databaseUrl: string;
	readonly folder: string;
	readonly topic: string;
	readonly group: string;
	readonly protocol: "classic" | "eager" | "consumer";
	readonly partitions: number;
	readonly daemons: number;
	readonly perSecond: number;
	/** How long a handler takes for a message, ms. Default 0. */
	readonly workMs?: number;
	/** Those that are replaced end by `kill -9`, not by SIGTERM. Default: false. */
	readonly isKilled?: boolean;
	/** Each has a name that its successor takes over (`kafka.instanceId`). Default: false. */
	readonly isStatic?: boolean;
	/** From the end of a daemon to the start of its successor, ms. Default 0. */
	readonly absenceMs?: number;
	/** From a successor's first partitions to the next restart, ms. Default 0. */
	readonly restMs?: number;
	/** What is restarted: a daemon unless said. `slot`: which one, `notes`: where each message is noted as "partition offset time" (ms). */
	readonly start?: (slot: number, notes: string) => Promise<RollingMember>;
	/** How often every daemon is replaced. */
	readonly rounds: number;
	readonly say: (line: string) => void;
}

/** What is stopped and replaced. */
export interface RollingMember extends AsyncDisposable {
	/** How many partitions it has. */
	partitions(): Promise<number>;
	/** Resolves to its exit code; 137 after `kill -9`. */
	stop(signal: "SIGTERM" | "SIGKILL"): Promise<number>;
}

/** What came of it. */
export interface RollingRestartResult {
	readonly messages: number;
	/** Messages given to a handler more than once. */
	readonly handledTwice: readonly string[];
	readonly exitCodes: readonly number[];
	/** Of each partition and each restart, the longest time between two of its messages, ms. */
	readonly pausesMs: readonly number[];
	/** The same before the first restart: what the load alone makes. */
	readonly quietMs: readonly number[];
}

const TICK_MS = 10;
const IDS = 10_000;

/** Runs it; `verify` can be run in `folder` afterwards. Rejects where a daemon or a message doesn't come back. */
export async function rollingRestart(options: RollingRestartOptions): Promise<RollingRestartResult> {
	const { brokers, folder, topic, partitions, rounds, say } = options;
	await loadTopic(brokers, { name: topic, partitions }, []);
	const notes = join(folder, "notes");
	await writeFile(notes, "");
	await writeFile(join(folder, "handler.mjs"), handlerNoting(notes, options.workMs ?? 0));
	const start = options.start ?? ((slot) => startDaemon(options, slot));
	const running: RollingMember[] = [];
	const exitCodes: number[] = [];
	const marks: number[] = [];
	try {
		for (let i = 0; i < options.daemons; i++) running.push(await start(i, notes));
		await untilShared(running, partitions);
		await using load = await SteadyLoad.start(brokers, messages(options), options.perSecond, { tickMs: TICK_MS });
		await untilHandled(notes, options.perSecond);
		marks.push(Date.now());
		await untilHandled(notes, options.perSecond * 3);
		for (let restart = 0; restart < rounds * options.daemons; restart++) {
			marks.push(Date.now());
			const leaving = running.shift() as RollingMember;
			exitCodes.push(await leaving.stop(options.isKilled ? "SIGKILL" : "SIGTERM"));
			await sleep(options.absenceMs ?? 0);
			running.push(await start(restart % options.daemons, notes));
			await untilShared(running, partitions);
			await sleep(options.restMs ?? 0);
			say(`${restart + 1} of ${rounds * options.daemons} replaced`);
		}
		marks.push(Date.now());
		await load.stop();
		await untilHandled(notes, load.delivered);
		for (const daemon of running.splice(0)) exitCodes.push(await daemon.stop("SIGTERM"));
		return { messages: load.delivered, exitCodes, ...judge(await readNotes(notes), marks) };
	} finally {
		for (const daemon of running) await daemon[Symbol.asyncDispose]();
	}
}

async function startDaemon(
	{ brokers, topic, group, protocol, isStatic = false, databaseUrl, folder }: RollingRestartOptions,
	slot: number,
): Promise<RollingMember> {
	const name = `pockaffe-${slot}`;
	const config = {
		kafka: { brokers: [brokers], topics: [topic], group, protocol },
		handler: { module: "./handler.mjs" },
		database: { url: databaseUrl },
		tables: { events: { columns: { n: "bigint" }, create: true } },
	};
	// Not in the file, which all read.
	const daemon = await runDaemon(folder, config, {
		POCKAFFE_KAFKA_PROPERTIES: JSON.stringify({ "client.id": name }),
		...(isStatic ? { POCKAFFE_KAFKA_INSTANCE_ID: name } : {}),
	});
	return {
		partitions: async () => (await daemon.status()).partitions.length,
		stop: (signal) => daemon.stop(signal),
		[Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
	};
}

function handlerNoting(file: string, workMs: number): string {
	const wait = workMs > 0 ? `await new Promise((resolve) => setTimeout(resolve, ${workMs}));` : "";
	return `
		import { openSync, writeSync } from "node:fs";
		const notes = openSync(${JSON.stringify(file)}, "a");
		export ${wait && "async "}function handleMessage({ partition, offset, key }) {
			${wait}
			writeSync(notes, partition + " " + offset + " " + (performance.timeOrigin + performance.now()) + "\\n");
			return { id: key.toString(), fields: { n: offset } };
		}`;
}

async function untilShared(members: readonly RollingMember[], partitions: number): Promise<void> {
	await waitFor("a share for each", async () => {
		const counts = await Promise.all(members.map((member) => member.partitions()));
		return counts.every((count) => count > 0) && counts.reduce((sum, count) => sum + count, 0) === partitions;
	});
}

/** Endless, every partition in turn. */
function* messages({ topic, partitions }: RollingRestartOptions): Generator<LogEvent> {
	for (let number = 0; ; number++) {
		yield { topic, partition: number % partitions, key: `id-${number % IDS}`, value: "v", timestamp: Date.now() };
	}
}

interface Note {
	readonly partition: number;
	readonly offset: number;
	readonly at: number;
}

async function readNotes(file: string): Promise<Note[]> {
	const lines = (await readFile(file, "utf8")).split("\n").filter(Boolean);
	return lines.map((line) => {
		const [partition, offset, at] = line.split(" ").map(Number) as [number, number, number];
		return { partition, offset, at };
	});
}

async function untilHandled(file: string, count: number): Promise<void> {
	const seen = async () => new Set((await readNotes(file)).map(({ partition, offset }) => `${partition}@${offset}`));
	await waitFor(`${count} messages to be handled`, async () => (await seen()).size >= count).catch(async (error) => {
		throw new Error(`${gapsIn(await seen())}\n${error.message}`);
	});
}

/** Of each partition the first offset that nobody handled: a gap, or where it stands. */
function gapsIn(seen: ReadonlySet<string>): string {
	const partitions = new Set(Array.from(seen, (name) => name.split("@")[0]));
	const first = (partition: string) => {
		let offset = 0;
		while (seen.has(`${partition}@${offset}`)) offset++;
		return offset;
	};
	return `not handled: ${Array.from(partitions, (partition) => `${partition}@${first(partition as string)}`).join(", ")}`;
}

/** `marks`: the beginning of the quiet time, of each restart, and the end. */
function judge(notes: readonly Note[], marks: readonly number[]): Pick<RollingRestartResult, "handledTwice" | "pausesMs" | "quietMs"> {
	const seen = new Set<string>();
	const handledTwice: string[] = [];
	const byPartition = new Map<number, Note[]>();
	for (const note of notes) {
		const name = `${note.partition}@${note.offset}`;
		if (seen.has(name)) handledTwice.push(name);
		seen.add(name);
		const all = byPartition.get(note.partition);
		if (all) all.push(note);
		else byPartition.set(note.partition, [note]);
	}
	const windows = marks.slice(0, -1).map((from, index) => longestPauses(byPartition, from, marks[index + 1] as number));
	const [quietMs = [], ...restarts] = windows;
	return { handledTwice, quietMs, pausesMs: restarts.flat() };
}

function longestPauses(byPartition: ReadonlyMap<number, readonly Note[]>, from: number, to: number): number[] {
	return [...byPartition.values()].map((notes) => {
		let longest = 0;
		for (let i = 1; i < notes.length; i++) {
			const [before, at] = [(notes[i - 1] as Note).at, (notes[i] as Note).at];
			// A pause belongs to the window that holds its middle: one that a restart makes can begin with a message just before it.
			const middle = (before + at) / 2;
			if (middle >= from && middle < to) longest = Math.max(longest, at - before);
		}
		return longest;
	});
}
