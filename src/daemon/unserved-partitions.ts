/**
 * Partitions that this member has and no worker serves: nothing of them is read. That lasts for moments where a member gives partitions up to
 * get them again; if it lasts, nothing else would tell, because only workers have troubles and positions.
 */
import type { Clock } from "../core/clock.ts";
import { partitionName, type TopicPartition } from "../core/messages/message.ts";
import type { Problem } from "../core/problem.ts";

/** Longer than a drain with the default deadline, for which a group may wait. */
const TOLD_AFTER_MS = 60_000;

const WAITS =
	"this daemon has the partition and reads nothing of it: it waits for the group to assign it again, as long as the slowest member takes to give partitions away; if that takes longer than max.poll.interval.ms, restart this daemon";

/** What it compares. */
export interface UnservedPartitionsParts {
	readonly clock: Clock;
	/** The partitions that the member fetches. */
	readonly fetched: () => readonly TopicPartition[];
	/** True if a worker has the partition of this name. */
	readonly isServed: (name: string) => boolean;
}

/** Finds partitions without a worker. Call `look` every few seconds. */
export class UnservedPartitions {
	readonly #parts: UnservedPartitionsParts;
	readonly #sinceMs = new Map<string, number>();

	constructor(parts: UnservedPartitionsParts) {
		this.#parts = parts;
	}

	look(): void {
		const names = new Set(this.#unserved().map(partitionName));
		for (const name of this.#sinceMs.keys()) if (!names.has(name)) this.#sinceMs.delete(name);
		for (const name of names) if (!this.#sinceMs.has(name)) this.#sinceMs.set(name, this.#parts.clock.now());
	}

	/** Those that have had no worker for a minute. */
	get problems(): readonly Problem<"starting">[] {
		return this.#unserved().flatMap((partition): Problem<"starting">[] => {
			const sinceMs = this.#sinceMs.get(partitionName(partition)) ?? Number.POSITIVE_INFINITY;
			if (this.#parts.clock.now() - sinceMs < TOLD_AFTER_MS) return [];
			return [{ code: "starting", where: partition, message: WAITS, sinceMs }];
		});
	}

	#unserved(): TopicPartition[] {
		return this.#parts
			.fetched()
			.filter((each) => !this.#parts.isServed(partitionName(each)))
			.map(({ topic, partition }) => ({ topic, partition }));
	}
}
