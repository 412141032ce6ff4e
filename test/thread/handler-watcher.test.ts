/** When a handler counts as changed: real files, and a clock that the test moves. */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { HandlerWatcher } from "../../src/worker/handler-watcher.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

async function watched(files: Record<string, string> = {}) {
	const folder = await temporaryFolder();
	const path = (name: string) => join(folder.path, name);
	for (const [name, text] of Object.entries(files)) await writeFile(path(name), text);
	const clock = new ManualClock();
	const told: string[] = [];
	const watcher = new HandlerWatcher(path("handler.mjs"), clock, (file) => told.push(file));
	await watcher.ready;
	return {
		clock,
		told,
		path,
		/** A save was seen, and waits to settle. */
		seen: () => waitFor("the save to be seen", async () => clock.pending[0] === 100),
		async [Symbol.asyncDispose]() {
			await watcher[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

describe("a handler's file", () => {
	it.each<[what: string, act: (path: (name: string) => string) => Promise<void>, file: string]>([
		["is written", (path) => writeFile(path("handler.mjs"), "2"), "handler.mjs"],
		[
			"is replaced by rename",
			async (path) => {
				await writeFile(path("handler.mjs.swp"), "2");
				await rename(path("handler.mjs.swp"), path("handler.mjs"));
			},
			"handler.mjs",
		],
		["is taken away", (path) => rm(path("handler.mjs")), "handler.mjs"],
		["has a module beside it that changes", (path) => writeFile(path("helper.js"), "2"), "helper.js"],
		["has a JSON file beside it that changes", (path) => writeFile(path("settings.json"), "{}"), "settings.json"],
	])("that %s is told", async (_, act, file) => {
		await using run = await watched({ "handler.mjs": "1", "helper.js": "1", "settings.json": "" });
		await act(run.path);
		await run.seen();
		expect(run.told).toEqual([]);
		await run.clock.advance(100);
		expect(run.told).toEqual([file]);
	});

	it("that appears for the first time is told", async () => {
		await using run = await watched();
		await writeFile(run.path("handler.mjs"), "1");
		await run.seen();
		await run.clock.advance(100);
		expect(run.told).toEqual(["handler.mjs"]);
	});

	it("that is saved with others in a row is told once, when all have settled", async () => {
		await using run = await watched({ "a.mjs": "0", "b.mjs": "0", "handler.mjs": "0" });
		for (const name of ["a.mjs", "b.mjs", "handler.mjs"]) {
			await writeFile(run.path(name), "1");
			await run.seen();
			await run.clock.advance(60);
		}
		expect(run.told).toEqual([]);
		await run.clock.advance(40);
		expect(run.told).toEqual(["handler.mjs"]);
	});

	it("is not changed by what is no module, nor by what lies deeper", async () => {
		await using run = await watched({ "handler.mjs": "1" });
		await writeFile(run.path("notes.txt"), "x");
		await mkdir(run.path("deeper"));
		await writeFile(run.path("deeper/other.mjs"), "x");
		await writeFile(run.path("last.mjs"), "x");
		await run.seen();
		await run.clock.advance(100);
		expect(run.told).toEqual(["last.mjs"]);
	});
});
