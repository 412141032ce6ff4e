#!/usr/bin/env node
/** The command line: arguments to command to exit code. */
import { processContext } from "./commands/command-context.ts";
import { listenToSignals } from "./commands/process/signals.ts";
import { leave } from "./commands/process/way-out.ts";
import { runProgram } from "./commands/program.ts";
import { exitCodes } from "./core/errors.ts";
import { packageVersion } from "./core/package.ts";
import { lifetime } from "./core/waiting/lifetime.ts";

const interrupted = lifetime();
let exitCode: number = exitCodes.done;
const context = processContext(packageVersion, interrupted.signal, (code) => {
	exitCode = code;
});
// The reader of a pipe (`| head`) or the terminal may go away: not an error of ours.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
listenToSignals(process, interrupted, () => performance.now());
// Keeps the process alive: the timers of clock, client and thread pool don't.
setInterval(() => {}, 3_600_000);
const code = await runProgram(process.argv.slice(2), context);
await leave(code === exitCodes.done ? exitCode : code, context);
