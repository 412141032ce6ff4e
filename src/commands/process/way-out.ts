/**
 * Ends the process. Node's own exit waits for every thread. A thread that can't be ended (a handler in a native call, a Kafka client that
 * hangs while closing) would keep the process for ever. Then the addon ends the process without waiting; without the addon only SIGKILL
 * does, which shells report as 137.
 */
import type { Writable } from "node:stream";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { unlessAborted } from "../../core/waiting/unless-aborted.ts";
import { endAllThreads } from "../../worker/thread/living-threads.ts";
import type { CommandContext } from "../command-context.ts";

/** Maximum wait for threads: those that can be ended take milliseconds. */
const THREADS_MS = 300;
/** Maximum time to write the last lines of the log. */
const FLUSH_MS = 500;

type Outside = Pick<CommandContext, "stdout" | "stderr" | "clock">;

/** Ends the process when its threads have ended, or after a moment whether they have or not. */
export async function leave(code: number, outside: Outside): Promise<void> {
	if (await endAllThreads(THREADS_MS)) process.exit(code);
	await leaveNow(code, outside);
}

/** Ends the process whatever still runs, as soon as its output is written. */
export async function leaveNow(code: number, { stdout, stderr, clock }: Outside): Promise<void> {
	await Promise.race([Promise.all([flushed(stdout), flushed(stderr)]), clock.sleep(FLUSH_MS)]);
	const { exitNow } = await prepareToLeave().catch(() => ({ exitNow: () => process.kill(process.pid, "SIGKILL") }));
	exitNow(code);
}

/** Loads what `leaveNow` needs. A long-running command calls this early: an upgrade in place may remove the file meanwhile. */
export function prepareToLeave(): Promise<typeof import("../../kafka/native.ts")> {
	wayOut ??= import("../../kafka/native.ts");
	return wayOut;
}

let wayOut: Promise<typeof import("../../kafka/native.ts")> | null = null;

/** Settles like `work`, but rejects at once after Ctrl-C. For work that changes nothing. */
export async function unlessInterrupted<T>(
	work: Promise<T>,
	{ interrupted }: Pick<CommandContext, "interrupted">,
	what: string,
): Promise<T> {
	try {
		return await unlessAborted(work, interrupted);
	} catch (error) {
		throw interrupted.aborted ? new ExitError(exitCodes.found, "interrupted", `${what} was interrupted`) : error;
	}
}

/** Resolves when everything written so far is flushed, or can't be. */
function flushed(stream: Writable): Promise<void> {
	return new Promise((resolve) => stream.write("", () => resolve()));
}
