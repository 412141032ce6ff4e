/**
 * One scene and one oracle for handlers that misbehave: two partitions, two waves of ten messages each, the hostile act at the sixth message
 * of partition 0. Every message but the culprit must end as its own row with its own coordinates; the culprit as the case says. The
 * daemon is a process, restarted as a service manager would; it must be ready, idle and stoppable afterwards, and `verify` must agree.
 */
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { Producer } from "../../src/kafka/producer.ts";
import { ClusterInspector } from "../../src/kafka/topics.ts";
import { pockaffe } from "../support/command-line.ts";
import { type DaemonProcess, runDaemon } from "../support/daemon-process.ts";
import { kafkaAt, loadTopic } from "../support/load-topic.ts";
import { uniqueName } from "../support/real-kafka.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";
import { waitFor } from "../support/wait-for.ts";

const WAVE = 10;
const CULPRIT = 5;
const PARTITIONS = 2;
const CATCH_UP_MS = 30_000;
/** Inside the ten seconds that a container gives: the drain's limit, and a second for what can't be ended. */
const STOP_MS = 9_000;
const MOST_RESTARTS = 6;

/** What becomes of the culprit: a row like any other, nothing, a dead letter (of one of these reasons), or either of row and letter. */
export type Fate = "row" | "none" | "letter" | "row or letter" | "any";

/** A handler that misbehaves. The module's `ROW(message)` is the row that a message should become. */
export interface HostileCase {
	readonly what: string;
	/** Code of the module's top. */
	readonly top?: string;
	/** Runs at the culprit, each time it is handled. Falls through to the good row where it doesn't return. */
	readonly act: string;
	/** The whole module, in place of the two above. */
	readonly source?: string;
	readonly culprit: Fate;
	/** What the letter's or a report's words must say. */
	readonly words?: RegExp;
	/** Sections of the configuration, over the scene's. */
	readonly config?: Readonly<Record<string, Record<string, unknown>>>;
	/** More columns of the table, with what they hold in a good row. */
	readonly doc?: unknown;
	/** Its thread can't be ended, and outlives the case: `/readyz` must say so, and nothing else. */
	readonly stuck?: true;
	/** `verify` runs the handler too, and some acts can't be told from real work there. */
	readonly verify?: false;
	/** Runs with every test run. */
	readonly short?: true;
}

const base = {
	handler: { module: "./handler.mjs", timeoutMs: 1_500, maxAttempts: 2, retryBackoffMs: 1, maxRetryBackoffMs: 5 },
	supervisor: { minBackoffMs: 1, maxBackoffMs: 200 },
	tables: { events: { columns: { n: "bigint", doc: "jsonb" }, create: true } },
	offsets: { commitIntervalMs: 50 },
	drain: { timeoutMs: 5_000 },
} as const;

/** Runs a case to its end and holds it against the oracle. */
export async function play(hostile: HostileCase): Promise<void> {
	await using folder = await temporaryFolder();
	await using db = await createTestDatabase();
	const [topic, group, brokers] = [uniqueName("hostile"), uniqueName("g"), inject("kafkaBrokers")];
	await writeFile(join(folder.path, "handler.mjs"), hostile.source ?? moduleOf(hostile));
	await loadTopic(brokers, { name: topic, partitions: PARTITIONS }, wave(topic, 0));
	const config = merged(base, hostile.config ?? {}, {
		kafka: { brokers: [brokers], topics: [topic], group, properties: { "session.timeout.ms": 6_000 } },
		database: { url: db.url },
	});
	await using service = new Service(() => runDaemon(folder.path, config));
	await service.start();
	await service.whileRunning(() => caughtUp(brokers, group, topic, WAVE));
	await using producer = await Producer.connect(kafkaAt(brokers), { lingerMs: 0 });
	await producer.produceMany(wave(topic, WAVE));
	await service.whileRunning(() => caughtUp(brokers, group, topic, 2 * WAVE));
	const letters = await lettersOf(db);
	await rowsAreRight(db, hostile, letters);
	if (hostile.stuck) await service.whileRunning(() => isToldAsStuck(service.daemon));
	else {
		await service.whileRunning(() => service.daemon.ready(20_000));
		await isIdle(service.daemon);
	}
	if (hostile.words) expect(`${JSON.stringify(letters)}\n${service.output}`).toMatch(hostile.words);
	const stoppedAt = performance.now();
	expect([0, 4]).toContain(await service.stop());
	expect(performance.now() - stoppedAt).toBeLessThan(STOP_MS);
	if (hostile.verify !== false) {
		const verified = await pockaffe(["verify", "-c", join(folder.path, "pockaffe.yaml")], { cwd: folder.path });
		expect([verified.code, verified.stdout + verified.stderr]).toEqual([0, expect.any(String)]);
	}
}

function moduleOf({ top = "", act }: HostileCase): string {
	return `
const parse = JSON.parse;
const ROW = ({ key, value }) => { const n = parse(value.toString()).n; return { id: key.toString(), fields: { n, doc: [n] } }; };
${top}
export function handleMessage(message, state) {
	if (message.partition === 0 && message.offset === ${CULPRIT}) {
		${act}
	}
	return ROW(message);
}
`;
}

function* wave(topic: string, from: number) {
	for (let n = from; n < from + WAVE; n++) {
		for (let partition = 0; partition < PARTITIONS; partition++) yield { topic, partition, key: `${partition}-${n}`, value: `{"n":${n}}` };
	}
}

