/** A command that runs a handler prints what that throws: nothing of it may be a secret of the configuration. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { pockaffe } from "../support/daemons/command-line.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

it.each([[["check"]], [["check", "--json"]], [["check", "--rights"]]])("%s shows no password that a handler quotes", async (args) => {
	await using folder = await temporaryFolder();
	await writeFile(join(folder.path, "handler.mjs"), 'throw new Error("no way in with s3cret!word");');
	const config = { handler: { module: "./handler.mjs" }, database: { url: "postgres://u:s3cret%21word@127.0.0.1:1/d" } };
	await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(config));
	const { stdout, stderr } = await pockaffe(args, { cwd: folder.path });
	expect(stdout + stderr).not.toContain("s3cret");
	expect(stdout).toContain("no way in with ***");
});
