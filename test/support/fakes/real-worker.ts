/**
 * Partition workers with real threads of one handler, as the daemon makes them; sinks and listener note what they get. No call is ever
 * judged by how fast the machine is: `handler.timeoutMs` passes only in `timeOut`, when the handler said that it stands.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DeadLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import { rowsOf } from "../../../src/core/rows/rows.ts";
import { Turn } from "../../../src/core/waiting/turn.ts";
import { RestartIntensity } from "../../../src/supervisor/restart-intensity.ts";
import type { CrashReport } from "../../../src/worker/failures/crash-report.ts";
import { PartitionWorker } from "../../../src/worker/partition-worker.ts";
import { noRecords } from "../../../src/worker/ports.ts";
import type { StuckThreads } from "../../../src/worker/thread/stuck-threads.ts";
import { createHandlerThreads } from "../../../src/worker/thread/worker-thread.ts";
import type { WorkerSettings } from "../../../src/worker/worker-parts.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { waitFor } from "../wait-for.ts";
import { LongWaitsClock } from "./long-waits-clock.ts";
import { events } from "./real-thread.ts";

const TOPIC = "orders";

/** One partition's worker and what became of its messages. */
export interface RealWorker {
	readonly worker: PartitionWorker;
	readonly finished: number[];
	readonly crashes: CrashReport[];
	/** Rows that were handed in, in order: `offset id values`. */
	readonly rows: string[];
	/** How many messages were finished at each of the crashes. */
	readonly finishedAtCrash: number[];
	/** `started`, `restarted <reason>`, `parked`, `resumed`, `dead letter <offset>`, `terminate failed <message>`. */
	readonly events: string[];
	/** Hands over messages `from` to `to` (excluded). */
	deliver(from: number, to: number): void;
	/** Warnings of its runs. */
	readonly warnings: string[];
	/** All messages below `count` are finished. */
	done(count: number): Promise<void>;
	/** What the handler noted by its `note(…)`, in order, over all of its threads. */
	notes(): Promise<string[]>;
}

/** Workers of partitions 0 and 1 over one handler file; use with `await using`. */
export interface RealWorkers extends AsyncDisposable {
	/** Partition 0, whose handler fails. */
	readonly victim: RealWorker;
	/** Partition 1, whose handler works. */
	readonly sibling: RealWorker;
	/** What the handler noted under another name than a partition's. */
	notes(name: string): Promise<string[]>;
	/** Ends the wait of every `until(name)` and `standUntil(name)` of the handler. */
	open(name: string): Promise<void>;
	/** Waits until the handler said by `stands()` that it hangs, in a thread that was not ended for that yet. */
	stand(): Promise<void>;
	/** Lets so much time pass for who waits for a deadline. */
	pass(ms: number): Promise<void>;
	/** Waits for that, and lets time pass until `isOver`, by default the victim's next crash. Nobody else may be in a call meanwhile. */
	timeOut(isOver?: () => boolean): Promise<void>;
	/** Puts another handler in place, as an editor would, and says that it changed. */
	correct(source: string): Promise<void>;
}

export interface RealWorkersOptions extends Partial<WorkerSettings> {
	/** Null: the module is missing. */
	readonly source: string | null;
	readonly maxRestarts?: number;
	/** 1: the two share a thread. */
	readonly maxThreads?: number;
	readonly concurrency?: number;
	/** A thread stands in reserve, with the module loaded. */
	readonly isWarm?: boolean;
	readonly stuck?: StuckThreads;
}

/**
 * Source in front of every handler here: `note(text)` appends to the partition's notes, `once(name)` is true the first time in the
 * life of the workers, whatever threads there were. `until(name)` resolves when the test opens it, `standUntil(name)` keeps the thread so
 * long. `stands()`: the handler hangs from here on.
 */
function prelude(folder: string): string {
	return `
		import { appendFileSync, existsSync, writeFileSync } from "node:fs";
		import { threadId } from "node:worker_threads";
		const __folder = ${JSON.stringify(folder)};
		const __later = globalThis.setTimeout;
		const note = (partition, text) => appendFileSync(__folder + "/notes-" + partition, text + "\\n");
		const once = (name) => !existsSync(__folder + "/once-" + name) && (writeFileSync(__folder + "/once-" + name, ""), true);
		const isOpen = (name) => existsSync(__folder + "/open-" + name);
		const until = async (name) => { while (!isOpen(name)) await new Promise((resolve) => __later(resolve, 5)); };
		const standUntil = (name) => { while (!isOpen(name)); };
		const stands = () => note("stands", threadId);
	`;
}

