/** What to type where Kafka refuses a right. Pure but for the certificate's file. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Config } from "../../config/config.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";

/** What of `kafka` names the user and the cluster. */
export type RightsConfig = Pick<Config["kafka"], "brokers" | "group" | "sasl"> & Partial<Pick<Config["kafka"], "tls">>;

/** What may be done; who may read or write may describe. */
export type Operation = "Read" | "Write" | "Describe" | "Create" | "DescribeConfigs";

/** Whether an error of this code is a missing right. */
export function isRefusal(code: number): boolean {
	return code === kafkaErrors.topicAuthorizationFailed || code === kafkaErrors.groupAuthorizationFailed;
}

/** The command that gives a right. */
export function aclCommand(kafka: RightsConfig, operation: Operation, resource: "topic" | "group", name: string): string {
	const principal = `User:${userOf(kafka)}`;
	const quoted = /[^\w:.@-]/.test(principal) ? `'${principal}'` : principal;
	return `kafka-acls.sh --bootstrap-server ${kafka.brokers.join(",")} --add --allow-principal ${quoted} --operation ${operation} --${resource} ${name}`;
}

/** What mends an error of this code; null where it is no missing right. `topic` is the one that it concerns. */
export function missingRight(kafka: RightsConfig, code: number, topic: string): string | null {
	if (code === kafkaErrors.topicAuthorizationFailed) return `give the right: ${aclCommand(kafka, "Read", "topic", topic)}`;
	if (code === kafkaErrors.groupAuthorizationFailed) return `give the right: ${aclCommand(kafka, "Read", "group", kafka.group)}`;
	return null;
}

/** What mends an error of this code at a topic that is produced to; null where it is no missing right. */
export function missingWriteRight(kafka: RightsConfig, code: number, topic: string): string | null {
	// A producer that may write nowhere is refused the cluster.
	if (code !== kafkaErrors.topicAuthorizationFailed && code !== kafkaErrors.clusterAuthorizationFailed) return null;
	return `give the right: ${aclCommand(kafka, "Write", "topic", topic)}`;
}

/** What something needs, as far as it is known when it fails. */
export interface Needs {
	/** Of the configured group. */
	readonly group?: Operation;
	readonly topic?: readonly [Operation, name: string] | null;
}

/** The error; one of Kafka's refusals with what to give. */
export function withRight(kafka: RightsConfig, { group, topic }: Needs, error: KafkaError): KafkaError {
	const { kafkaCode: code, message } = error;
	let command: string | null = null;
	if (code === kafkaErrors.groupAuthorizationFailed && group) command = aclCommand(kafka, group, "group", kafka.group);
	// A producer that may write nowhere is refused the cluster.
	if ((code === kafkaErrors.topicAuthorizationFailed || code === kafkaErrors.clusterAuthorizationFailed) && topic)
		command = aclCommand(kafka, topic[0], "topic", topic[1]);
	return command === null ? error : new KafkaError(`${message}; give the right: ${command}`, code, { cause: error });
}

/** Throws an error on, as `withRight` has it. */
export function refused(kafka: RightsConfig, needs: Needs): (error: unknown) => never {
	return (error) => {
		throw error instanceof KafkaError ? withRight(kafka, needs, error) : error;
	};
}

/** As Kafka names the user by default: of SASL, else of the certificate. */
function userOf({ sasl, tls }: RightsConfig): string {
	if (sasl.username) return sasl.username;
	const cert = tls?.cert;
	if (!cert) return "ANONYMOUS";
	try {
		const { subject } = new X509Certificate(cert.includes("-----BEGIN") ? cert : readFileSync(cert));
		return subject.split("\n").reverse().join(",");
	} catch {
		return "NAME";
	}
}
