/**
 * Slows polls down while the member is crowded, so that it doesn't come to a pause: pausing throws away what librdkafka has fetched
 * ahead, and a backlog would be fetched again and again. On one machine that costs no more CPU (0.96 × without it, four pairs): it
 * is for the network between.
 *
 * Step 1 of a message's way (docs/architecture.md).
 */
import type { Clock } from "../../core/clock.ts";

/** Longest time without a poll: callbacks and results of commits come by polls alone. */
const LONGEST_MS = 100;
const LOOK_EVERY_MS = 5;

/** Waits while `isCrowded`, a tenth of a second at most. True where it still is: then no more than one message should be asked for. */
export async function waitForRoom(isCrowded: () => boolean, clock: Clock, signal: AbortSignal): Promise<boolean> {
	for (let waitedMs = 0; isCrowded(); waitedMs += LOOK_EVERY_MS) {
		if (waitedMs >= LONGEST_MS || signal.aborted) return true;
		await clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
	}
	return false;
}
