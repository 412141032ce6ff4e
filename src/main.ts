#!/usr/bin/env node
/** The command line: arguments to command to exit code. */
import { readFileSync } from "node:fs";
import { processContext } from "./commands/command-context.ts";
import { exitCodes } from "./core/errors.ts";
import { lifetime } from "./core/lifetime.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
const interrupted = lifetime();
/** Ctrl-C on `npm start` arrives twice at once: from the terminal and forwarded by npm. That is one signal. */
const SAME_SIGNAL_MS = 500;
let exitCode = 0;
const context = processContext(version, interrupted.signal, (code) => {
	exitCode = code;
});
// The reader of a pipe may go (`| head`): not an error of ours.
process.stdout.on("error", () => {});
let interruptedAt = 0;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
	process.on(signal, () => {
		if (!interrupted.signal.aborted) {
			interruptedAt = performance.now();
			interrupted.abort(new Error(signal));
			return;
		}
		// The second one doesn't ask: SIGKILL ends even a client that hangs while closing, with exit code 137.
		if (performance.now() - interruptedAt > SAME_SIGNAL_MS) process.kill(process.pid, "SIGKILL");
	});
}
// Loaded late, because the Kafka client's native part may not be there: an error that a person can act on, not a stack.
const { runProgram } = await import("./commands/program.ts").catch(endWithoutClient);
// The timers of clock, client and thread pool hold no process: Node would end one that waits for nothing else.
setInterval(() => {}, 3_600_000);
const code = await runProgram(process.argv.slice(2), context);
process.exit(code === 0 ? exitCode : code);

/** `bindings` gives its `tries` where nothing was built; ERR_DLOPEN_FAILED is a build for another Node. */
function endWithoutClient(error: { code?: string; tries?: unknown }): never {
	if (error.tries === undefined && error.code !== "ERR_DLOPEN_FAILED") throw error;
	process.stderr.write(
		"pockaffe: node-rdkafka is not built for this Node: run `npm rebuild node-rdkafka` (binding.gyp-notes.md says what it needs)\n",
	);
	process.exit(exitCodes.usage);
}
