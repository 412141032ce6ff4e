/** What to type where Kafka refuses a right. Pure but for the certificate's file. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Config } from "../config/config.ts";
import { kafkaErrors } from "./kafka-error.ts";

/** What of `kafka` names the user and the cluster. */
export type RightsConfig = Pick<Config["kafka"], "brokers" | "group" | "sasl"> & Partial<Pick<Config["kafka"], "tls">>;

/** What may be done; who may read or write may describe. */
export type Operation = "Read" | "Write" | "Describe" | "Create";

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
