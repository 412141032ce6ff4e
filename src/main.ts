#!/usr/bin/env node
/** The command line: arguments to command to exit code. */
import { readFileSync } from "node:fs";
import { processContext } from "./commands/command-context.ts";
import { runProgram } from "./commands/program.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
const interrupted = new AbortController();
let exitCode = 0;
const context = processContext(interrupted.signal, (code) => {
	exitCode = code;
});
// The reader of a pipe may go (`| head`): not an error of ours.
process.stdout.on("error", () => {});
const interrupt = () => interrupted.abort(new Error("interrupted"));
process.once("SIGINT", interrupt);
process.once("SIGTERM", interrupt);
const code = await runProgram(process.argv.slice(2), context, version);
process.exit(code === 0 ? exitCode : code);
