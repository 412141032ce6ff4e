/** Dead letters through a real thread again; no row is made, so that no database is needed. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type ReplayedLetter, replayLetters } from "../../src/audit/dead-letters/dead-letter-replay.ts";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { StoredLetter } from "../../src/core/dead-letters/dead-letter.ts";
import { startMockCluster } from "../../src/kafka/mock-cluster.ts";
import { storedLetter } from "../support/fakes/dead-letters.ts";
import { LongWaitsClock } from "../support/fakes/long-waits-clock.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

/** What a replay of three letters by this handler is given. */
async function scene(handler: string, brokers = "none:1") {
	const folder = await temporaryFolder();
	const module = join(folder.path, "handler.mjs");
	await writeFile(module, handler);
	const { config } = loadConfig({
		file: undefined,
		cwd: folder.path,
		environment: {
			POCKAFFE_KAFKA_BROKERS: brokers,
			POCKAFFE_KAFKA_GROUP: "none",
			POCKAFFE_KAFKA_TOPICS: "orders",
			POCKAFFE_HANDLER_MODULE: module,
			POCKAFFE_DATABASE_URL: "postgres://none",
			POCKAFFE_TABLES: '{"events":{"columns":{"n":"text"}}}',
		},
	});
	const letters = [4, 7, 9].map((offset): StoredLetter => storedLetter({ offset }));
	const parts = { config, database: {} as never, clock: systemClock, random: () => 0.5, signal: new AbortController().signal };
	return { parts, letters, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

async function* pagesOf(...pages: readonly (readonly StoredLetter[])[]): AsyncGenerator<readonly StoredLetter[]> {
	yield* pages;
}

const offsetAndFate = ({ letter, failure, isLeft }: ReplayedLetter) => [letter.offset, isLeft ? "left" : (failure?.error ?? "replayed")];

/** How a handler that finishes by finishedTo leaves letters, and what becomes of three of them. */
const finishing: readonly (readonly [name: string, handler: string, fates: readonly (readonly [number, string])[]])[] = [
	[
		"one of each call: the rest is handed over again, as after a restart",
		"export const handleMessages = (batch) => ({ finishedTo: batch[0].offset });",
		[
			[4, "replayed"],
			[7, "replayed"],
			[9, "replayed"],
		],
	],
	[
		"those before the last: the last stays as it is",
		"let last = null; export const handleMessages = (batch) => { const all = [last, ...batch].filter(Boolean); last = all.at(-1); return { finishedTo: all.at(-2)?.offset ?? null }; };",
		[
			[4, "replayed"],
			[7, "replayed"],
			[9, "left"],
		],
	],
	[
		"none: all stay as they are",
		"export const handleMessages = () => ({ finishedTo: null });",
		[
			[4, "left"],
			[7, "left"],
			[9, "left"],
		],
	],
];

it.each(finishing)("a handler that finishes %s; letters of other partitions are replayed all the same", async (_, handler, fates) => {
	await using replay = await scene(handler);
	const told: ReplayedLetter[] = [];
	const others = replay.letters.map((letter) => ({ ...letter, partition: 9 }));
	await replayLetters(replay.parts, pagesOf(replay.letters, others), async (letters) => void told.push(...letters));
	for (const partition of [2, 9]) {
		const ofPartition = told.filter(({ letter }) => letter.partition === partition).map(offsetAndFate);
		expect(ofPartition.sort(([left], [right]) => Number(left) - Number(right))).toEqual(fates);
	}
});

it.each([
	["", "undefined"],
	["append", "append"],
] as const)("a letter's timestamp is of the configured type, because no letter says it: %o", async (timestampType, type) => {
	await using replay = await scene("export const handleMessage = ({ tsType }) => ({ reject: `is ${tsType}` });");
	const config = { ...replay.parts.config, kafka: { ...replay.parts.config.kafka, timestampType } };
	const told: ReplayedLetter[] = [];
	await replayLetters({ ...replay.parts, config }, pagesOf(replay.letters.slice(0, 1)), async (letters) => void told.push(...letters));
	expect(told.map(offsetAndFate)).toEqual([[4, expect.stringContaining(`is ${type}`)]]);
});

it("letters that a later page's letter finishes are replayed with it", async () => {
	await using replay = await scene(
		"let held = []; export const handleMessages = (batch) => { held.push(...batch); return { finishedTo: held.length >= 3 ? held.at(-1).offset : null }; };",
	);
	const told: ReplayedLetter[] = [];
	const inHand = () => {};
	const pages = pagesOf(...replay.letters.map((letter) => [letter]));
	await replayLetters({ ...replay.parts, inHand }, pages, async (letters) => void told.push(...letters));
	expect(told.map(offsetAndFate)).toEqual([
		[4, "replayed"],
		[7, "replayed"],
		[9, "replayed"],
	]);
});

it.each([1, 3])("a replay ends with the error of who is told, where that fails at letter %i", async (failing) => {
	await using replay = await scene("export const handleMessage = () => {};");
	const unhandled: unknown[] = [];
	const note = (reason: unknown) => void unhandled.push(reason);
	process.on("unhandledRejection", note);
	let count = 0;
	const told = async (letters: readonly ReplayedLetter[]) => {
		count += letters.length;
		if (count >= failing) throw new Error("the letters' table may not be updated");
	};
	const pages = pagesOf(...replay.letters.map((letter) => [letter]));
	await expect(replayLetters(replay.parts, pages, told)).rejects.toThrow("may not be updated");
	await new Promise((resolve) => setImmediate(resolve));
	process.off("unhandledRejection", note);
	expect([unhandled, count]).toEqual([[], failing]);
});

it("letters of two logs of a topic are replayed one log after the other, each in its order", async () => {
	// A worker that got one offset behind a greater one would take it for the same log gone back.
	await using replay = await scene("export const handleMessage = ({ offset, ts }) => ({ reject: offset + '@' + ts });");
	const letters = [
		storedLetter({ offset: 9, topicId: "A", timestamp: 1 }),
		storedLetter({ offset: 4, topicId: "B", timestamp: 2 }),
		storedLetter({ offset: 4, topicId: "B", timestamp: 3 }),
		storedLetter({ offset: 9, topicId: "B", timestamp: 2 }),
	];
	const told: string[] = [];
	const pages = pagesOf(letters.slice(0, 2), letters.slice(2));
	await replayLetters(replay.parts, pages, async (outcomes) => {
		for (const { letter, failure } of outcomes) told.push(`${letter.topicId} ${failure?.error}`);
	});
	expect(told).toEqual(["A 9@1", "B 4@2", "B 4@3", "B 9@2"]);
});

it("a replay whose records nobody acknowledges any more ends, and says so: what went through before is told, and nothing else", async () => {
	const cluster = await startMockCluster({ topics: ["out"] });
	const handler = 'export const handleMessage = ({ key, value }) => ({ produce: [{ topic: "out", key, value }] });';
	await using replay = await scene(handler, cluster.brokers.join());
	const clock = new LongWaitsClock();
	const told: ReplayedLetter[] = [];
	async function* pages() {
		yield replay.letters.slice(0, 1);
		await cluster[Symbol.asyncDispose]();
		yield replay.letters.slice(1);
	}
	let error: unknown = null;
	const replayed = replayLetters({ ...replay.parts, clock }, pages(), async (letters) => void told.push(...letters));
	replayed.catch((reason) => (error = reason));
	await waitFor("the first letter", () => told.length === 1);
	await clock.passUntil("the end", () => error !== null, 500);
	expect(error).toMatchObject({
		code: "produce",
		exitCode: 1,
		message: expect.stringMatching(
			/^Kafka has acknowledged none of the oldest records for topic out for 3[01] s, and \d+ bytes wait\. Letters without a printed result stay as they are$/,
		),
	});
	expect(told.map(offsetAndFate)).toEqual([[4, "replayed"]]);
});

it("letters are handed over one after the other, and who hears it knows which", async () => {
	await using replay = await scene(
		"export const handleMessages = (batch) => batch.map(({ offset }) => { if (offset === 7) throw new Error(String(batch.length)); });",
	);
	const [heard, told] = [[] as unknown[], [] as ReplayedLetter[]];
	const inHand = (_: unknown, held: unknown) => void heard.push(held);
	await replayLetters({ ...replay.parts, inHand }, pagesOf(replay.letters), async (letters) => void told.push(...letters));
	expect(heard.filter((each) => each !== null)).toEqual([4, 7, 9].map((offset) => ({ from: offset, to: offset + 1 })));
	expect(heard.at(-1)).toBeNull();
	expect(told.map(offsetAndFate)).toEqual([
		[4, "replayed"],
		[7, "1"],
		[9, "replayed"],
	]);
});

it("what a letter met is told as it would be stored: reason, stack, attempts", async () => {
	await using replay = await scene(
		"export const handleMessage = ({ offset }) => { if (offset === 4) return { reject: 'why' }; if (offset === 7) throw new TypeError('threw'); process.exit(1); };",
	);
	const told: ReplayedLetter[] = [];
	await replayLetters(replay.parts, pagesOf(replay.letters), async (letters) => void told.push(...letters));
	expect(told.map(({ failure }) => failure)).toMatchObject([
		{ reason: "rejected", error: "why", stack: null, attempts: 1 },
		{ reason: "poison", error: "threw", stack: expect.stringContaining("TypeError: threw"), attempts: 1 },
		{ reason: "poison", error: expect.stringContaining("process.exit(1)"), attempts: 1 },
	]);
});
