/** The ids of topics, of a broker that answers; where ids can't be had, at least which topics exist. Knows neither client nor addon. */
import type { LogId } from "../core/offsets/log-identity.ts";
import { type KafkaError, kafkaErrors } from "./client/kafka-error.ts";

/** What is asked. Both reject with KafkaError. */
export interface TopicIdSource {
	/** The ids of those of these topics that exist, of the broker that answered last; null where there is no way to ask. */
	ask(topics: readonly string[]): Promise<ReadonlyMap<string, LogId> | null>;
	/** All topics that exist, of any broker that answers. */
	metadata(): Promise<ReadonlyMap<string, number>>;
}

/** Of a broker that is not there. */
const NO_ANSWER: readonly number[] = [kafkaErrors.timedOut, kafkaErrors.transport];

/** Ids of those of these topics that exist; null where an id can't be known. */
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
