/** A command of the command line as its users run it: a process with arguments and standard input. */
import { spawn } from "node:child_process";
import { PassThrough, Readable } from "node:stream";
import { runProgram } from "../../../src/commands/program.ts";
import { systemClock } from "../../../src/core/clock.ts";

const main = new URL("../../../dist/main.js", import.meta.url).pathname;

/** How a command ended. */
export interface CommandResult {
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** Runs `pockaffe …args` to its end; environment variables of PocKaffe come from `env` alone, but for the one that turns the addon off. */
export function pockaffe(
	args: readonly string[],
	options: { cwd: string; env?: Record<string, string>; stdin?: string | Buffer },
): Promise<CommandResult> {
	const outer = Object.entries(process.env).filter(([name]) => !name.startsWith("POCKAFFE_") || name === "POCKAFFE_NATIVE");
	const child = spawn(process.execPath, [main, ...args], { cwd: options.cwd, env: { ...Object.fromEntries(outer), ...options.env } });
	const streams = { stdout: "", stderr: "" };
	for (const name of ["stdout", "stderr"] as const) {
		child[name].setEncoding("utf8").on("data", (chunk: string) => {
			streams[name] += chunk;
		});
	}
	// A command that ends without reading its input is no error of the test.
	child.stdin.on("error", () => {}).end(options.stdin ?? "");
	return new Promise((resolve) => child.on("close", (code) => resolve({ code: code ?? 137, ...streams })));
}

/** The same in this process, which saves a start. Not for commands that run a handler, whose thread needs what is built. */
export async function pockaffeInProcess(args: readonly string[], options: { cwd: string; stdin?: string }): Promise<CommandResult> {
	const [stdout, stderr] = [new PassThrough(), new PassThrough()];
	let exit = 0;
	const code = await runProgram(args, {
		environment: {},
		cwd: options.cwd,
		stdin: Readable.from([Buffer.from(options.stdin ?? "")]),
		stdout,
		stderr,
		clock: systemClock,
		version: "0.0.0",
		interrupted: new AbortController().signal,
		exit: (asked) => {
			exit = asked;
		},
	});
	return { code: code || exit, stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") };
}

/** The JSON lines of an output. */
export function jsonLines(output: string): Record<string, unknown>[] {
	return output
		.trim()
		.split("\n")
		.filter(Boolean)
		.map((line) => JSON.parse(line) as Record<string, unknown>);
}
