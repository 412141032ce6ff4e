/** A command whose handler ends the process is not without a last word. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { pockaffe } from "../support/daemons/command-line.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** `check` of a handler with this source. */
async function checked(source: string, options = "") {
	await using folder = await temporaryFolder();
	await writeFile(join(folder.path, "handler.mjs"), source);
	await writeFile(join(folder.path, "pockaffe.yaml"), `handler: {module: ./handler.mjs${options}}`);
	return await pockaffe(["check"], { cwd: folder.path });
}

const end = "process.kill(process.pid, 'SIGKILL'); for (;;);";

it.each([
	["module", `export const handleMessage = () => null; ${end}`],
	["init", `export const handleMessage = () => null; export function init() { ${end} }`],
])("check says so where the handler's %s ends the process", async (_, source) => {
	expect(await checked(source)).toEqual({
		code: 137,
		stdout: "",
		stderr: expect.stringMatching(
			/^pockaffe: the handler ended the process .*\. It was loading .*handler\.mjs, or in its init\. Nothing else was checked\.\n$/,
		),
	});
});

it("and says nothing of it where it doesn't", async () => {
	expect(await checked("export const handleMessage = () => null;")).toMatchObject({
		stdout: expect.stringContaining("handleMessage"),
		stderr: "",
	});
});

it("check waits for init as long as a worker does, and names the time that is configured", async () => {
	const { code, stdout } = await checked(
		"export const handleMessage = () => null; export const init = () => new Promise(() => {});",
		", timeoutMs: 2345",
	);
	expect(stdout).toContain("handler.timeoutMs (2345 ms)");
	expect(code).toBe(1);
});
