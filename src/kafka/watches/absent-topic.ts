/**
 * Explains why a topic is not in the cluster's list: it does not exist, or this user may not see it. Only a request for that very topic
 * tells the two apart, and that takes the addon. Without it, a hidden topic is taken for a missing one.
 */
import { ExitError, exitCodes } from "../../core/errors.ts";
import type { ConsumerClient } from "../client/consumer-client.ts";
import { existingTopics } from "./access-watch.ts";
import { aclCommand, type Operation, type RightsConfig } from "./rights.ts";

/** Where to ask, and what this user wants to do with the topic. */
export interface AbsentTopicParts {
	readonly client: Pick<ConsumerClient, "topicIds">;
	readonly kafka: RightsConfig;
	readonly wanted: Operation;
}

/** The error, with code `not_authorized` or `no_topic`. `otherwise` is appended if the topic does not exist. */
export async function absentTopic({ client, kafka, wanted }: AbsentTopicParts, topic: string, otherwise: string): Promise<ExitError> {
	// The group's coordinator is not asked: whoever runs a command may have no right to a group.
	const asked = { topicIds: (topics: readonly string[]) => client.topicIds(topics) };
	const refusal = (await existingTopics(asked, [topic])).get(topic);
	if (!refusal) return new ExitError(exitCodes.found, "no_topic", `there is no topic ${topic}${otherwise}`);
	const words = `${refusal.message}; give the right: ${aclCommand(kafka, wanted, "topic", topic)}`;
	return new ExitError(exitCodes.found, "not_authorized", words, { cause: refusal });
}
