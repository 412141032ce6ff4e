/**
 * Where an assigned partition starts: at the committed offset, else where the configuration says, resolved to a number once. Pure
 * decisions over what the broker was asked; the asking is behind `StartQueries`.
 */
import { partitionName, type TopicPartition } from "../core/message.ts";
import type { StoredOffset } from "./group-client.ts";
import type { OffsetStore } from "./offset-store.ts";

/** What has to be asked of the broker. All reject with the broker's error; offsets are numbers, null where there is none. */
export interface StartQueries {
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
	readonly from: "committed" | "kafka" | "earliest" | "latest" | "timestamp" | "beginning";
}

/**
 * The partitions `startFrom` applies to: those that existed, of topics without any committed offset, when this member looked before
 * it joined. What appears later starts at its beginning. Looking before joining makes this free of races between members that start
 * together: whoever joins the first generation looked before anybody could commit. It is over when every first start must have been
 * stored: a partition without a commit is then one of a topic that was deleted and made again.
 */
export class FirstStart {
	readonly #present = new Set<string>();

	/** From here on every start is a later one. Idempotent. */
	end(): void {
		this.#present.clear();
	}

	/** Notes a topic's partitions with what the group has committed for them, as seen before joining. */
	seen(partitions: readonly StoredOffset[]): void {
		if (partitions.some(({ offset }) => offset !== null)) return;
		for (const partition of partitions) this.#present.add(partitionName(partition));
	}

	/** It has begun: without an offset it is later one of another log, or of a table that was put back, and not to begin as `startFrom` says. */
	begun(partition: TopicPartition): void {
		this.#present.delete(partitionName(partition));
	}

	has(partition: TopicPartition): boolean {
		return this.#present.has(partitionName(partition));
	}
}

/** A partition whose start can't be resolved now. */
export interface StartFailure {
	readonly partition: TopicPartition;
	readonly error: unknown;
}

/**
 * Resolves the start of each partition, taking it over in the store. One that the broker can't be asked about fails alone; rejects when
 * the store can't be asked. Then nothing may start.
 * Where another store has an offset of this group the lower one counts: to repeat is harmless, a gap is not.
 */
export async function resolveStartPositions(
	partitions: readonly TopicPartition[],
	startFrom: StartFrom,
	firstStart: FirstStart,
	queries: StartQueries,
	store: Pick<OffsetStore, "claim" | "elsewhere">,
): Promise<{ starts: StartPosition[]; failed: StartFailure[] }> {
	if (partitions.length === 0) return { starts: [], failed: [] };
	const claimed = await store.claim(partitions.map(({ topic, partition }) => ({ topic, partition })));
	const unknown = claimed.filter(({ offset }) => offset === null);
	const others = unknown.length > 0 && store.elsewhere ? await store.elsewhere(unknown) : [];
	const elsewhere = new Map(others.map((each) => [partitionName(each), each.offset]));
	const results = await Promise.allSettled(
		claimed.map(async ({ topic, partition, offset }): Promise<StartPosition> => {
			const where = { topic, partition };
			if (offset !== null) return { ...where, offset, committed: offset, from: "committed" };
			const known = elsewhere.get(partitionName(where)) ?? null;
			return { ...where, committed: null, ...(await startWithoutCommit(where, startFrom, firstStart, queries, known)) };
		}),
	);
	const starts = results.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
	const failed = results.flatMap((result, index) => {
		const { topic, partition } = claimed[index] as StoredOffset;
		return result.status === "rejected" ? { partition: { topic, partition }, error: result.reason as unknown } : [];
	});
	return { starts, failed };
}

async function startWithoutCommit(
	partition: TopicPartition,
	startFrom: StartFrom,
	firstStart: FirstStart,
	queries: StartQueries,
	elsewhere: number | null,
): Promise<Pick<StartPosition, "offset" | "from">> {
	const { low, high } = await queries.watermarks(partition);
	const chosen = await chosenStart(partition, firstStart.has(partition) ? startFrom : "beginning", { low, high }, queries);
	if (elsewhere === null || elsewhere >= chosen.offset) return chosen;
	return { offset: Math.max(low, elsewhere), from: "kafka" };
}

async function chosenStart(
	partition: TopicPartition,
	startFrom: StartFrom | "beginning",
	{ low, high }: { low: number; high: number },
	queries: StartQueries,
): Promise<Pick<StartPosition, "offset" | "from">> {
	if (startFrom === "beginning" || startFrom === "earliest") return { offset: low, from: startFrom };
	if (startFrom === "latest") return { offset: high, from: startFrom };
	return { offset: (await queries.offsetForTime(partition, startFrom)) ?? high, from: "timestamp" };
}
