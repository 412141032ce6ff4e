/** The threads of this process, whoever made them: known to who ends the process, whether or not there were any. */
import { systemClock } from "../../core/clock.ts";

/** A thread that is not gone. */
export interface LivingThread {
	/** Resolves when nothing of it is left. */
	readonly gone: Promise<void>;
	kill(): Promise<void>;
}

/** Those that are not gone. */
export const livingThreads = new Set<LivingThread>();

/** Ends all threads of this process. False where one is still there after so long: `process.exit` would wait for it for ever. */
export async function endAllThreads(withinMs: number): Promise<boolean> {
	for (const thread of livingThreads) void thread.kill();
	const gone = Promise.all([...livingThreads].map((thread) => thread.gone)).then(() => true);
	return Promise.race([gone, systemClock.sleep(withinMs).then(() => false)]);
}
