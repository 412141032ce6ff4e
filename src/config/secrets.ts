/** Which values of a configuration are secret: no error, log or answer may show them. Pure. */

import type { Environment } from "../core/environment.ts";
import type { Config } from "./config.ts";

const secretKeys: readonly string[] = ["database.url", "database.passwordCommand", "kafka.sasl.password", "kafka.tls.key", "http.token"];
const PROPERTIES = "kafka.properties.";
const secretProperty = /password|secret|key|token|config|credential/i;

/** True if the key's value must never be printed: a secret, or a value in place of a section that has one (`database: postgres://…`). */
export function isSecret(key: string): boolean {
	if (key === "") return true;
	if (key.startsWith(PROPERTIES)) return secretProperty.test(key.slice(PROPERTIES.length));
	return [...secretKeys, PROPERTIES].some((secret) => secret === key || secret.startsWith(`${key}.`));
}

/** The secrets of a valid configuration and of libpq's variables; the database's password as written in the URL, and decoded. */
export function secretsOf({ kafka, database, http }: Config, environment: Environment = {}): string[] {
	const properties = Object.entries(kafka.properties).filter(([name]) => secretProperty.test(name));
	const passwords = passwordsIn(database.url);
	const all = [
		kafka.sasl.password,
		kafka.tls.key,
		http.token,
		...passwords,
		...passwords.map(decoded),
		environment.PGPASSWORD,
		environment.PGSSLPASSWORD,
		...properties.map(([, value]) => String(value)),
	];
	return all.filter((secret) => secret !== undefined && secret !== "") as string[];
}

/** The passwords in a URL: before the host, and among the parameters. */
export function passwordsIn(url: string): string[] {
	const beforeHost = /^[^:]*:\/\/[^:/@]*:(.*)@[^@]*$/s.exec(url.split("?")[0] as string)?.[1] ?? "";
	return [beforeHost, ...Array.from(url.matchAll(/[?&](?:ssl)?password=([^&]*)/g), ([, password]) => password as string)];
}

function decoded(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}
