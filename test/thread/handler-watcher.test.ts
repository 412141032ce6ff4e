/** When a handler counts as changed: real files, and a clock that the test moves. */
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { watch } from "chokidar";
import { describe, expect, it } from "vitest";
import { HandlerWatcher } from "../../src/worker/handler-watcher.ts";
import { ManualClock } from "../support/fakes/manual-clock.ts";
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

	it("that another file takes the place of behind a symlink is told, as in a Kubernetes volume", async () => {
		await using folder = await temporaryFolder();
		const path = (name: string) => join(folder.path, name);
		const publish = async (version: string) => {
			await mkdir(path(version));
			await writeFile(join(path(version), "handler.mjs"), version);
			await symlink(version, path("..data_tmp"));
			await rename(path("..data_tmp"), path("..data"));
		};
		await publish("..1");
		await symlink("..data/handler.mjs", path("handler.mjs"));
		const clock = new ManualClock();
		const told: string[] = [];
		await using watcher = new HandlerWatcher(path("handler.mjs"), clock, (file) => told.push(file));
		await watcher.ready;
		await publish("..2");
		await clock.advance(2_000);
		await waitFor("the new file to be seen", async () => clock.pending[0] === 100);
		await clock.advance(100);
		expect(told).toEqual(["handler.mjs"]);
		// Told once: the next looks find what is known.
		for (let look = 0; look < 3; look++) {
			await waitFor("the next look to be due", async () => clock.pending.length === 1);
			await clock.advance(2_000);
		}
		expect(told).toEqual(["handler.mjs"]);
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
		// Who sees all of it, so that it is known to be there: of several changes in a row only the last is told.
		const seen: string[] = [];
		const all = watch(run.path("."), { ignoreInitial: true }).on("add", (file) => seen.push(basename(file)));
		await using _all = { [Symbol.asyncDispose]: () => all.close() };
		await new Promise<void>((resolve) => all.once("ready", resolve));
		await writeFile(run.path("notes.txt"), "x");
		await mkdir(run.path("deeper"));
		await writeFile(run.path("deeper/other.mjs"), "x");
		await waitFor("both files", async () => seen.length === 2);
		await run.clock.advance(100);
		expect(run.told).toEqual([]);
		await writeFile(run.path("last.mjs"), "x");
		await run.seen();
		await run.clock.advance(100);
		expect(run.told).toEqual(["last.mjs"]);
	});
});
