/** What to type where Kafka refuses a right. Pure. */
import type { Config } from "../config/config.ts";
import { kafkaErrors } from "./kafka-error.ts";

/** What of `kafka` names the user and the cluster. */
export type RightsConfig = Pick<Config["kafka"], "brokers" | "group" | "sasl">;

/** Whether an error of this code is a missing right. */
export function isRefusal(code: number): boolean {
	return code === kafkaErrors.topicAuthorizationFailed || code === kafkaErrors.groupAuthorizationFailed;
}

/** The command that gives the right to read a topic or to work in a group. */
export function readCommand({ brokers, sasl }: RightsConfig, resource: "topic" | "group", name: string): string {
	const user = sasl.username || "NAME";
	return `kafka-acls.sh --bootstrap-server ${brokers.join(",")} --add --allow-principal User:${user} --operation Read --${resource} ${name}`;
}

/** What mends an error of this code; null where it is no missing right. `topic` is the one that it concerns. */
export function missingRight(kafka: RightsConfig, code: number, topic: string): string | null {
	if (code === kafkaErrors.topicAuthorizationFailed) return `give the right: ${readCommand(kafka, "topic", topic)}`;
	if (code === kafkaErrors.groupAuthorizationFailed) return `give the right: ${readCommand(kafka, "group", kafka.group)}`;
	return null;
}
