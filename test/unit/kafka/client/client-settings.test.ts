/** What every client is told: where the cluster is, and how to log in. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Config } from "../../../../src/config/config.ts";
import { knownSecrets } from "../../../../src/core/text/secret-mask.ts";
import { filesOf, kafkaClientSettings, securityProtocol } from "../../../../src/kafka/client/client-settings.ts";
import { kafkaAt } from "../../../support/kafka/load-topic.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

type Kafka = Config["kafka"];

const kafka = (more: object): Kafka => ({ ...kafkaAt("b1:9092"), ...more }) as Kafka;

describe("a client's settings", () => {
	it.each([
		["plaintext", {}, {}],
		["ssl", { ca: "" }, {}],
		["sasl_plaintext", {}, { mechanism: "PLAIN" }],
		["sasl_ssl", { ca: "ca.pem" }, { mechanism: "PLAIN" }],
	])("name the protocol: %s", (protocol, tls, sasl) => {
		expect(securityProtocol({ tls, sasl } as Pick<Kafka, "tls" | "sasl">)).toBe(protocol);
	});

	it("are the user's where they are only defaults, and not where the cluster is", () => {
		const properties = { "client.id": "mine", "reconnect.backoff.max.ms": 7, "bootstrap.servers": "elsewhere:1" };
		expect(kafkaClientSettings(kafka({ brokers: ["b1:9092", "b2:9093"], properties }))).toMatchObject({
			...{ "client.id": "mine", "reconnect.backoff.max.ms": 7, "bootstrap.servers": "b1:9092,b2:9093" },
			...{ "security.protocol": "plaintext", "metadata.recovery.rebootstrap.trigger.ms": 10_000 },
		});
	});

	it("have no user without a mechanism", () => {
		const settings = kafkaClientSettings(kafka({ sasl: { username: "ann", password: "secret" } }));
		expect(Object.keys(settings).filter((name) => name.startsWith("sasl"))).toEqual([]);
		const sasl = { mechanism: "PLAIN", username: "ann", password: "secret" };
		expect(kafkaClientSettings(kafka({ sasl }))).toMatchObject({
			...{ "sasl.mechanisms": "PLAIN", "sasl.username": "ann", "sasl.password": "secret" },
		});
	});

	it("take the password from the first line of its file, read anew for each client, and it is masked from then on", async () => {
		await using folder = await temporaryFolder();
		const passwordFile = join(folder.path, "password");
		const of = () => kafkaClientSettings(kafka({ sasl: { mechanism: "PLAIN", username: "ann", password: "", passwordFile } }));
		await writeFile(passwordFile, "kafka-pw-zq81\r\nsecond");
		expect(of()).toMatchObject({ "sasl.password": "kafka-pw-zq81" });
		await writeFile(passwordFile, "kafka-pw-zq82\n");
		expect(of()).toMatchObject({ "sasl.password": "kafka-pw-zq82" });
		expect(knownSecrets.mask("kafka-pw-zq81 kafka-pw-zq82")).toBe("*** ***");
		await writeFile(passwordFile, "\nsecond");
		expect(of).toThrow(`kafka.sasl.passwordFile: ${passwordFile} has no password in its first line`);
	});

	it("say of a password's file that is not there that it can't be read", () => {
		const sasl = { mechanism: "PLAIN", username: "ann", password: "", passwordFile: "/nowhere/password" };
		const told = { code: "kafka_sasl", exitCode: 2, message: expect.stringContaining("/nowhere/password can't be read: ENOENT") };
		expect(() => kafkaClientSettings(kafka({ sasl }))).toThrow(expect.objectContaining(told));
	});
});

it("the files that a client reads are the password's and those of the user's properties, and no others", async () => {
	await using folder = await temporaryFolder();
	const passwordFile = join(folder.path, "password");
	await writeFile(passwordFile, "kafka-pw-zq83");
	const properties = { "ssl.crl.location": "/crl.pem", "ssl.keystore.location": "", "ssl.ca.pem": "text", "log.location": "/no" };
	const sasl = { mechanism: "PLAIN", username: "ann", password: "", passwordFile };
	expect(filesOf(kafka({ properties, sasl }))).toEqual(["/crl.pem", passwordFile]);
	expect(filesOf(kafka({ properties }))).toEqual(["/crl.pem"]);
});
