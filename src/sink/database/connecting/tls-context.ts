/**
 * Implements libpq's sslmodes with Node's TLS. Files are read for each connection, so that renewed ones are used. Two things differ from
 * libpq: without a root certificate the verifying modes use Node's own CAs (and NODE_EXTRA_CA_CERTS) instead of failing, and a named file
 * that is missing is an error in every mode.
 */
import { readFile, stat } from "node:fs/promises";
import type net from "node:net";
import tls, { type ConnectionOptions, type PeerCertificate } from "node:tls";
import { messageOf, PocKaffeError } from "../../../core/errors.ts";
import { certificateWords } from "../../../core/text/certificate-words.ts";
import type { Host, NamedFile, TlsSettings } from "./connection-settings.ts";

/** Where systems keep their CAs, for Node versions that can't report them. */
const SYSTEM_BUNDLES: readonly string[] = [
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
];
/** Error codes of a connection that the other side ended. */
const ENDED: readonly string[] = ["ECONNRESET", "EPIPE"];
/** Forbidden permission bits of a key file; the group may read a file that belongs to root. */
const [OTHERS, OTHERS_OF_ROOT] = [0o077, 0o027];

/** Options for `tls.connect`. Rejects with PocKaffeError `ERR_TLS_FILE` if a file is missing or unusable. */
export async function tlsOptions(settings: TlsSettings, host: Host): Promise<ConnectionOptions> {
	const ca = await rootCertificates(settings);
	const verifies = settings.mode.startsWith("verify-") || ca !== null;
	const cert = await pem(settings.cert, "sslcert");
	const key = cert === null ? null : await clientKey(settings);
	const crl = verifies ? await pem(settings.crl, "sslcrl") : null;
	const context = {
		...(ca === null ? {} : { ca }),
		...(cert === null ? {} : { cert, key: key ?? undefined }),
		...(settings.keyPassword === null ? {} : { passphrase: settings.keyPassword }),
		...(crl === null ? {} : { crl }),
		...(settings.minVersion === null ? {} : { minVersion: settings.minVersion as "TLSv1.2" }),
		...(settings.maxVersion === null ? {} : { maxVersion: settings.maxVersion as "TLSv1.2" }),
	};
	try {
		tls.createSecureContext(context);
	} catch (cause) {
		throw fileProblem(unusable(settings, cause), cause);
	}
	return {
		...context,
		rejectUnauthorized: verifies,
		// Checks the name that was asked for: an address stays an address, and is not treated as localhost.
		checkServerIdentity: (_, certificate) => (settings.mode === "verify-full" ? identityProblem(host.name, certificate) : undefined),
		...(settings.sni && !isAddress(host.name) ? { servername: host.name } : {}),
		...(settings.direct ? { ALPNProtocols: ["postgresql"] } : {}),
	};
}

/** The root certificates; null: only Node's own. */
async function rootCertificates({ rootCert }: TlsSettings): Promise<string | string[] | null> {
	if (rootCert.value !== "system") return await pem(rootCert, "sslrootcert");
	// Node 22.15 and later.
	const { getCACertificates } = tls as { getCACertificates?: (of: "system") => string[] };
	if (getCACertificates) return getCACertificates("system");
	for (const path of [process.env.SSL_CERT_FILE, ...SYSTEM_BUNDLES]) {
		const found = path ? await readFile(path, "utf8").catch(() => null) : null;
		if (found !== null) return found;
	}
	throw fileProblem(`sslrootcert=system: no CAs in any of ${SYSTEM_BUNDLES.join(", ")}; name them with SSL_CERT_FILE`);
}

async function pem({ value, isNamed }: NamedFile, what: string): Promise<string | null> {
	if (value.includes("-----BEGIN ")) return value;
	try {
		return await readFile(value, "utf8");
	} catch (cause) {
		if (!isNamed && (cause as { code?: string }).code === "ENOENT") return null;
		throw fileProblem(`${what} can't be read: ${messageOf(cause)}`, cause);
	}
}

async function clientKey({ key }: TlsSettings): Promise<string> {
	const found = await pem(key, "sslkey");
	if (found === null) throw fileProblem(`there is a client certificate and no key for it: ${key.value} is not there (sslkey)`);
	if (!key.value.includes("-----BEGIN ") && process.platform !== "win32") {
		const { mode, uid } = await stat(key.value);
		if ((mode & (uid === 0 ? OTHERS_OF_ROOT : OTHERS)) !== 0)
			throw fileProblem(`sslkey ${key.value} may be read by others: chmod 0600 it (0640 if root owns it)`);
	}
	return found;
}

/** Builds the error for unusable files: OpenSSL does not say which file is wrong. */
function unusable({ cert, key, rootCert, crl, keyPassword }: TlsSettings, cause: unknown): string {
	const words = messageOf(cause);
	const name = ({ value }: NamedFile) => (value.includes("-----BEGIN ") ? "(given as text)" : value);
	if (/key values mismatch/i.test(words)) return `sslkey ${name(key)} is not the key of sslcert ${name(cert)}`;
	if (/bad decrypt|interrupted or cancelled|bad password/i.test(words)) {
		const what = keyPassword === null ? "is encrypted: give sslpassword" : "can't be decrypted with sslpassword";
		return `sslkey ${name(key)} ${what}`;
	}
	return `one of sslrootcert ${name(rootCert)}, sslcert ${name(cert)}, sslkey ${name(key)}, sslcrl ${name(crl)} is not PEM that OpenSSL accepts: ${words}`;
}

function fileProblem(message: string, cause?: unknown): PocKaffeError {
	return new PocKaffeError("ERR_TLS_FILE", message, { cause });
}

/** Node compares an address only with the certificate's addresses; libpq uses the common name if the certificate lists nothing. */
function identityProblem(name: string, certificate: PeerCertificate): Error | undefined {
	if (isAddress(name) && !certificate.subjectaltname && certificate.subject?.CN === name) return undefined;
	return tls.checkServerIdentity(name, certificate);
}

function isAddress(name: string): boolean {
	return name.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(name);
}

/** True if the client sends a certificate. Ask while the socket is open. */
export function isCertified(socket: net.Socket): boolean {
	const sent = socket instanceof tls.TLSSocket ? socket.getCertificate() : null;
	return sent !== null && Object.keys(sent).length > 0;
}

/** A server refuses a client certificate after the handshake, and the connection's end may overtake the reason. */
export function explainEarlyEnd(error: Error & { code?: string }, { name, port }: Host): void {
	if (!ENDED.includes(error.code ?? "")) return;
	error.message = `${name}:${port}: the server closed the connection after the TLS handshake: perhaps it does not accept the client certificate (sslcert)`;
}

/** Explains a refusal in words, and keeps the code. */
export function explainTls(error: Error & { code?: string }, { name, port }: Host): Error {
	const words = certificateWords(error, { peer: "server", ca: "sslrootcert", cert: "sslcert", revoked: "sslcrl" });
	if (words === null) return error;
	error.message = `${name}:${port}: ${words}`;
	return error;
}