/** See RealWorkers. */
export async function realWorkers(options: RealWorkersOptions): Promise<RealWorkers> {
	const { source, maxRestarts = 10, maxThreads = 0, concurrency = 1, stuck, isWarm = false, ...settings } = options;
	const folder = await temporaryFolder();
	const module = join(folder.path, "handler.mjs");
	const notes = async (name: string) =>
		(await readFile(join(folder.path, `notes-${name}`), "utf8").catch(() => "")).split("\n").filter(Boolean);
	const write = (text: string) => writeFile(module, prelude(folder.path) + text);
	const clock = new LongWaitsClock();
	if (source !== null) await write(source);
	const threads = createHandlerThreads({
		handler: { module, options: {}, maxOutcomeBytes: 10_000, concurrency },
		tables: [events],
		maxHeapMb: 64,
		maxThreads,
		printed: () => {},
		...(stuck ? { stuck } : {}),
	});
	if (isWarm) await threads.warm(1, 60_000);
	const workers = [0, 1].map((partition): RealWorker => {
		const [finished, crashes, log] = [[] as number[], [] as CrashReport[], [] as string[]];
		const [rows, finishedAtCrash] = [[] as string[], [] as number[]];
		const warnings: string[] = [];
		const worker = new PartitionWorker({
			partition: { topic: TOPIC, partition },
			logId: null,
			settings: {
				timeoutMs: 1_000,
				maxAttempts: 3,
				retryBackoffMs: 1,
				maxRetryBackoffMs: 5,
				module: "./handler.mjs",
				version: "",
				onPoison: "dead-letter",
				onExceeded: "park",
				minBackoffMs: 1,
				maxBackoffMs: 5,
				futureLimits: new Map(),
				atomic: new Set(),
				breaker: { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 0 },
				...settings,
			},
			threads: threads.lease({ topic: TOPIC, partition }),
			rows: {
				write: ({ batch, blocks, settled }) => {
					for (const block of blocks) {
						for (const { message, id, values } of rowsOf(block)) rows.push(`${batch.offsets[message]} ${id} ${JSON.stringify(values)}`);
						block.messages.forEach(settled);
					}
				},
				flush: () => {},
			},
			records: noRecords,
			deadLetters: { store: async (letter: DeadLetter) => void log.push(`dead letter ${letter.offset}`) },
			intensity: new RestartIntensity({ maxRestarts, withinMs: 60_000 }),
			turn: new Turn(),
			clock,
			random: () => 0.5,
			finished: (offset) => finished.push(offset),
			isFull: () => false,
			listener: {
				started: () => log.push("started"),
				handled: (_, outcome) => warnings.push(...outcome.warnings),
				crashed: (report) => {
					crashes.push(report);
					finishedAtCrash.push(finished.length);
				},
				restarted: (_, reason) => log.push(`restarted ${reason}`),
				heldTooMuch: () => log.push("held too much"),
				carefulBegan: () => log.push("careful"),
				carefulEnded: () => log.push("careful no more"),
				terminateFailed: (_, { message }) => log.push(`terminate failed ${message}`),
				parked: () => log.push("parked"),
				resumed: () => log.push("resumed"),
				deadLettered: () => {},
				skipped: (_, offset) => log.push(`skipped ${offset}`),
				stopRequested: () => log.push("stop"),
			},
		});
		return {
			worker,
			finished,
			crashes,
			rows,
			finishedAtCrash,
			events: log,
			warnings,
			deliver: (from, to) => worker.deliver(packMessages(messages(partition, from, to))),
			done: (count) => waitFor(`${count} messages of ${partition}`, async () => finished.length >= count).then(() => {}),
			notes: () => notes(String(partition)),
		};
	});
	const [victim, sibling] = workers as [RealWorker, RealWorker];
	let lastEnded = 0;
	/** The thread's id. */
	const stand = () =>
		waitFor("the handler to hang", async () => {
			const threadId = Number((await notes("stands")).at(-1) ?? 0);
			return threadId > lastEnded ? threadId : null;
		});
	return {
		victim,
		sibling,
		notes,
		open: (name) => writeFile(join(folder.path, `open-${name}`), ""),
		stand: async () => void (await stand()),
		async timeOut(isOver) {
			lastEnded = await stand();
			const before = victim.crashes.length;
			await clock.passUntil("the deadline to be judged", isOver ?? (() => victim.crashes.length > before));
		},
		pass: (ms) => {
			const end = clock.monotonic() + ms;
			return clock.passUntil(`${ms} ms`, () => clock.monotonic() >= end);
		},
		async correct(text) {
			await write(text);
			victim.worker.handlerChanged();
		},
		async [Symbol.asyncDispose]() {
			await Promise.all(workers.map(({ worker }) => worker.kill()));
			await folder[Symbol.asyncDispose]();
		},
	};
}

function messages(partition: number, from: number, to: number) {
	return Array.from({ length: to - from }, (_, index) => {
		const offset = from + index;
		return { topic: TOPIC, partition, offset, timestamp: offset, key: Buffer.from(`k${offset}`), value: Buffer.from("v"), headers: [] };
	});
}
