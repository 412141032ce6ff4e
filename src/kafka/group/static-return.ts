/**
 * A static member that comes back within its session gets its old partitions from the broker without a rebalance. Nobody checks whether the
 * topics have changed meanwhile: deleted partitions stay with it, and nobody reads partitions created while it was away. So the member
 * checks once by itself, and joins again if something changed. KIP-848's coordinator does that itself; a dynamic member causes a rebalance
 * anyway.
 */
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import { isTopicMeant, partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { compareLogIds } from "../../core/offsets/log-identity.ts";
import type { GroupClient } from "../client/group-client.ts";
import type { OffsetStore } from "../offsets/offset-store.ts";

/** How the topics differ from the group's assignment. */
export interface OutdatedAssignment {
	/** Assigned to this member, but no longer in their topics. */
	readonly gone: readonly TopicPartition[];
	/** They exist, but no member of the group has begun them. */
	readonly unread: readonly TopicPartition[];
}

/** What it needs. `outdated`: the member should join again. */
export interface StaticReturnParts {
	readonly clock: Clock;
	readonly ended: AbortSignal;
	/** False once another client has replaced this one. */
	readonly isCurrent: () => boolean;
	readonly topics: readonly string[];
	readonly client: Pick<GroupClient, "metadata" | "topicIds">;
	readonly offsets: Pick<OffsetStore, "stored">;
	readonly assigned: () => readonly TopicPartition[];
	readonly outdated: (found: OutdatedAssignment) => void;
}

/** Delay of the check: by then other members that come back at the same time have begun their partitions. */
const LOOK_AFTER_MS = 10_000;

/** True if the broker gives a member with this configuration its old partitions back without a rebalance. */
export function returnsUnseen({ instanceId, protocol }: Config["kafka"]): boolean {
	return instanceId !== "" && protocol !== "consumer";
}

/** Makes a static member join again if its topics changed while it was away. */
export class StaticReturn {
	readonly #parts: StaticReturnParts;
	#hasJoined = false;

	constructor(parts: StaticReturnParts) {
		this.#parts = parts;
	}

	/** The group assigned partitions. Checks some seconds later, and again if Kafka can't be asked. */
	joined(): void {
		if (this.#hasJoined) return;
		this.#hasJoined = true;
		void this.#untilLooked().catch(() => {});
	}

	/** Rejects if it was ended before. */
	async #untilLooked(): Promise<void> {
		const { clock, ended, isCurrent, outdated } = this.#parts;
		let found: OutdatedAssignment | null = null;
		while (!found && isCurrent()) {
			await clock.sleep(LOOK_AFTER_MS, ended);
			found = await this.#look().catch(() => null);
		}
		if (found && isCurrent() && !ended.aborted && found.gone.length + found.unread.length > 0) outdated(found);
	}

	async #look(): Promise<OutdatedAssignment> {
		const { client, topics, assigned } = this.#parts;
		const existing = new Map([...(await client.metadata())].filter(([topic]) => topics.some((entry) => isTopicMeant(entry, topic))));
		const given = assigned();
		const gone = given.filter(({ topic, partition }) => partition >= (existing.get(topic) || Number.POSITIVE_INFINITY));
		const names = new Set(given.map(partitionName));
		const others = [...existing].flatMap(([topic, count]) =>
			Array.from({ length: count }, (_, partition) => ({ topic, partition })).filter((each) => !names.has(partitionName(each))),
		);
		return { gone, unread: await this.#unbegun(others) };
	}

	/**
	 * Partitions without a stored offset: a member that begins a partition stores its position. An offset stored for an earlier log does not
	 * count.
	 */
	async #unbegun(partitions: readonly TopicPartition[]): Promise<readonly TopicPartition[]> {
		if (partitions.length === 0) return [];
		const ids = await this.#parts.client.topicIds([...new Set(partitions.map(({ topic }) => topic))]);
		const stored = await this.#parts.offsets.stored(partitions);
		return stored
			.filter(({ topic, offset, log }) => offset === null || compareLogIds(log?.id ?? null, ids.get(topic) ?? null) === "other")
			.map(({ topic, partition }) => ({ topic, partition }));
	}
}
