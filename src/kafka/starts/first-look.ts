/** What a member reads before it joins: which partitions exist, and whether the group has stored anything for their topics. */
import { messageOf } from "../../core/errors.ts";
import { isTopicMeant, type TopicPartition } from "../../core/messages/message.ts";
import type { GroupClient } from "../client/group-client.ts";
import type { GroupConsumerParts } from "../group/group-consumer-parts.ts";
import { existingTopics } from "../watches/access-watch.ts";
import type { FirstStart } from "./first-start.ts";

/** Configured topics that don't exist, and those that this user may not see. */
export interface FirstLook {
	readonly missing: readonly string[];
	readonly refused: readonly { readonly topic: string; readonly message: string }[];
}

/** The notes, or the offsets that are kept in the database, can't be read: Kafka has no part in that. */
export class DatabaseUnreadError extends Error {
	constructor(cause: unknown) {
		super(messageOf(cause), { cause });
	}
}

/**
 * Tells `firstStart` what exists, and returns what is missing. Rejects if Kafka can't be asked, and with DatabaseUnreadError if the
 * database can't.
 */
export async function lookBeforeJoining(
	client: GroupClient,
	{ kafka, offsets, notes }: Pick<GroupConsumerParts, "kafka" | "offsets" | "notes">,
	firstStart: FirstStart,
): Promise<FirstLook> {
	const existing = await client.metadata();
	const ofDatabase = (error: unknown) => {
		throw new DatabaseUnreadError(error);
	};
	const noted = await notes.read().catch(ofDatabase);
	const stored = (partitions: readonly TopicPartition[]) =>
		offsets.keptIn === "table" ? offsets.stored(partitions).catch(ofDatabase) : offsets.stored(partitions);
	for (const [topic, count] of existing) {
		if (!kafka.topics.some((entry) => isTopicMeant(entry, topic))) continue;
		const partitions = Array.from({ length: count }, (_, partition) => ({ topic, partition }));
		if (count > 0) firstStart.seen(await stored(partitions), noted);
	}
	const absent = kafka.topics.filter((topic) => !topic.startsWith("^") && !existing.get(topic));
	if (absent.length === 0) return { missing: [], refused: [] };
	const found = await existingTopics(client, absent);
	const refused = [...found].flatMap(([topic, refusal]) => (refusal ? [{ topic, message: refusal.message }] : []));
	for (const { topic } of refused) firstStart.unseen(topic);
	return { missing: absent.filter((topic) => !found.has(topic)), refused };
}
