/** libpq's sslmodes with Node's TLS: what is verified, which files are used, and what is said where one can't be. */
import { chmod, readFile } from "node:fs/promises";
import { join } from "node:path";
import type tls from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Host, TlsSettings } from "../../../src/sink/database/connecting/connection-settings.ts";
import { explainEarlyEnd, explainTls, isCertified, tlsOptions } from "../../../src/sink/database/connecting/tls-context.ts";
import { Authority, type Certificate } from "../../support/certificates.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let root: string;
let client: Certificate;
let other: Certificate;
beforeAll(async () => {
	folder = await temporaryFolder();
	const authority = Authority.create(folder.path, "root");
	root = authority.certificate.cert;
	client = authority.sign("client", { name: "app" });
	other = authority.sign("other", { name: "other" });
	for (const { key } of [client, other]) await chmod(key, 0o600);
});
afterAll(() => folder[Symbol.asyncDispose]());

const server: Host = { name: "db.example", address: "10.0.0.7", port: 5432 };
const none = { value: "/nowhere/default", isNamed: false };
const named = (value: string) => ({ value, isNamed: true });

const options = (over: Partial<TlsSettings> = {}, host = server) =>
	tlsOptions(
		{
			...{ mode: "require", direct: false, sni: true, rootCert: none, cert: none, key: none, crl: none },
			...{ keyPassword: null, minVersion: null, maxVersion: null },
			...over,
		},
		host,
	);
const refusal = (over: Partial<TlsSettings>) =>
	options(over).then(
		() => "it was taken",
		({ code, message }) => `${code}: ${message}`,
	);

describe("the server's certificate", () => {
	it.each<[mode: TlsSettings["mode"], hasRoot: boolean, verifies: boolean]>([
		["prefer", false, false],
		["require", false, false],
		["require", true, true],
		["verify-ca", false, true],
		["verify-ca", true, true],
		["verify-full", true, true],
	])("with sslmode=%s and a root certificate %j is verified: %j", async (mode, hasRoot, verifies) => {
		const { rejectUnauthorized, ca } = await options({ mode, ...(hasRoot ? { rootCert: named(root) } : {}) });
		expect([rejectUnauthorized, ca !== undefined]).toEqual([verifies, hasRoot]);
	});

	const identity = async (mode: TlsSettings["mode"], name: string, certificate: object) => {
		const { checkServerIdentity } = await options({ mode }, { ...server, name });
		return checkServerIdentity?.("what Node thinks", certificate as tls.PeerCertificate) === undefined;
	};

	it("must have the name that was asked for with verify-full, whatever address that has", async () => {
		const certificate = { subject: { CN: "db.example" }, subjectaltname: "DNS:db.example" };
		expect(await identity("verify-full", "db.example", certificate)).toBe(true);
		expect(await identity("verify-full", "db2.example", certificate)).toBe(false);
		expect(await identity("verify-ca", "db2.example", certificate)).toBe(true);
	});

	it("may have an address as its common name if it lists no others", async () => {
		expect(await identity("verify-full", "10.0.0.7", { subject: { CN: "10.0.0.7" } })).toBe(true);
		expect(await identity("verify-full", "10.0.0.7", { subject: { CN: "10.0.0.8" } })).toBe(false);
		expect(await identity("verify-full", "10.0.0.7", { subject: { CN: "10.0.0.7" }, subjectaltname: "DNS:db.example" })).toBe(false);
		expect(await identity("verify-full", "10.0.0.7", { subject: { CN: "x" }, subjectaltname: "IP Address:10.0.0.7" })).toBe(true);
	});
});

describe("the handshake", () => {
	it("names the server that is asked for, unless it is an address or that is switched off", async () => {
		const servername = async (over: Partial<TlsSettings>, name: string) => (await options(over, { ...server, name })).servername;
		expect([await servername({}, "db.example"), await servername({ sni: false }, "db.example")]).toEqual(["db.example", undefined]);
		expect([await servername({}, "10.0.0.7"), await servername({}, "fe80::1"), await servername({}, "10.0.0.example")]).toEqual([
			...[undefined, undefined, "10.0.0.example"],
		]);
	});

	it("tells the protocol where it comes first, keeps to the versions that are asked for, and has the key's password", async () => {
		expect(await options({ direct: true })).toMatchObject({ ALPNProtocols: ["postgresql"] });
		expect(Object.keys(await options())).toEqual(["rejectUnauthorized", "checkServerIdentity", "servername"]);
		expect(await options({ minVersion: "TLSv1.2", maxVersion: "TLSv1.3", keyPassword: "p" })).toMatchObject({
			...{ minVersion: "TLSv1.2", maxVersion: "TLSv1.3", passphrase: "p" },
		});
	});
});

