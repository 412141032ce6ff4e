/** Which servers a command means beside an embedded daemon, of a file whose variables may not be set. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import type { CommandContext } from "../../../src/commands/command-context.ts";
import { daemonConfig, kafkaOf } from "../../../src/commands/configured.ts";
import { writeEmbeddedFile } from "../../../src/embedded/embedded-file.ts";
import type { SetTo } from "../../../src/kafka/offsets/offset-plan.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const file = `
kafka:
  brokers: ["\${BROKERS}"]
  group: g
  topics: [t]
  tls: { ca: "\${KAFKA_CA}" }
  sasl: { mechanism: PLAIN, username: u, password: "\${KAFKA_PASSWORD}" }
handler: { module: "pockaffe:json" }
database: { url: "\${DATABASE_URL}" }
tables: { events: { columns: { name: text } } }
`;

/** An embedded daemon of `own.yaml` runs here; `other.yaml` says the same. */
async function scene(environment: Record<string, string>, name = "own.yaml") {
	const folder = await temporaryFolder();
	const path = (each: string) => join(folder.path, each);
	for (const each of ["own.yaml", "other.yaml"]) await writeFile(path(each), file);
	await writeEmbeddedFile(folder.path, {
		brokers: ["127.0.0.1:9"],
		databaseUrl: "postgres://127.0.0.1:8/embedded",
		http: null,
		pid: process.pid,
		startedAt: "",
		config: path("own.yaml"),
	});
	const command = { optsWithGlobals: () => ({ config: path(name) }) } as unknown as Command;
	const context = { environment, cwd: folder.path } as unknown as CommandContext;
	return { ...folder, command, context, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

describe("a command beside an embedded daemon", () => {
	it("means that one where it has the daemon's file, and nothing of a broker or a database is set", async () => {
		await using at = await scene({});
		const { kafka, embedded } = await kafkaOf(at.command, at.context);
		expect([embedded, kafka.brokers, kafka.tls, kafka.sasl]).toEqual([true, ["127.0.0.1:9"], {}, {}]);
		const { config } = await daemonConfig(at.command, at.context);
		expect([config.kafka.brokers, config.database.url]).toEqual([["127.0.0.1:9"], "postgres://127.0.0.1:8/embedded"]);
	});

	it("has no log-in there, though the file's is set", async () => {
		await using at = await scene({ KAFKA_PASSWORD: "p", KAFKA_CA: "/ca.pem" });
		const { kafka } = await kafkaOf(at.command, at.context);
		expect([kafka.brokers, kafka.tls, kafka.sasl]).toEqual([["127.0.0.1:9"], {}, {}]);
	});

	it("may name an offset or an end of the log, but no time: the embedded broker would take the log's end for it", async () => {
		await using at = await scene({});
		const ask = (from: SetTo, to?: SetTo) => daemonConfig(at.command, at.context, { "--from": from, "--to": to });
		const { config } = await ask({ kind: "offset", offset: 5 }, { kind: "latest" });
		expect(config.kafka.brokers).toEqual(["127.0.0.1:9"]);
		const why = "--to is a time, but the embedded broker finds no message by its time: name an offset, earliest or latest";
		const refusal = { exitCode: 2, code: "embedded_times", message: why };
		await expect(ask({ kind: "earliest" }, { kind: "time", timestampMs: 1_000 })).rejects.toMatchObject(refusal);
	});

	it("leaves nothing out where it names a broker after all: a real one would be met without TLS", async () => {
		await using at = await scene({ BROKERS: "prod:9092", KAFKA_PASSWORD: "p", DATABASE_URL: "postgres://prod/x" });
		for (const ask of [kafkaOf, daemonConfig]) {
			await expect(ask(at.command, at.context)).rejects.toMatchObject({
				code: "config_invalid",
				message: expect.stringContaining("KAFKA_CA"),
			});
		}
	});

	it("means its own servers where it has another file: what is missing is told, and nothing goes to the daemon", async () => {
		await using at = await scene({}, "other.yaml");
		for (const ask of [kafkaOf, daemonConfig]) {
			await expect(ask(at.command, at.context)).rejects.toMatchObject({
				code: "config_invalid",
				message: expect.stringContaining("BROKERS"),
			});
		}
	});
});
