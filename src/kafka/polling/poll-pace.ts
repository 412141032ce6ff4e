/**
 * Slows polls down while the member is crowded, so that partitions need not be paused: pausing discards what librdkafka has prefetched, and
 * a backlog would be fetched again and again. On one machine this saves no CPU (0.96 × without it, four pairs): it saves network.
 *
 * Step 1 of a message's way (docs/architecture.md).
 */
import type { Clock } from "../../core/clock.ts";

/** Maximum time without a poll: callbacks and results of commits arrive only by polls. */
const LONGEST_MS = 100;
const LOOK_EVERY_MS = 5;

/** Waits while `isCrowded`, 100 ms at most. True if it still is: then ask for no more than one message. */
export async function waitForRoom(isCrowded: () => boolean, clock: Clock, signal: AbortSignal): Promise<boolean> {
	for (let waitedMs = 0; isCrowded(); waitedMs += LOOK_EVERY_MS) {
		if (waitedMs >= LONGEST_MS || signal.aborted) return true;
		await clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
	}
	return false;
}
