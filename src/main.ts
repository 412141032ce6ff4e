#!/usr/bin/env node
/** The command line: arguments to command to exit code. */
import { readFileSync } from "node:fs";
import { processContext } from "./commands/command-context.ts";
import { listenToSignals } from "./commands/process/signals.ts";
import { exitCodes } from "./core/errors.ts";
import { lifetime } from "./core/lifetime.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
const interrupted = lifetime();
let exitCode = 0;
const context = processContext(version, interrupted.signal, (code) => {
	exitCode = code;
});
// The reader of a pipe may go (`| head`), and so may the terminal: not an error of ours.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
listenToSignals(process, interrupted, () => performance.now());
// Loaded late, because the Kafka client's native part may not be there: an error that a person can act on, not a stack.
const { runProgram } = await import("./commands/program.ts").catch(endWithoutClient);
// The timers of clock, client and thread pool hold no process: Node would end one that waits for nothing else.
setInterval(() => {}, 3_600_000);
const code = await runProgram(process.argv.slice(2), context);
const { leave } = await import("./commands/process/way-out.ts");
await leave(code === 0 ? exitCode : code, context);

/** `bindings` gives its `tries` where nothing was built; ERR_DLOPEN_FAILED is a build for another Node. */
function endWithoutClient(error: { code?: string; tries?: unknown }): never {
	if (error.tries === undefined && error.code !== "ERR_DLOPEN_FAILED") throw error;
	process.stderr.write(
		"pockaffe: node-rdkafka is not built for this Node: run `npm rebuild node-rdkafka` (binding.gyp-notes.md says what it needs)\n",
	);
	process.exit(exitCodes.usage);
}
