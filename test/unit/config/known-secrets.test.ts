/** Each secret is masked in whatever leaves the process from when it came in: by a configuration, a file, a command. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { knownSecrets } from "../../../src/core/text/secret-mask.ts";
import { kafkaClientSettings } from "../../../src/kafka/client/client-settings.ts";
import { connectionSettings } from "../../../src/sink/database/connecting/connection-settings.ts";
import { passwordFor } from "../../../src/sink/database/connecting/passwords.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const settings = connectionSettings("postgres://u@h/d", {});
const host = { name: "h", address: "h", port: 5432 };

it("the database's password, from a file and from a command, also once it is another one", async () => {
	await using folder = await temporaryFolder();
	const passwordFile = join(folder.path, "password");
	for (const password of ["first-from-file", "second-from-file"]) {
		await writeFile(passwordFile, `${password}\n`);
		expect(knownSecrets.mask(password)).toBe(password);
		await passwordFor({ passwordFile }, settings, host);
		expect(knownSecrets.mask(`it was ${password}`)).toBe("it was ***");
	}
	await passwordFor({ passwordCommand: "echo from-a-command" }, settings, host);
	expect(knownSecrets.mask("first-from-file, from-a-command")).toBe("***, ***");
});

it("Kafka's, from a file", async () => {
	await using folder = await temporaryFolder();
	const passwordFile = join(folder.path, "password");
	await writeFile(passwordFile, "kafka-from-file\n");
	const { kafka } = loadConfig({ environment: { POCKAFFE_KAFKA_BROKERS: "h:1" }, cwd: "/nowhere" }).config;
	kafkaClientSettings({ ...kafka, sasl: { mechanism: "PLAIN", username: "u", passwordFile } });
	expect(knownSecrets.mask("kafka-from-file")).toBe("***");
});

it("a configuration's, with its reading", () => {
	loadConfig({ environment: { POCKAFFE_HTTP_TOKEN: "a-token-of-http-1" }, cwd: "/nowhere" });
	expect(knownSecrets.mask("a-token-of-http-1")).toBe("***");
});
