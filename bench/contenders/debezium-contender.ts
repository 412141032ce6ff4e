/**
 * Kafka Connect (standalone) with Debezium's JDBC sink as a contender, with the settings that did best: reduction buffer, unnest, 5,000
 * records a batch. Connect's jars and the plugin come from Maven into .cache/, once. The last event read of an id wins; there is no
 * guard.
 */
import { execFile, spawn } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "../../test/support/free-port.ts";
import { fetchJars, jarFolder, jarsMissing } from "../../test/support/kafka/maven-jars.ts";
import type { Contender, Task } from "./contender.ts";
import { runningProcess } from "./script-contender.ts";

const run = promisify(execFile);
const JARS = "connect-4.3.1-debezium-3.6.0";
const ARCHIVE = "debezium-connector-jdbc-3.6.0.Final-plugin.tar.gz";
const pom = new URL("../baselines/connect/pom.xml", import.meta.url).pathname;
/** So much the JVM reads before it has compiled what it runs. */
const WARM_UP = 1_000_000;
const BATCH = 5_000;

/** Why it can't take part here; null where it can. */
export function javaMissing(): Promise<string | null> {
	return jarsMissing(JARS);
}

/** See the file's header. */
export const debezium: Contender = { name: "Debezium JDBC sink", newestBy: "offset", warmUp: WARM_UP, start };

async function start(task: Task) {
	const jars = await fetchJars(JARS, pom, unpackPlugin);
	const folder = join(task.servers.folder, task.group);
	await mkdir(folder, { recursive: true });
	const [worker, connector] = [join(folder, "worker.properties"), join(folder, "connector.properties")];
	await writeFile(worker, propertiesText(workerProperties(task, folder, await freePort())));
	await writeFile(connector, propertiesText(connectorProperties(task)));
	const main = "org.apache.kafka.connect.cli.ConnectStandalone";
	const args = ["-Xms1g", "-Xmx2g", "-XX:+UseParallelGC", "-cp", join(jars, "*"), main, worker, connector];
	return runningProcess(debezium.name, spawn("java", args, { stdio: ["ignore", "pipe", "pipe"] }));
}

/** Beside the jars: a plugin has a class path of its own. */
async function unpackPlugin(folder: string): Promise<void> {
	await mkdir(join(folder, "plugins"));
	await run("tar", ["-xzf", join(folder, ARCHIVE), "-C", join(folder, "plugins")]);
	await rm(join(folder, ARCHIVE));
}

function workerProperties({ servers }: Task, folder: string, port: number): Record<string, string> {
	const schema = {
		type: "struct",
		fields: [
			{ field: "id", type: "string", optional: false },
			{ field: "name", type: "string", optional: true },
			{ field: "amount", type: "int64", optional: true },
			{ field: "note", type: "string", optional: true },
		],
	};
	return {
		"bootstrap.servers": servers.brokers,
		listeners: `http://127.0.0.1:${port}`,
		"plugin.path": join(jarFolder(JARS), "plugins"),
		"offset.storage.file.filename": join(folder, "offsets"),
		// Commits are how its progress is seen; the default is a minute.
		"offset.flush.interval.ms": "100",
		"key.converter": "org.apache.kafka.connect.storage.StringConverter",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"value.converter.schemas.enable": "true",
		"value.converter.schema.content": JSON.stringify(schema),
		"connector.client.config.override.policy": "All",
	};
}

function connectorProperties({ servers, topic, group, table }: Task): Record<string, string> {
	const { username, password, hostname, port, pathname } = new URL(servers.databaseUrl);
	return {
		name: group,
		"connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
		topics: topic,
		"tasks.max": "2",
		"connection.url": `jdbc:postgresql://${hostname}:${port || 5432}${pathname}?reWriteBatchedInserts=true`,
		"connection.username": decodeURIComponent(username),
		"connection.password": decodeURIComponent(password),
		"connection.pool.min_size": "1",
		"connection.pool.max_size": "4",
		"insert.mode": "upsert",
		"primary.key.mode": "record_value",
		"primary.key.fields": "id",
		"collection.name.format": table,
		"schema.evolution": "none",
		"batch.size": String(BATCH),
		"use.reduction.buffer": "true",
		"dialect.postgres.unnest.insert.enabled": "true",
		"consumer.override.group.id": group,
		"consumer.override.auto.offset.reset": "earliest",
		"consumer.override.max.poll.records": String(BATCH),
		"consumer.override.max.partition.fetch.bytes": String(4 * 1024 * 1024),
		"consumer.override.fetch.min.bytes": String(64 * 1024),
	};
}

function propertiesText(properties: Readonly<Record<string, string>>): string {
	return Object.entries(properties)
		.map((pair) => pair.join("="))
		.join("\n");
}
