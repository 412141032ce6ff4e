/** Files of `kafka.tls` and the password's that can't be used are told by key and file, before any client is made. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadConfig } from "../../../../src/config/load.ts";
import { filesOf, kafkaClientSettings } from "../../../../src/kafka/client/client-settings.ts";
import { checkTlsFiles } from "../../../../src/kafka/connecting/tls-files.ts";
import { Authority, type Certificate, encryptedKey } from "../../../support/certificates.ts";

const folder = mkdtempSync(join(tmpdir(), "pockaffe-kafka-tls-"));
let [ca, other] = [null, null] as unknown as [Certificate, Certificate];

beforeAll(() => {
	ca = Authority.create(folder, "authority").certificate;
	other = Authority.create(folder, "other").certificate;
	encryptedKey(ca, "kept");
	writeFileSync(join(folder, "text"), "no certificate");
});

afterAll(() => rmSync(folder, { recursive: true }));

const file = (name: string) => join(folder, name);
const textOf = (path: string) => readFileSync(path, "utf8");

it.each<[what: string, tls: () => { ca?: string; cert?: string; key?: string }, properties: Record<string, string>, words: RegExp]>([
	["a CA that is not there", () => ({ ca: "/nowhere.pem" }), {}, /^kafka\.tls\.ca: \/nowhere\.pem can't be read: ENOENT/],
	["a CA that is none", () => ({ ca: file("text") }), {}, /^kafka\.tls\.ca: .*text holds no certificate in PEM$/],
	["a certificate that is none", () => ({ cert: file("text"), key: ca.key }), {}, /^kafka\.tls\.cert: .*text holds no certificate in PEM$/],
	["a key that is none", () => ({ cert: ca.cert, key: file("text") }), {}, /^kafka\.tls\.key: .*text holds no private key in PEM/],
	["another one's key", () => ({ cert: ca.cert, key: other.key }), {}, /^kafka\.tls\.key: .*other\.key is not the key of kafka\.tls\.cert/],
	[
		"another one's key, as text",
		() => ({ cert: textOf(ca.cert), key: textOf(other.key) }),
		{},
		/^kafka\.tls\.key: given as text is not the key of kafka\.tls\.cert \(given as text\)$/,
	],
	[
		"an encrypted key",
		() => ({ cert: ca.cert, key: `${ca.key}.encrypted` }),
		{},
		/is encrypted: give kafka\.properties\.ssl\.key\.password$/,
	],
	[
		"a key's wrong password",
		() => ({ cert: ca.cert, key: `${ca.key}.encrypted` }),
		{ "ssl.key.password": "no" },
		/is not opened by ssl\.key\.password$/,
	],
])("%s", (_, tls, properties, words) => {
	expect(() => checkTlsFiles({ tls: tls(), properties })).toThrow(words);
});

it("what can be used passes: files, text, an encrypted key with its password, the system's CAs", () => {
	const password = { "ssl.key.password": "kept" };
	for (const [tls, properties] of [
		[{ ca: ca.cert, cert: ca.cert, key: ca.key }, {}],
		[{ ca: textOf(ca.cert), cert: textOf(ca.cert), key: textOf(ca.key) }, {}],
		[{ cert: ca.cert, key: `${ca.key}.encrypted` }, password],
		[{ ca: "" }, {}],
		[{}, {}],
	] as const)
		checkTlsFiles({ tls, properties });
});

it("a password comes from the first line of a file, relative to the configuration's and read for each client", () => {
	const path = file("pockaffe.yaml");
	const load = (sasl: string) => {
		writeFileSync(path, `kafka: {brokers: [h:1], sasl: ${sasl}}\n`);
		return loadConfig({ file: path, environment: {}, cwd: "/" }).config.kafka;
	};
	const kafka = load("{mechanism: SCRAM-SHA-256, username: u, passwordFile: kafka-password}");
	expect(kafka.sasl.passwordFile).toBe(file("kafka-password"));
	expect(() => kafkaClientSettings(kafka)).toThrow(/^kafka\.sasl\.passwordFile: .*kafka-password can't be read: ENOENT/);
	writeFileSync(file("kafka-password"), "\n");
	expect(() => kafkaClientSettings(kafka)).toThrow(/^kafka\.sasl\.passwordFile: .*kafka-password has no password in its first line$/);
	for (const password of ["one", "two"]) {
		writeFileSync(file("kafka-password"), `${password}\r\nof another line\n`);
		expect(kafkaClientSettings(kafka)).toMatchObject({ "sasl.username": "u", "sasl.password": password });
	}
	expect(filesOf(kafka)).toEqual([file("kafka-password")]);
	expect(() => load("{mechanism: PLAIN, username: u, password: p, passwordFile: f}")).toThrow(
		/kafka\.sasl – takes password or passwordFile, not both/,
	);
	expect(() => load("{mechanism: PLAIN, username: u}")).toThrow(/needs username and password \(or passwordFile\)/);
});

it("files are named relative to the configuration's; the password's, too", () => {
	const path = file("pockaffe.yaml");
	writeFileSync(
		path,
		"kafka: {tls: {ca: certs/ca.pem, cert: /abs/me.crt, key: me.key}}\ndatabase: {url: postgres://h/d, passwordFile: secret}\n",
	);
	const { kafka, database } = loadConfig({ file: path, environment: {}, cwd: "/" }).config;
	expect(kafka.tls).toEqual({ ca: file("certs/ca.pem"), cert: "/abs/me.crt", key: file("me.key") });
	expect(database.passwordFile).toBe(file("secret"));
	expect(() => loadConfig({ file: path, environment: { POCKAFFE_DATABASE_PASSWORD_COMMAND: "cat x" }, cwd: "/" })).toThrow(
		/database – takes passwordFile or passwordCommand, not both/,
	);
});
