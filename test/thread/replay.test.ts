/** Dead letters through a real thread again; no row is made, so that no database is needed. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type ReplayedLetter, replayLetters } from "../../src/audit/dead-letter-replay.ts";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { StoredLetter } from "../../src/core/dead-letter.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

it("a replay ends, and says why, where the handler waits for more letters than there are", { timeout: 20_000 }, async () => {
	await using folder = await temporaryFolder();
	const module = join(folder.path, "handler.mjs");
	await writeFile(module, "export const handleMessages = (batch) => ({ finishedTo: batch[0].offset });");
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
	const letters = [4, 7, 9].map((offset) => ({ topic: "orders", partition: 0, offset, timestamp: 1, key: null, value: null, headers: [] }));
	const told: ReplayedLetter[] = [];
	const parts = { config, database: {} as never, clock: systemClock, random: () => 0.5, signal: new AbortController().signal };
	const replay = replayLetters(parts, letters as unknown as StoredLetter[], async (letter) => void told.push(letter));
	await expect(replay).rejects.toThrow(/left letters unfinished by finishedTo/);
	expect(told.map(({ offset, error }) => [offset, error])).toEqual([[4, null]]);
});
