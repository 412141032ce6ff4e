/** What a command gets from outside, so that a test can run it in its own process. */
import type { Readable, Writable } from "node:stream";
import { type Clock, systemClock } from "../core/clock.ts";
import type { Environment } from "../core/environment.ts";
import type { ExitCode } from "../core/errors.ts";
import { visibleText } from "../core/text/visible-text.ts";

/** Streams, environment, and how to end. A command sets its exit code by `exit`. */
export interface CommandContext {
	readonly environment: Environment;
	readonly cwd: string;
	readonly stdin: Readable;
	readonly stdout: Writable & { readonly isTTY?: boolean };
	readonly stderr: Writable & { readonly isTTY?: boolean };
	readonly clock: Clock;
	/** PocKaffe's version, from package.json. */
	readonly version: string;
	/** Aborted by SIGINT and SIGTERM; for commands that follow something. */
	readonly interrupted: AbortSignal;
	/** Sets the exit code of the process, unless something worse happens. */
	exit(code: ExitCode): void;
}

/** The context of the real process. The caller connects `interrupted` to signals. */
export function processContext(version: string, interrupted: AbortSignal, exit: (code: ExitCode) => void): CommandContext {
	const { env: environment, stdin, stdout, stderr } = process;
	return { environment, cwd: process.cwd(), stdin, stdout, stderr, clock: systemClock, version, interrupted, exit };
}

/** Prints one line, or several; nothing in it can control a terminal. */
export function print(stream: Writable, line: string): void {
	stream.write(`${visibleText(line)}\n`);
}
