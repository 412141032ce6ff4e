/**
 * Asks a broker that answers for the ids of topics; if ids are not available, at least for which topics exist. Knows neither client nor
 * addon.
 */
import type { LogId } from "../core/offsets/log-identity.ts";
import { type KafkaError, kafkaErrors } from "./client/kafka-error.ts";

/** The requests to make. Both reject with KafkaError. */
export interface TopicIdSource {
	/** Ids of those of these topics that exist, from the broker that answered last; null without the addon. */
	ask(topics: readonly string[]): Promise<ReadonlyMap<string, LogId> | null>;
	/** All topics that exist, from any broker that answers. */
	metadata(): Promise<ReadonlyMap<string, number>>;
}

/** Error codes of a broker that is away. */
const NO_ANSWER: readonly number[] = [kafkaErrors.timedOut, kafkaErrors.transport];

/** Ids of those of these topics that exist; null if an id can't be known. */
export async function topicIdsFrom(source: TopicIdSource, topics: readonly string[]): Promise<ReadonlyMap<string, LogId>> {
	if (topics.length === 0) return new Map();
	const ids = await source.ask(topics).catch((error: KafkaError) => {
		if (!NO_ANSWER.includes(error.kafkaCode)) throw error;
		return null;
	});
	if (ids) return ids;
	const existing = await source.metadata();
	return (await source.ask(topics)) ?? new Map(topics.filter((topic) => existing.has(topic)).map((topic) => [topic, null]));
}