/** Resolves when each partition has committed so many messages. */
async function caughtUp(brokers: string, group: string, topic: string, count: number): Promise<void> {
	await using inspector = await ClusterInspector.connect(kafkaAt(brokers), systemClock, group);
	let last: unknown;
	await waitFor(
		`${count} messages of each partition to be committed`,
		async () => {
			last = await inspector.groupOffsets([topic]);
			return (last as { committed: number | null }[]).every(({ committed }) => committed === count);
		},
		CATCH_UP_MS,
	).catch((error) => {
		throw new Error(`${(error as Error).message}; offsets ${JSON.stringify(last)}`);
	});
}

interface Letter {
	readonly partition: number;
	readonly offset: number;
	readonly reason: string;
	readonly error: string;
}

async function lettersOf({ database }: TestDatabase): Promise<Letter[]> {
	const rows = await database.query(
		'select partition, "offset"::int4 as "offset", reason, error, stack from pockaffe_dead_letters order by partition, pockaffe_dead_letters."offset"',
	);
	return rows as unknown as Letter[];
}

async function rowsAreRight({ database }: TestDatabase, { culprit }: HostileCase, letters: readonly Letter[]): Promise<void> {
	const stored = (await database.query(
		"select id, n::int4 as n, doc::text as doc, kafka_partition as partition, kafka_offset::int4 as offset, deleted from events order by kafka_partition, kafka_offset",
	)) as { id: string; n: number | null; doc: string | null; partition: number; offset: number; deleted: boolean }[];
	const isCulprit = ({ partition, offset }: { partition: number; offset: number }) => partition === 0 && offset === CULPRIT;
	const expected = Array.from({ length: PARTITIONS * 2 * WAVE }, (_, index) => {
		const [partition, n] = [Math.floor(index / (2 * WAVE)), index % (2 * WAVE)];
		return { id: `${partition}-${n}`, n, doc: `[${n}]`, partition, offset: n, deleted: false };
	});
	expect(stored.filter((row) => !isCulprit(row))).toEqual(expected.filter((row) => !isCulprit(row)));
	expect(letters.filter((letter) => !isCulprit(letter))).toEqual([]);
	const row = stored.find(isCulprit);
	const fate = letters.length > 0 ? "letter" : row ? "row" : "none";
	if (culprit === "row or letter") expect(["row", "letter"]).toContain(fate);
	else if (culprit !== "any") expect([fate, letters]).toEqual([culprit, expect.anything()]);
	if (fate === "row" && culprit !== "any") expect(row).toEqual(expected.find(isCulprit));
}

/** A thread that can't be ended is the only reason, and names the module. */
async function isToldAsStuck(daemon: DaemonProcess): Promise<void> {
	await waitFor("thread_stuck alone", async () => {
		const reasons = await daemon.notReady();
		return reasons.length > 0 && reasons.every(({ code, message }) => code === "thread_stuck" && message.includes("handler.mjs stands"));
	});
	expect(await daemon.metric("pockaffe_threads_stuck")).toBeGreaterThan(0);
}

/** Nothing burns a processor when all is done. */
async function isIdle(daemon: DaemonProcess): Promise<void> {
	let before = cpuTicks(daemon);
	await waitFor(
		"the daemon to be idle",
		async () => {
			await new Promise((resolve) => setTimeout(resolve, 400));
			const after = cpuTicks(daemon);
			const [used] = [after - before];
			before = after;
			return used < 15;
		},
		20_000,
	);
}

/** Hundredths of a second. */
function cpuTicks({ child }: DaemonProcess): number {
	const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
	return Number(fields[11]) + Number(fields[12]);
}

/** A daemon under a service manager that starts it again where it ends by itself. */
class Service implements AsyncDisposable {
	readonly #run: () => Promise<DaemonProcess>;
	readonly #all: DaemonProcess[] = [];
	#isStopped = false;
	#gaveUp: (error: Error) => void = () => {};
	readonly #over: Promise<never>;

	constructor(run: () => Promise<DaemonProcess>) {
		this.#run = run;
		this.#over = new Promise((_, reject) => {
			this.#gaveUp = reject;
		});
		this.#over.catch(() => {});
	}

	get daemon(): DaemonProcess {
		return this.#all.at(-1) as DaemonProcess;
	}

	get output(): string {
		return this.#all.map(({ output }) => output).join("");
	}

	async start(): Promise<void> {
		const daemon = await this.#run();
		this.#all.push(daemon);
		void daemon.exited().then((code) => {
			if (this.#isStopped) return;
			if (this.#all.length > MOST_RESTARTS)
				this.#gaveUp(new Error(`it ended ${this.#all.length} times, last with ${code}\n${this.output.slice(-3_000)}`));
			else void this.start();
		});
	}

	/** What `does` gives, unless the daemon ended too often meanwhile. */
	async whileRunning<T>(does: () => Promise<T>): Promise<T> {
		try {
			return await Promise.race([does(), this.#over]);
		} catch (error) {
			throw new Error(`${(error as Error).message}\n${this.output.slice(-4_000)}`);
		}
	}

	stop(): Promise<number> {
		this.#isStopped = true;
		return this.daemon.stop();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#isStopped = true;
		await Promise.all(this.#all.map((daemon) => daemon[Symbol.asyncDispose]()));
	}
}

function merged(...configs: readonly Readonly<Record<string, Record<string, unknown>>>[]): Record<string, unknown> {
	const result: Record<string, Record<string, unknown>> = {};
	for (const config of configs) for (const [section, values] of Object.entries(config)) result[section] = { ...result[section], ...values };
	return result;
}
