/**
 * librdkafka's main thread sends the heartbeats. It sleeps up to a second unless something wakes it, and on a quiet topic nothing does. Two
 * calls per interval keep an interval of 100 ms. The call is the cheapest that goes through that thread.
 */
import type { KafkaConsumer as RawConsumer } from "node-rdkafka";
import type { Clock } from "../../core/clock.ts";

const LONGEST_SLEEP_MS = 1_000;

/** Wakes the client's main thread for each heartbeat, until `isOver`. Does nothing if the heartbeats are rare enough. */
export function keepAwake(raw: RawConsumer, clock: Clock, heartbeatMs: number, isOver: () => boolean): void {
	if (heartbeatMs >= LONGEST_SLEEP_MS) return;
	const wakeLater = () => clock.after(heartbeatMs / 2, wake);
	const wake = () => {
		if (isOver()) return;
		try {
			raw.subscription();
		} catch {
			// It is not connected any more: nobody waits for its heartbeats.
			return;
		}
		wakeLater();
	};
	wakeLater();
}
