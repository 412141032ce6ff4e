/**
 * Where an assigned partition starts: at the committed offset, else where the configuration says, resolved to a number once. Pure
 * decisions over what the broker was asked; the asking is behind `StartQueries`.
 */
import { partitionName, type TopicPartition } from "../core/message.ts";

/** What has to be asked of the broker. All reject with the broker's error; offsets are numbers, null where there is none. */
export interface StartQueries {
	committed(partitions: readonly TopicPartition[]): Promise<(TopicPartition & { readonly offset: number | null })[]>;
	watermarks(partition: TopicPartition): Promise<{ low: number; high: number }>;
	/** The first offset with this timestamp (ms) or a later one; null where there is none. */
	offsetForTime(partition: TopicPartition, timestampMs: number): Promise<number | null>;
}

/** `kafka.startFrom`: a number is a timestamp in ms. */
export type StartFrom = "earliest" | "latest" | number;

/** A resolved start. `from` says why it is this offset; anything but `committed` has yet to be committed. */
export interface StartPosition extends TopicPartition {
	readonly offset: number;
	readonly committed: number | null;
	readonly from: "committed" | "earliest" | "latest" | "timestamp" | "beginning";
}

/**
 * The partitions `startFrom` applies to: those that existed, of topics without any committed offset, when this member looked before
 * it joined. What appears later starts at its beginning. Looking before joining makes this free of races between members that start
 * together: whoever joins the first generation looked before anybody could commit.
 */
export class FirstStart {
	readonly #present = new Set<string>();

	/** Notes a topic's partitions with what the group has committed for them, as seen before joining. */
	seen(partitions: readonly (TopicPartition & { readonly offset: number | null })[]): void {
		if (partitions.some(({ offset }) => offset !== null)) return;
		for (const partition of partitions) this.#present.add(partitionName(partition));
	}

	has(partition: TopicPartition): boolean {
		return this.#present.has(partitionName(partition));
	}
}

/** Resolves the start of each partition. Rejects when the broker can't be asked; then nothing may start. */
export async function resolveStartPositions(
	partitions: readonly TopicPartition[],
	startFrom: StartFrom,
	firstStart: FirstStart,
	queries: StartQueries,
): Promise<StartPosition[]> {
	if (partitions.length === 0) return [];
	const committed = await queries.committed(partitions);
	return Promise.all(
		committed.map(async ({ topic, partition, offset }): Promise<StartPosition> => {
			if (offset !== null) return { topic, partition, offset, committed: offset, from: "committed" };
			const start = await startWithoutCommit({ topic, partition }, startFrom, firstStart, queries);
			return { topic, partition, committed: null, ...start };
		}),
	);
}

async function startWithoutCommit(
	partition: TopicPartition,
	startFrom: StartFrom,
	firstStart: FirstStart,
	queries: StartQueries,
): Promise<Pick<StartPosition, "offset" | "from">> {
	const { low, high } = await queries.watermarks(partition);
	if (!firstStart.has(partition)) return { offset: low, from: "beginning" };
	if (startFrom === "earliest") return { offset: low, from: "earliest" };
	if (startFrom === "latest") return { offset: high, from: "latest" };
	return { offset: (await queries.offsetForTime(partition, startFrom)) ?? high, from: "timestamp" };
}
