/** A command that runs the handler anew says where a daemon runs another version of it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { afterEach, expect, it, vi } from "vitest";
import { warnOfOtherVersion } from "../../../src/commands/audit/running-version.ts";
import { handlerVersion } from "../../../src/worker/thread/handler-version.ts";
import { playDaemons, playedContext } from "../../support/fakes/played-command.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

afterEach(() => void vi.unstubAllGlobals());

it("is silent where it is the same, where another handler runs, and where nobody answers", async () => {
	await using folder = await temporaryFolder();
	const module = join(folder.path, "handler.mjs");
	await writeFile(module, "export const handleMessage = () => null;");
	const here = String(await handlerVersion(module));
	const warning = async (running: object | null, version = "") => {
		playDaemons(running === null ? {} : { 9464: () => ({ group: "ours", handler: { module, mixed: false, ...running } }) });
		const { context, said } = playedContext();
		await warnOfOtherVersion({ handler: { module, version } as never }, new Command(), context);
		return (await said()).stderr;
	};
	for (const running of [null, { version: here }, { version: null }, { version: "4f2a", module: "./other.mjs" }])
		expect(await warning(running), JSON.stringify(running)).toBe("");
	const rest = `of the handler, and this is ${here}: restart it, or its next rows are of the former version\n`;
	expect(await warning({ version: "4f2a" })).toBe(`the daemon runs version 4f2a ${rest}`);
	expect(await warning({ version: here, mixed: true })).toBe(`the daemon runs different versions ${rest}`);
	expect(await warning({ version: "7" }, "7")).toBe("");
	expect(await warning({ version: here }, "8")).toContain("and this is 8: restart it");
});
