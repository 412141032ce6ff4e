/** The commands that grant missing rights in Kafka. Pure, except reading the certificate's file. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Config } from "../../config/config.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";

/** The part of `kafka` that names the user and the cluster. */
export type RightsConfig = Pick<Config["kafka"], "brokers" | "group" | "sasl"> & Partial<Pick<Config["kafka"], "tls">>;

/** Operations. Read or Write includes Describe. */
export type Operation = "Read" | "Write" | "Describe" | "Create" | "DescribeConfigs";

/** True if an error of this code is a missing right. */
export function isRefusal(code: number): boolean {
	return code === kafkaErrors.topicAuthorizationFailed || code === kafkaErrors.groupAuthorizationFailed;
}

/** The command that grants a right. */
export function aclCommand(kafka: RightsConfig, operation: Operation, resource: "topic" | "group", name: string): string {
	const principal = `User:${userOf(kafka)}`;
	const quoted = /[^\w:.@-]/.test(principal) ? `'${principal}'` : principal;
	return `kafka-acls.sh --bootstrap-server ${kafka.brokers.join(",")} --add --allow-principal ${quoted} --operation ${operation} --${resource} ${name}`;
}

/** What mends an error of this code; null if it is no missing right. `topic` is the one that it concerns. */
export function missingRight(kafka: RightsConfig, code: number, topic: string): string | null {
	if (code === kafkaErrors.topicAuthorizationFailed) return `give the right: ${aclCommand(kafka, "Read", "topic", topic)}`;
	if (code === kafkaErrors.groupAuthorizationFailed) return `give the right: ${aclCommand(kafka, "Read", "group", kafka.group)}`;
	return null;
}

/** What mends an error of this code at a topic that is produced to; null if it is no missing right. */
export function missingWriteRight(kafka: RightsConfig, code: number, topic: string): string | null {
	// A producer that may write nowhere is refused the cluster.
	if (code !== kafkaErrors.topicAuthorizationFailed && code !== kafkaErrors.clusterAuthorizationFailed) return null;
	return `give the right: ${aclCommand(kafka, "Write", "topic", topic)}`;
}

/** The rights that an operation needs, as far as known when it fails. */
export interface Needs {
	/** The operation on the configured group. */
	readonly group?: Operation;
	readonly topic?: readonly [Operation, name: string] | null;
}

/** Adds the command that grants the right if the error is a refusal. */
export function withRight(kafka: RightsConfig, { group, topic }: Needs, error: KafkaError): KafkaError {
	const { kafkaCode: code, message } = error;
	let command: string | null = null;
	if (code === kafkaErrors.groupAuthorizationFailed && group) command = aclCommand(kafka, group, "group", kafka.group);
	// A producer that may write nowhere is refused the cluster.
	if ((code === kafkaErrors.topicAuthorizationFailed || code === kafkaErrors.clusterAuthorizationFailed) && topic)
		command = aclCommand(kafka, topic[0], "topic", topic[1]);
	return command === null ? error : new KafkaError(`${message}; give the right: ${command}`, code, { cause: error });
}

/** Rethrows an error as `withRight` returns it. */
export function refused(kafka: RightsConfig, needs: Needs): (error: unknown) => never {
	return (error) => {
		throw error instanceof KafkaError ? withRight(kafka, needs, error) : error;
	};
}

/** The user as Kafka names it by default: from SASL, else from the certificate. */
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