describe("a client certificate", () => {
	it("is sent with its key, from files or as text", async () => {
		const [cert, key] = await Promise.all([readFile(client.cert, "utf8"), readFile(client.key, "utf8")]);
		expect(await options({ cert: named(client.cert), key: named(client.key) })).toMatchObject({ cert, key });
		expect(await options({ cert: named(cert), key: named(key) })).toMatchObject({ cert, key });
	});

	it("needs a key that only its owner may read", async () => {
		const loose = join(folder.path, "other.key");
		await chmod(loose, 0o644);
		expect(await refusal({ cert: named(other.cert), key: named(loose) })).toBe(
			`ERR_TLS_FILE: sslkey ${loose} may be read by others: chmod 0600 it (0640 if root owns it)`,
		);
		expect(await refusal({ cert: named(client.cert) })).toBe(
			"ERR_TLS_FILE: there is a client certificate and no key for it: /nowhere/default is not there (sslkey)",
		);
	});

	it("needs its own key", async () => {
		expect(await refusal({ cert: named(other.cert), key: named(client.key) })).toBe(
			`ERR_TLS_FILE: sslkey ${client.key} is not the key of sslcert ${other.cert}`,
		);
	});
});

describe("a file that can't be used", () => {
	it("is an error where it is named, also one that is not needed; a default one may be missing", async () => {
		expect(await refusal({ rootCert: named("/nowhere/root.crt") })).toMatch(/^ERR_TLS_FILE: sslrootcert can't be read: .*ENOENT/);
		expect(await refusal({ cert: named("/nowhere/a.crt") })).toMatch(/^ERR_TLS_FILE: sslcert can't be read: /);
		expect(await refusal({ cert: named(client.cert), key: named("/nowhere/a.key") })).toMatch(/^ERR_TLS_FILE: sslkey can't be read: /);
		expect(await refusal({ mode: "verify-ca", crl: named("/nowhere/a.crl") })).toMatch(/^ERR_TLS_FILE: sslcrl can't be read: /);
		expect(await refusal({})).toBe("it was taken");
	});

	it("is told with all that it may be, and not with what is in it", async () => {
		const text = "-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n";
		const said = await refusal({ cert: named(text), key: named(client.key) });
		expect(said).toMatch(
			/^ERR_TLS_FILE: one of sslrootcert \S+, sslcert \(given as text\), sslkey \S+, sslcrl \S+ is not PEM that OpenSSL accepts/,
		);
		expect(said).not.toContain("nothing\n");
	});
});

describe("an error of the handshake", () => {
	it("that the server's end has overtaken may be for want of a client certificate", () => {
		const said = (code: string) => {
			const error = Object.assign(new Error("as it was"), { code });
			explainEarlyEnd(error, server);
			return error.message;
		};
		const words =
			"db.example:5432: the server closed the connection after the TLS handshake: perhaps it does not accept the client certificate (sslcert)";
		expect([said("ECONNRESET"), said("EPIPE"), said("ETIMEDOUT")]).toEqual([words, words, "as it was"]);
	});

	it("is told in libpq's words, with its code; others stay as they are", () => {
		const expired = explainTls(Object.assign(new Error("x"), { code: "CERT_HAS_EXPIRED" }), server) as Error & { code: string };
		expect([expired.code, expired.message]).toEqual(["CERT_HAS_EXPIRED", expect.stringMatching(/^db\.example:5432: .*expired/)]);
		expect(explainTls(Object.assign(new Error("as it was"), { code: "ETIMEDOUT" }), server).message).toBe("as it was");
	});
});

it("a connection without TLS has no client certificate", () => {
	expect(isCertified({} as never)).toBe(false);
});
