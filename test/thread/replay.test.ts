/** Dead letters through a real thread again; no row is made, so that no database is needed. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type ReplayedLetter, replayLetters } from "../../src/audit/dead-letter-replay.ts";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { StoredLetter } from "../../src/core/dead-letter.ts";
import { storedLetter } from "../support/dead-letters.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** What a replay of three letters by this handler is given. */
async function scene(handler: string) {
	const folder = await temporaryFolder();
	const module = join(folder.path, "handler.mjs");
	await writeFile(module, handler);
	const { config } = loadConfig({
		file: undefined,
		cwd: folder.path,
		environment: {
			POCKAFFE_KAFKA_BROKERS: "none:1",
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

it("a replay ends, and says why, where the handler waits for more letters than there are", async () => {
	await using replay = await scene("export const handleMessages = (batch) => ({ finishedTo: batch[0].offset });");
	const told: ReplayedLetter[] = [];
	const replayed = replayLetters(replay.parts, replay.letters, async (letter) => void told.push(letter));
	await expect(replayed).rejects.toThrow(/left letters unfinished by finishedTo/);
	expect(told.map(({ letter, error }) => [letter.offset, error])).toEqual([[4, null]]);
});

it.each([1, 3])("a replay ends with the error of who is told, where that fails at letter %i", async (failing) => {
	await using replay = await scene("export const handleMessage = () => {};");
	const unhandled: unknown[] = [];
	const note = (reason: unknown) => void unhandled.push(reason);
	process.on("unhandledRejection", note);
	let calls = 0;
	const told = async () => {
		if (++calls === failing) throw new Error("the letters' table may not be updated");
	};
	await expect(replayLetters(replay.parts, replay.letters, told)).rejects.toThrow("may not be updated");
	await new Promise((resolve) => setImmediate(resolve));
	process.off("unhandledRejection", note);
	expect(unhandled).toEqual([]);
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
	await replayLetters(replay.parts, letters, async ({ letter, error }) => void told.push(`${letter.topicId} ${error}`));
	expect(told.sort()).toEqual(["A 9@1", "B 4@2", "B 4@3", "B 9@2"]);
});

it("letters are handed over one after the other, and who hears it knows which", async () => {
	await using replay = await scene(
		"export const handleMessages = (batch) => batch.map(({ offset }) => { if (offset === 7) throw new Error(String(batch.length)); });",
	);
	const heard: unknown[] = [];
	const inHand = (_: unknown, held: unknown) => void heard.push(held);
	await replayLetters({ ...replay.parts, inHand }, replay.letters, async ({ letter, error }) => void heard.push(error ?? letter.offset));
	expect(heard.filter((each) => each !== null)).toEqual([{ from: 4, to: 5 }, 4, { from: 7, to: 8 }, "1", { from: 9, to: 10 }, 9]);
	expect(heard.at(-1)).toBeNull();
});
