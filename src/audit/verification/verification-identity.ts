/**
 * Identifies what a verification is about, so that an interrupted one is only continued as it was begun. Hashes, because there are secrets
 * in it.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Config } from "../../config/config.ts";
import { secretsOf } from "../../config/secrets.ts";
import { SecretMask } from "../../core/text/secret-mask.ts";
import type { VerificationIdentity } from "./kept-verification.ts";
import type { VerificationScope } from "./verification-parts.ts";

/** The parts, by the words that a refusal uses for them. The handler's file is one of them; files that it imports are not. */
export async function verificationIdentity(config: Config, scope: VerificationScope | undefined): Promise<VerificationIdentity> {
	const { kafka, handler, tables, database, deadLetters, offsets } = config;
	// Not the process's own mask, which learns more secrets over time.
	const { mask } = new SecretMask(secretsOf(config));
	const parts = {
		"group or list of topics": [kafka.group, kafka.topics],
		handler: [handler, await readFile(handler.module, "utf8").catch(() => "built in")],
		"definition of tables": tables,
		database: mask(database.url),
		"place of dead letters": [deadLetters.target, deadLetters.table, deadLetters.topic],
		"store of offsets": [offsets.store, offsets.table],
		"choice of topics, tables or ids": [scope?.topics, scope?.tables, [...(scope?.ids ?? [])].sort()],
	};
	return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, hashOf(part)]));
}

function hashOf(part: unknown): string {
	return createHash("sha256")
		.update(JSON.stringify(part) ?? "")
		.digest("base64url")
		.slice(0, 22);
}
