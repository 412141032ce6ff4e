/** What of a configuration nobody may read. Pure. */
import type { Config } from "./config.ts";
import type { Environment } from "./environment.ts";
import { isSecret } from "./problems.ts";

/** Its secrets, and those of libpq's variables; empty ones left out. */
export function secretsOf({ kafka, database, http }: Config, environment: Environment): string[] {
	const properties = Object.entries(kafka.properties).filter(([name]) => isSecret(["kafka", "properties", name]));
	return [
		kafka.sasl.password,
		kafka.tls.key,
		http.token,
		...passwordsIn(database.url),
		environment.PGPASSWORD,
		environment.PGSSLPASSWORD,
		...properties.map(([, value]) => String(value)),
	].filter((secret) => secret !== undefined && secret !== "") as string[];
}

/** Before the host, and among the parameters. */
function passwordsIn(url: string): (string | undefined)[] {
	const beforeHost = /^[^:]*:\/\/[^:/@]*:(.*)@[^@]*$/s.exec(url.split("?")[0] as string)?.[1];
	return [beforeHost, ...Array.from(url.matchAll(/[?&](?:ssl)?password=([^&]*)/g), ([, password]) => password)];
}
