/**
 * Gives partitions away in order: commits what is finished, and notes that no message is suspected of a death. A partition that comes back
 * as it was left goes on with the thread that it had.
 */
import type { Clock } from "../core/clock.ts";
import { partitionName, type TopicPartition } from "../core/messages/message.ts";
import { LeftPartitions } from "../kafka/offsets/left-partitions.ts";
import type { HandKeeper } from "../sink/offsets/hand-keeper.ts";
import type { Delivery } from "./delivery.ts";

/** Maximum wait, after the commit, for the note. Without it, the next owner is careful for a while; nothing worse happens. */
const RELEASE_MS = 500;

/** Gives partitions of a delivery away, and recognises them when they come back. */
export class GivenAway {
	readonly #delivery: Pick<Delivery, "supervisor" | "committer" | "ledger">;
	readonly #hands: HandKeeper;
	readonly #clock: Clock;
	readonly #left = new LeftPartitions();

	constructor(delivery: Pick<Delivery, "supervisor" | "committer" | "ledger">, hands: HandKeeper, clock: Clock) {
		this.#delivery = delivery;
		this.#hands = hands;
		this.#clock = clock;
	}

	/** Commits what is finished, and notes that no message is suspected of a death. True if the offsets were committed in time. */
	async give(partitions: readonly TopicPartition[], timeoutMs: number): Promise<boolean> {
		const { supervisor, committer, ledger } = this.#delivery;
		const childOf = (partition: TopicPartition) => supervisor.children.get(partitionName(partition))?.child;
		const released = this.#hands.release(
			partitions.map(({ topic, partition }) => ({ topic, partition, evidence: childOf({ topic, partition })?.evidence ?? null })),
		);
		const committed = await committer.commitWithin(timeoutMs, partitions);
		for (const partition of committed ? partitions : []) {
			const offsets = ledger.of(partition);
			const child = childOf(partition);
			// A message that was handed over and is not finished comes again. It must not meet variables that the handler has set for it.
			if (offsets && child && child.queue.handedTo <= offsets.committable)
				this.#left.left(partition, { logId: offsets.logId, offset: offsets.committable });
		}
		await new Promise<void>((resolve) => {
			const timer = this.#clock.after(RELEASE_MS, resolve);
			void released.then(resolve).finally(() => timer.cancel());
		});
		return committed;
	}

	/** True if the partition, which is assigned again, begins where this member left it. Asked once for each assignment. */
	goesOn(partition: TopicPartition): boolean {
		const begun = this.#delivery.ledger.of(partition);
		return begun !== undefined && this.#left.goesOn(partition, { logId: begun.logId, offset: begun.committable });
	}
}
