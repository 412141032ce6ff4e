/** librdkafka settings shared by all our clients: where the cluster is, and how to log in. */
import { readFileSync } from "node:fs";
import type { Config } from "../../config/config.ts";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";
import { knownSecrets } from "../../core/text/secret-mask.ts";
import { checkTlsFiles } from "../connecting/tls-files.ts";

/**
 * If no known broker answers for this long, the configured addresses are asked again: nothing else finds a cluster that came back at other
 * addresses. librdkafka's default of five minutes is longer than any repair that somebody waits for.
 */
const BOOTSTRAP_AGAIN_MS = 10_000;

/**
 * Global settings from `kafka`. The user's `properties` override our defaults, but never addresses and credentials. Throws ExitError
 * (usage) if a file of `tls` or `sasl` can't be used.
 */
export function kafkaClientSettings(kafka: Config["kafka"]): Record<string, unknown> {
	checkTlsFiles(kafka);
	const { brokers, tls, sasl, properties } = kafka;
	return {
		"client.id": "pockaffe",
		"socket.nagle.disable": true,
		"socket.keepalive.enable": true,
		"reconnect.backoff.max.ms": 5_000,
		"metadata.recovery.rebootstrap.trigger.ms": BOOTSTRAP_AGAIN_MS,
		...properties,
		"bootstrap.servers": brokers.join(","),
		"security.protocol": securityProtocol(kafka),
		...pemOrFile("ssl.ca", tls.ca),
		...pemOrFile("ssl.certificate", tls.cert),
		...pemOrFile("ssl.key", tls.key),
		...(sasl.mechanism ? { "sasl.mechanisms": sasl.mechanism, "sasl.username": sasl.username, "sasl.password": passwordOf(sasl) } : {}),
	};
}

/** plaintext | ssl | sasl_plaintext | sasl_ssl. Any key of `tls` turns TLS on. */
export function securityProtocol({ tls, sasl }: Pick<Config["kafka"], "tls" | "sasl">): string {
	const secure = Object.keys(tls).length > 0;
	if (sasl.mechanism) return secure ? "sasl_ssl" : "sasl_plaintext";
	return secure ? "ssl" : "plaintext";
}

/** The files that a client reads: certificates, keys, the password's, and those in the user's `properties`. */
export function filesOf(kafka: Config["kafka"]): string[] {
	const { passwordFile } = kafka.sasl;
	const named = Object.entries(kafkaClientSettings(kafka)).flatMap(([name, value]) =>
		/^ssl\..*\.location$/.test(name) && value ? [String(value)] : [],
	);
	return passwordFile ? [...named, passwordFile] : named;
}

/** Reads the password, again for each client. A file without one may be half written. */
function passwordOf({ password, passwordFile }: Config["kafka"]["sasl"]): string | undefined {
	if (!passwordFile) return password;
	const problem = (what: string) => new ExitError(exitCodes.usage, "kafka_sasl", `kafka.sasl.passwordFile: ${passwordFile} ${what}`);
	let text: string;
	try {
		text = readFileSync(passwordFile, "utf8");
	} catch (error) {
		throw problem(`can't be read: ${messageOf(error)}`);
	}
	const [line = ""] = text.split(/\r?\n/, 1);
	if (line === "") throw problem("has no password in its first line");
	knownSecrets.add(line);
	return line;
}

/** PEM text is passed as it is; anything else is a file name; empty means the system's default. */
function pemOrFile(property: string, value: string | undefined): Record<string, string> {
	if (!value) return {};
	return value.includes("-----BEGIN") ? { [`${property}.pem`]: value } : { [`${property}.location`]: value };
}
