/**
 * One scene for handlers that misbehave: a topic of two partitions for each case, two waves of ten messages, the hostile act at the sixth
 * message of partition 0. The daemon is a process, restarted as a service manager would; oracle.ts looks at what it leaves behind. Cases
 * played together share one daemon, each in threads of its own.
 */
import { join } from "node:path";
import { expect, inject, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { Producer } from "../../src/kafka/producer.ts";
import { ClusterInspector, type GroupOffset } from "../../src/kafka/topics.ts";
import { pockaffe } from "../support/daemons/command-line.ts";
import { runDaemon } from "../support/daemons/daemon-process.ts";
import { kafkaAt, loadTopic } from "../support/kafka/load-topic.ts";
import { produceMany } from "../support/kafka/produce-many.ts";
import { uniqueName } from "../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../support/postgres/test-database.ts";
import { withAddon } from "../support/project/with-addon.ts";
import { slowness } from "../support/slowness.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";
import { CULPRIT, writeHandler } from "./handler-module.ts";
import type { HostileCase, Way } from "./hostile-case.ts";
import {
	isCommitted,
	isIdle,
	metricsAreRight,
	PARTITIONS,
	type PlayedTopic,
	type Produced,
	readinessIsRight,
	readTables,
	rowsAreCounted,
	tablesAreRight,
} from "./oracle.ts";
import { Service } from "./service.ts";

const WAVE = 10;
const CATCH_UP_MS = 120_000;
/** Each death costs a start, and several are needed before a message is charged. */
const CATCH_UP_OVER_DEATHS_MS = 240_000;
/** Inside the ten seconds that a container gives: the drain's limit, and a second for what can't be ended. */
const STOP_MS = 9_000;

const base = {
	handler: { timeoutMs: 5_000, maxAttempts: 2, retryBackoffMs: 1, maxRetryBackoffMs: 5 },
	supervisor: { minBackoffMs: 1, maxBackoffMs: 200 },
	tables: { events: { columns: { n: "bigint", doc: "jsonb", note: "text" }, create: true } },
	offsets: { commitIntervalMs: 50 },
	drain: { timeoutMs: 5_000 },
} as const;

const ofWay: Readonly<Record<Way, Record<string, Record<string, unknown>>>> = {
	"own thread": {},
	"shared thread": { workers: { maxThreads: 1 } },
	"overlapping calls": { handler: { concurrency: 4 } },
	batches: {},
};

/** A member by a name comes back at once where its process died: its session need not run out. */
const comesBack = { kafka: { instanceId: "hostile" } };

/** Plays a case to its end, or several at once, and holds it against the oracle. */
export async function play(cases: readonly HostileCase[], way: Way): Promise<void> {
	await using folder = await temporaryFolder();
	await using db = await createTestDatabase();
	const [group, brokers] = [uniqueName("g"), inject("kafkaBrokers")];
	const topics = cases.map((hostile): PlayedTopic => ({ topic: topicOf(hostile), hostile, produced: producedFor(hostile) }));
	const names = topics.map(({ topic }) => topic);
	const module = await writeHandler(folder.path, new Map(topics.map(({ topic, hostile }) => [topic, hostile])), way);
	for (const each of topics) await loadTopic(brokers, { name: each.topic, partitions: PARTITIONS }, wave(each, 0));
	const kafka = { brokers: [brokers], topics: names, group, properties: { "session.timeout.ms": 6_000 } };
	const mayEndProcess = cases.some((each) => each.mayEndProcess);
	const configs = [...cases.map((each) => each.config ?? {}), mayEndProcess ? comesBack : {}];
	const config = merged(base, ofWay[way], ...configs, { kafka, handler: { module }, database: { url: db.url } });
	const isStuck = cases.some(({ stuck }) => stuck);
	const catchUpMs = mayEndProcess ? CATCH_UP_OVER_DEATHS_MS : CATCH_UP_MS;

	await using service = new Service(() => runDaemon(folder.path, config));
	await service.start();
	await service.whileRunning(() => caughtUp({ brokers, group, topics: names, count: WAVE, withinMs: catchUpMs }));
	await using producer = await Producer.connect(kafkaAt(brokers), { lingerMs: 0 });
	for (const each of topics) await produceMany(producer, wave(each, WAVE));
	await service.whileRunning(() => caughtUp({ brokers, group, topics: names, count: 2 * WAVE, withinMs: catchUpMs }));

	const left = await Promise.all(topics.map(async (topic) => [topic, await readTables(db, topic)] as const));
	for (const [topic, stored] of left) {
		tablesAreRight(topic, stored);
		const { words, what } = topic.hostile;
		if (words) expect(`${JSON.stringify(stored.letters)}\n${service.output}`, what).toMatch(words);
	}
	await service.whileRunning(() => readinessIsRight(service.daemon, isStuck));
	if (!cases.some(({ stuck, worksOn }) => stuck === "burns" || worksOn)) await isIdle(service.daemon);
	if (service.starts === 1) {
		// Kafka knows of a commit before the daemon has its answer.
		for (const [topic, stored] of left)
			await vi.waitFor(() => metricsAreRight(service.daemon, topic, stored, way), { timeout: 60_000, interval: 200 });
		await rowsAreCounted(
			service.daemon,
			left.map(([, stored]) => stored),
		);
	}
	const stoppedAt = performance.now();
	expect(await service.stop(), service.output.slice(-2000)).toBe(endsWith(cases));
	expect(performance.now() - stoppedAt).toBeLessThan(STOP_MS * (await slowness()));
	if (cases.some(({ verify }) => verify === false)) return;
	const { code, stdout, stderr } = await pockaffe(["verify", "-c", join(folder.path, "pockaffe.yaml")], { cwd: folder.path });
	expect([code, `${stdout}${stderr}`]).toEqual([0, expect.stringMatching(/^verified \S+ of \S+ ids: the tables are what the log says/m)]);
}

/** The daemon's exit code at the end. Only the addon can end a process whose thread can't be ended; without it that is done by SIGKILL. */
function endsWith(cases: readonly HostileCase[]): number {
	if (withAddon.skip && cases.some(({ stuck }) => stuck)) return 137;
	return cases.find(({ exit }) => exit)?.exit ?? 0;
}

/** Named for its case: logs and failures tell which it was. */
function topicOf({ what }: HostileCase): string {
	return uniqueName(what.replaceAll(/\W+/g, "-").slice(0, 60));
}

function producedFor({ message }: HostileCase): readonly (readonly Produced[])[] {
	const prefix = uniqueName("m");
	const begunAt = Date.now();
	return Array.from({ length: PARTITIONS }, (_, partition) =>
		Array.from({ length: 2 * WAVE }, (__, n): Produced => {
			const plain = { key: `${prefix}-${partition}-${n}`, value: `{"n":${n},"doc":[${n}]}` };
			const isHostile = message && partition === 0 && n === CULPRIT;
			return { partition, timestamp: begunAt + n, ...plain, ...(isHostile ? message : {}) };
		}),
	);
}

function* wave({ topic, produced }: PlayedTopic, from: number) {
	for (let n = from; n < from + WAVE; n++) {
		for (const messages of produced) yield { topic, ...(messages[n] as Produced) };
	}
}

interface CatchingUp {
	readonly brokers: string;
	readonly group: string;
	readonly topics: string[];
	/** Messages of each partition. */
	readonly count: number;
	readonly withinMs: number;
}

/** Resolves when each partition has committed so many messages. */
async function caughtUp({ brokers, group, topics, count, withinMs }: CatchingUp): Promise<void> {
	await using inspector = await ClusterInspector.connect(kafkaAt(brokers), systemClock, group);
	let last: readonly GroupOffset[] = [];
	await waitFor(
		`${count} messages of each partition to be committed`,
		async () => {
			last = await inspector.groupOffsets(topics);
			return isCommitted(last, count);
		},
		withinMs,
	).catch((error) => {
		throw new Error(`${(error as Error).message}; offsets ${JSON.stringify(last)}`);
	});
}

function merged(...configs: readonly Readonly<Record<string, Record<string, unknown>>>[]): Record<string, unknown> {
	const result: Record<string, Record<string, unknown>> = {};
	for (const config of configs) for (const [section, values] of Object.entries(config)) result[section] = { ...result[section], ...values };
	return result;
}
