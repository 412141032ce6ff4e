/** Loads a handler once in a throw-away thread, for `check`: finds what a partition's thread would find, without handling any message. */
import type { Clock } from "../../core/clock.ts";
import { withCallDeadline } from "./call-deadline.ts";
import { type HandlerFailure, ThreadDiedError } from "./handler-thread.ts";
import { createHandlerThreads, type WorkerThreadOptions } from "./worker-thread.ts";

/**
 * Which function the module exports, or why it can't be used. Its init and terminate are called, as a worker would do it; each may take
 * `timeoutMs`.
 */
export async function inspectHandler(
	options: WorkerThreadOptions,
	topic: string,
	timeoutMs: number,
	clock: Clock,
): Promise<{ ok: true; handles: "message" | "batch" } | { ok: false; failure: HandlerFailure }> {
	const thread = createHandlerThreads(options).lease({ topic, partition: 0 }).open();
	try {
		const reply = await withCallDeadline(thread.start(), thread, timeoutMs, clock);
		if (reply.ok) await withCallDeadline(thread.terminate("shutdown"), thread, timeoutMs, clock);
		return reply;
	} catch (error) {
		const death = error instanceof ThreadDiedError ? error.death : { message: String(error), stack: null };
		return { ok: false, failure: { kind: "load", name: "ThreadDied", message: death.message, stack: death.stack } };
	} finally {
		await thread.kill();
	}
}
