/** Finds the partitions of a delivery that stand still, and has them fetched again. */
import type { Clock } from "../core/clock.ts";
import type { GroupClient } from "../kafka/client/group-client.ts";
import { StallDetector, type StallDetectorParts } from "../kafka/watches/stall-detector.ts";
import type { Delivery } from "./delivery.ts";

/** Builds the stall detector of a delivery. `start` and dispose it. */
export function buildStallDetector(
	delivery: Delivery,
	clock: Clock,
	{ stalled, moving }: Pick<StallDetectorParts, "stalled" | "moving">,
): StallDetector {
	const { consumer, ledger, supervisor, transactions } = delivery;
	let lastError: string | null = null;
	/** The client met an unknown topic or partition, and has not been replaced since. */
	let topicWasUnknown = false;
	consumer.on("consume:failed", ({ message }) => {
		lastError = message;
	});
	consumer.on("topic:unknown", () => {
		topicWasUnknown = true;
	});
	return new StallDetector({
		clock,
		positions: () =>
			[...supervisor.children.values()].map(({ topic, partition, child, paused, pausedByHand, parked }) => ({
				topic,
				partition,
				position: ledger.of({ topic, partition })?.position ?? 0,
				idle: !paused && !pausedByHand && !parked && child.queue.queued === 0 && child.queue.underway === 0,
			})),
		watermarks: (partition) => (consumer.client as GroupClient).watermarks(partition),
		isWaiting: (partition) => transactions.isWaiting(partition),
		fetchAgain: (standing) => delivery.fetchAgain(standing),
		lastError: () => lastError,
		stalled: (partition, reason) => {
			stalled(partition, reason);
			// After a topic was created again, librdkafka may fetch the old one for ever.
			if (topicWasUnknown) consumer.replaceClient();
			topicWasUnknown = false;
		},
		moving,
	});
}
