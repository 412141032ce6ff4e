/** What a command is given of the outside, so that it can be run in a test's process as well as from the command line. */
import type { Readable, Writable } from "node:stream";
import type { Environment } from "../config/environment.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import type { ExitCode } from "../core/errors.ts";
import { visibleText } from "../core/text/visible-text.ts";

/** Streams, environment, and how to end. A command resolves to its exit code by `exit`. */
export interface CommandContext {
	readonly environment: Environment;
	readonly cwd: string;
	readonly stdin: Readable;
	readonly stdout: Writable & { readonly isTTY?: boolean };
	readonly stderr: Writable & { readonly isTTY?: boolean };
	readonly clock: Clock;
	/** Of PocKaffe, from package.json. */
	readonly version: string;
	/** Aborted by SIGINT and SIGTERM; for commands that follow something. */
	readonly interrupted: AbortSignal;
	/** Says what the process is to exit with, unless something worse happens. */
	exit(code: ExitCode): void;
}

/** The real outside; `interrupted` is wired by the commands that want it. */
export function processContext(version: string, interrupted: AbortSignal, exit: (code: ExitCode) => void): CommandContext {
	const { env: environment, stdin, stdout, stderr } = process;
	return { environment, cwd: process.cwd(), stdin, stdout, stderr, clock: systemClock, version, interrupted, exit };
}

/** One line, or several; nothing in it can steer a terminal. */
export function print(stream: Writable, line: string): void {
	stream.write(`${visibleText(line)}\n`);
}
