/**
 * The partitions that `startFrom` applies to: those that existed when this member looked before it joined, in topics without any committed
 * or noted position. Partitions that appear later start at their beginning. Looking before joining avoids races between members that start
 * together: whoever joins the first generation looked before anybody could commit. `startFrom` no longer applies once every first start
 * must have been stored: a partition without a commit then belongs to a topic that was deleted and created again.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { StoredOffset } from "../client/group-client.ts";

/** Knows which partitions begin for the first time. One per member. */
export class FirstStart {
	readonly #clock: Clock;
	/**
	 * How long `startFrom` applies after the first begin. By then every member that began together with this one has stored its starts, or
	 * the group has removed it and others have stored them.
	 */
	readonly #overAfterMs: number;
	readonly #present = new Set<string>();
	/** Topics that this user may not see: nobody can tell whether they exist. */
	readonly #unseen = new Set<string>();
	/** Partitions of these topics that have begun since. */
	readonly #begun = new Set<string>();
	#ends: Timer | null = null;
	#isClosed = false;

	constructor(clock: Clock, sessionMs: number) {
		this.#clock = clock;
		this.#overAfterMs = 2 * sessionMs;
	}

	/** The member closes. The partitions stay known: a start that is still being looked up may be stored, and has to be as configured. */
	close(): void {
		this.#isClosed = true;
	}

	/** A topic that this user may not see may still exist: once it may be seen, it starts as if it had been there. */
	unseen(topic: string): void {
		this.#unseen.add(topic);
	}

	/** Notes a topic's partitions with what the group has committed for them, as seen before joining; `noted` are names of partitions. */
	seen(partitions: readonly StoredOffset[], noted: { has(name: string): boolean } = new Set()): void {
		if (partitions.some((each) => each.offset !== null || noted.has(partitionName(each)))) return;
		for (const partition of partitions) this.#present.add(partitionName(partition));
	}

	/**
	 * The partition has begun. If it has no offset later, it belongs to another log or a restored table, and must not begin by `startFrom`.
	 * After a while that holds for all partitions, except in topics that were not seen yet.
	 */
	begun({ topic, partition }: TopicPartition): void {
		const name = partitionName({ topic, partition });
		this.#ends ??= this.#later(() => this.#present.clear());
		this.#present.delete(name);
		if (!this.#unseen.has(topic)) return;
		this.#begun.add(name);
		// By then all partitions of the topic have begun. One that is added later starts at its beginning.
		this.#later(() => this.#unseen.delete(topic));
	}

	has(partition: TopicPartition): boolean {
		const name = partitionName(partition);
		return this.#present.has(name) || (this.#unseen.has(partition.topic) && !this.#begun.has(name));
	}

	#later(forget: () => void): Timer {
		return this.#clock.after(this.#overAfterMs, () => {
			if (!this.#isClosed) forget();
		});
	}
}
