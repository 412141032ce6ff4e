/** Which daemon a command without --url talks to. The network is a table of who listens where. */
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { CommandContext } from "../../../src/commands/command-context.ts";
import { noteDaemon } from "../../../src/commands/process/noted-daemons.ts";
import { runProgram } from "../../../src/commands/program.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let posted: string[];

beforeEach(async () => {
	folder = await temporaryFolder();
	posted = [];
});
afterEach(async () => {
	vi.unstubAllGlobals();
	await folder[Symbol.asyncDispose]();
});

/** `groups`: of whom listens, by port. */
async function pause(groups: Record<string, string>, ...more: string[]) {
	vi.stubGlobal("fetch", async (url: URL, { method = "GET" } = {}) => {
		const group = groups[url.port];
		if (group === undefined) throw new TypeError("fetch failed", { cause: new Error("refused") });
		if (method === "POST") posted.push(url.port);
		return Response.json({ group });
	});
	const [stdout, stderr] = [new PassThrough(), new PassThrough()];
	const context: CommandContext = {
		environment: { POCKAFFE_KAFKA_GROUP: "ours", POCKAFFE_KAFKA_BROKERS: "127.0.0.1:1", POCKAFFE_HTTP_PORT: "4000" },
		cwd: folder.path,
		stdin: new PassThrough(),
		stdout,
		stderr,
		clock: new ManualClock(),
		version: "1.2.3",
		interrupted: new AbortController().signal,
		exit: () => {},
	};
	const code = await runProgram(["pause", "t", "0", ...more], context);
	return { code, stderr: String(stderr.read() ?? ""), posted };
}

const noted = (group: string) => noteDaemon(folder.path, { url: "http://127.0.0.1:5000", group });

it("is the one at the configured address, if it is of the configured group", async () => {
	expect(await pause({ 4000: "ours" })).toMatchObject({ code: 0, posted: ["4000"] });
});

it("is never another group's: nothing is posted there, and the error names it", async () => {
	const told = await pause({ 4000: "theirs" });
	expect(told).toMatchObject({ code: 1, posted: [] });
	expect(told.stderr).toMatch(/4000 belongs to group theirs, not to ours/);
});

it("is the one that was started in this folder, where somebody else's has the configured address", async () => {
	await noted("ours");
	expect(await pause({ 4000: "theirs", 5000: "ours" })).toMatchObject({ code: 0, posted: ["5000"] });
});

it.each([
	["is noted for another group", "theirs", { 5000: "theirs" }, /no daemon answers at .*4000/],
	["turned out to be another group's", "ours", { 5000: "theirs" }, /5000 belongs to group theirs, not to ours/],
])("is not the one of this folder that %s", async (_, group, groups, words) => {
	await noted(group);
	const told = await pause(groups as Record<string, string>);
	expect(told).toMatchObject({ code: 1, posted: [] });
	expect(told.stderr).toMatch(words);
});

it("is whichever --url names", async () => {
	expect(await pause({ 6000: "theirs" }, "--url", "http://127.0.0.1:6000")).toMatchObject({ code: 0, posted: ["6000"] });
});
