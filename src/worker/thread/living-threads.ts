/** The handler threads of this process, whoever created them, for the code that ends the process. */
import { systemClock } from "../../core/clock.ts";

/** A thread that is not gone. */
export interface LivingThread {
	/** Resolves when the thread is gone. */
	readonly gone: Promise<void>;
	kill(): Promise<void>;
}

/** The threads that are not gone. */
export const livingThreads = new Set<LivingThread>();

/** Ends all threads of this process. False if one is still there after `withinMs`: `process.exit` would wait for it for ever. */
export async function endAllThreads(withinMs: number): Promise<boolean> {
	for (const thread of livingThreads) void thread.kill();
	const gone = Promise.all([...livingThreads].map((thread) => thread.gone)).then(() => true);
	return Promise.race([gone, systemClock.sleep(withinMs).then(() => false)]);
}
