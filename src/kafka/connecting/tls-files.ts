/**
 * Checks whether the files of `kafka.tls` can be used. librdkafka finds out late, in OpenSSL's words, and asks a terminal for the password
 * of an encrypted key.
 */
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { Config } from "../../config/config.ts";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";

/** Throws ExitError (usage) `kafka_tls` that names key and file. */
export function checkTlsFiles({ tls, properties }: Pick<Config["kafka"], "tls" | "properties">): void {
	const [ca, cert, key] = (["ca", "cert", "key"] as const).map((name) => contents(name, tls[name]));
	const password = properties["ssl.key.password"];
	const passphrase = password === undefined ? {} : { passphrase: String(password) };
	if (ca !== undefined) usable("ca", tls.ca, { ca }, "holds no certificate in PEM");
	if (cert === undefined || key === undefined) return;
	usable("cert", tls.cert, { cert }, "holds no certificate in PEM");
	try {
		createSecureContext({ key, ...passphrase });
	} catch (error) {
		const isEncrypted = key.includes("ENCRYPTED");
		const whyNot = password === undefined ? "is encrypted: give kafka.properties.ssl.key.password" : "is not opened by ssl.key.password";
		throw problem("key", tls.key, isEncrypted ? whyNot : `holds no private key in PEM (${messageOf(error)})`);
	}
	try {
		createSecureContext({ cert, key, ...passphrase });
	} catch {
		throw problem("key", tls.key, `is not the key of kafka.tls.cert (${nameOf(tls.cert)})`);
	}
}

function contents(name: "ca" | "cert" | "key", value: string | undefined): string | undefined {
	if (!value) return undefined;
	if (value.includes("-----BEGIN")) return value;
	try {
		return readFileSync(value, "utf8");
	} catch (error) {
		throw problem(name, value, `can't be read: ${messageOf(error)}`);
	}
}

function usable(
	name: "ca" | "cert",
	value: string | undefined,
	context: { readonly ca: string } | { readonly cert: string },
	whyNot: string,
) {
	try {
		if (Object.values(context).every((text) => text.includes("-----BEGIN"))) return createSecureContext(context);
	} catch {}
	throw problem(name, value, whyNot);
}

function nameOf(value: string | undefined): string {
	return !value || value.includes("-----BEGIN") ? "given as text" : value;
}

function problem(name: "ca" | "cert" | "key", value: string | undefined, what: string): ExitError {
	return new ExitError(exitCodes.usage, "kafka_tls", `kafka.tls.${name}: ${nameOf(value)} ${what}`);
}
