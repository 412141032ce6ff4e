/** Why a broker can't be reached, by the client's own line about it, and by its certificate. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:tls";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ConnectionFailure } from "../../../../src/kafka/connecting/connection-failure.ts";
import { Authority, type Certificate, encryptedKey } from "../../../support/certificates.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const line = (what: string, protocol = "sasl_ssl") => `${protocol}://b1:9093/bootstrap: ${what} (after 3ms in state SSL_HANDSHAKE)`;
const alert = (what: string) => line(`SSL handshake failed: ssl3_read_bytes: ssl/tls alert ${what}: SSL alert number 42`, "ssl");

async function explained(settings: Readonly<Record<string, unknown>>, ...lines: readonly string[]) {
	const failure = new ConnectionFailure(settings);
	for (const each of lines) failure.told(each);
	await new Promise<void>((resolve) => failure.whenExplained(resolve));
	return failure;
}

it("nothing is said before anything happened", async () => {
	const failure = await explained({});
	expect([failure.words, failure.cause]).toEqual([null, null]);
});

describe("a refused login", () => {
	it("names the user, the broker's words and where to look", async () => {
		const failure = await explained({ "sasl.username": "ann" }, line("SASL authentication error: Invalid credentials", "sasl_plaintext"));
		expect(failure.cause).toBe("b1:9093: the broker refuses the user ann: Invalid credentials: look at kafka.sasl");
		expect(failure.words).toBe(failure.cause);
	});
});

describe("a client certificate that the broker", () => {
	it.each(["certificate required", "bad certificate", "certificate unknown", "unknown ca", "access denied", "unsupported certificate"])(
		"misses (%s) is to be given",
		async (what) => {
			expect((await explained({}, alert(what))).cause).toBe(
				"b1:9093: the broker asks for a client certificate: give kafka.tls.cert and kafka.tls.key",
			);
		},
	);

	it("does not take is told with its alert", async () => {
		const failure = await explained({ "ssl.certificate.pem": "no certificate" }, alert("unknown ca"));
		expect(failure.cause).toBe(
			"b1:9093: the broker does not take the client certificate (kafka.tls.cert): unknown ca; is it of a CA that the broker knows?",
		);
	});

	it("reads from a file that is gone counts as none", async () => {
		const failure = await explained({ "ssl.certificate.location": "/nowhere/cert.pem" }, alert("bad certificate"));
		expect(failure.cause).toMatch(/asks for a client certificate/);
	});
});

describe("the client's own words stand", () => {
	it.each([
		["of what is no matter of TLS", line("Connect to ipv4#10.0.0.1:9093 failed: Connection refused")],
		["of an alert that is about no certificate", alert("handshake failure")],
		["of a broker without TLS", "plaintext://b1:9092/bootstrap: SSL alert certificate required"],
	])("%s", async (_, told) => {
		const failure = await explained({}, told);
		expect([failure.cause, failure.words]).toEqual([null, told]);
	});

	it("and what was known of the failure before is forgotten with one of another way", async () => {
		const failure = await explained({}, alert("bad certificate"));
		expect(failure.cause).not.toBeNull();
		failure.told("plaintext://b1:9092/bootstrap: away");
		expect([failure.cause, failure.words]).toEqual([null, "plaintext://b1:9092/bootstrap: away"]);
	});
});

it("what is known holds while the next failure is explained", async () => {
	const failure = await explained({ "sasl.username": "ann" }, line("SASL authentication error: no"));
	failure.told(line("SASL authentication error: still no"));
	expect(failure.cause).toContain("refuses the user ann: no:");
	await new Promise<void>((resolve) => failure.whenExplained(resolve));
	expect(failure.cause).toContain("refuses the user ann: still no:");
});

describe("a certificate that is read", () => {
	let folder: Awaited<ReturnType<typeof temporaryFolder>>;
	let ours: Certificate;
	let others: Certificate;
	let old: Certificate;
	let named: Certificate;

	beforeAll(async () => {
		folder = await temporaryFolder();
		const authority = Authority.create(folder.path, "ours");
		ours = authority.certificate;
		others = Authority.create(folder.path, "others").certificate;
		old = authority.sign("old", { name: "app", days: -1 });
		named = authority.sign("named", { name: "kafka", names: ["DNS:kafka"] });
	});

	afterAll(() => folder?.[Symbol.asyncDispose]());

	it("is the broker's, which may want to see ours for that; the connection is closed again", async () => {
		const server = createServer({
			...{ cert: readFileSync(others.cert), key: readFileSync(others.key), ca: readFileSync(ours.cert) },
			// A later version lets the client go on before the server has looked at its certificate.
			...{ requestCert: true, rejectUnauthorized: true, maxVersion: "TLSv1.2" as const },
		}).listen(0, "127.0.0.1");
		await once(server, "listening");
		const { port } = server.address() as AddressInfo;
		const connected = once(server, "secureConnection") as Promise<[Socket]>;
		const settings = {
			...{ "ssl.ca.location": ours.cert, "ssl.certificate.location": ours.cert },
			"ssl.key.pem": readFileSync(ours.key, "utf8"),
		};
		const failure = await explained(settings, `ssl://127.0.0.1:${port}/bootstrap: SSL handshake failed: certificate verify failed`);
		expect(failure.cause).toBe(
			`127.0.0.1:${port}: the broker's certificate is of a CA that is not known here: name its certificate with kafka.tls.ca`,
		);
		const [socket] = await connected;
		if (!socket.closed) await once(socket, "close");
		server.close();
	});

	it("is ours, if it has expired: whatever the broker says, and if it says nothing", async () => {
		const expired = "the client certificate (kafka.tls.cert) has expired";
		const failure = await explained({ "ssl.certificate.location": old.cert }, alert("handshake failure"));
		expect(failure.cause).toContain(`b1:9093: ${expired} (`);
		expect((await explained({ "ssl.certificate.location": old.cert })).words).toContain(expired);
		expect((await explained({ "ssl.certificate.location": ours.cert })).words).toBeNull();
	});

	it("is ours, if it is not valid yet: one of the clocks is wrong", async () => {
		vi.spyOn(Date, "now").mockReturnValue(0);
		const { cause } = await explained({ "ssl.certificate.location": ours.cert }, alert("bad certificate"));
		vi.restoreAllMocks();
		expect(cause).toMatch(/^b1:9093: the client certificate \(kafka\.tls\.cert\) is not valid before .* GMT: is a clock wrong\?$/);
	});

	it("is the broker's: of a CA that is known it may be for another name, which is told; our key may need a password for that", async () => {
		const server = createServer({
			...{ cert: readFileSync(named.cert), key: readFileSync(named.key), ca: readFileSync(ours.cert) },
			...{ requestCert: true, rejectUnauthorized: true, maxVersion: "TLSv1.2" as const },
		}).listen(0, "127.0.0.1");
		await once(server, "listening");
		const { port } = server.address() as AddressInfo;
		const settings = {
			...{ "ssl.ca.location": ours.cert, "ssl.certificate.location": ours.cert },
			...{ "ssl.key.location": encryptedKey(ours, "secret"), "ssl.key.password": "secret" },
		};
		const told = `ssl://127.0.0.1:${port}/bootstrap: SSL handshake failed: certificate verify failed`;
		expect((await explained(settings, told)).cause).toMatch(/: the broker's certificate is not for this name: .*127\.0\.0\.1/);
		// A key that can't be opened keeps the client's words.
		expect((await explained({ ...settings, "ssl.key.password": "wrong" }, told)).cause).toBe(null);
		server.close();
	});

	it("is the broker's: Node looks at it by the broker's name, and opens our key with its password", async () => {
		const asked: object[] = [];
		const server = createServer({
			...{ cert: readFileSync(others.cert), key: readFileSync(others.key) },
			SNICallback: (name, done) => {
				asked.push({ name });
				done(null);
			},
		}).listen(0, "127.0.0.1");
		await once(server, "listening");
		const { port } = server.address() as AddressInfo;
		const told = (host: string) => `ssl://${host}:${port}/bootstrap: SSL handshake failed: certificate verify failed`;
		// A name that is no address is sent along; an address is not.
		expect((await explained({}, told("localhost"))).cause).toContain("is of a CA that is not known here");
		expect((await explained({}, told("127.0.0.1"))).cause).toContain("is of a CA that is not known here");
		expect(asked).toEqual([{ name: "localhost" }]);
		server.close();
	});
});

it("a broker whose certificate can't be looked at any more is told in the client's words", async () => {
	const told = "ssl://127.0.0.1:1/bootstrap: SSL handshake failed: certificate verify failed";
	const failure = await explained({}, told);
	expect([failure.cause, failure.words]).toEqual([null, told]);
});
