/**
 * What to say of a topic that is not in the cluster's list: nobody made it, or this user may not see it. Only a question for that very
 * topic tells them apart.
 */
import { ExitError, exitCodes } from "../../core/errors.ts";
import type { ConsumerClient } from "../client/consumer-client.ts";
import { existingTopics } from "./access-watch.ts";
import { aclCommand, type Operation, type RightsConfig } from "./rights.ts";

/** Where it is looked for, and what this user wants to do with it. */
export interface AbsentTopicParts {
	readonly client: Pick<ConsumerClient, "topicIds" | "watermarks">;
	readonly kafka: RightsConfig;
	readonly wanted: Operation;
}

/** Code `not_authorized` or `no_topic`; `otherwise` follows the sentence that there is none. */
export async function absentTopic({ client, kafka, wanted }: AbsentTopicParts, topic: string, otherwise: string): Promise<ExitError> {
	const refusal = (await existingTopics(client, [topic])).get(topic);
	if (!refusal) return new ExitError(exitCodes.found, "no_topic", `there is no topic ${topic}${otherwise}`);
	const words = `${refusal.message}; give the right: ${aclCommand(kafka, wanted, "topic", topic)}`;
	return new ExitError(exitCodes.found, "not_authorized", words, { cause: refusal });
}

/** What follows where the user may make it. */
export function creationHint(topic: string): string {
	return `; create it: pockaffe topic create ${topic} -p N`;
}
