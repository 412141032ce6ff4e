/** What node-rdkafka can't do to a real Kafka, by Kafka's own client in Java. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { kafkaVersion } from "./kafka-server.ts";
import { jarFolder } from "./maven-jars.ts";

const run = promisify(execFile);
const source = new URL("Admin.java", import.meta.url).pathname;

/** Deletes a group that has no members, with its offsets, as Kafka does when they expire. */
export async function deleteGroup(brokers: string, group: string): Promise<void> {
	await admin("delete-group", brokers, group);
}

/** Deletes what lies before `offset`, as retention does. */
export async function deleteRecords(brokers: string, topic: string, partition: number, offset: number): Promise<void> {
	await admin("delete-records", brokers, topic, String(partition), String(offset));
}

/**
 * A Java consumer in the group, which commits nothing, for so long once it has partitions; whether it has read any message of the topic.
 */
export async function joinGroup(brokers: string, group: string, topic: string, ms: number): Promise<boolean> {
	return (await admin("join", brokers, group, topic, String(ms))).trim().endsWith("read");
}

/** Sets the password of a SCRAM-SHA-256 user; `properties` is a file that says how to log in. */
export async function setScramPassword(brokers: string, properties: string, user: string, password: string): Promise<void> {
	await admin("set-password", brokers, properties, user, password);
}

/** A record as Kafka's own client sends it. */
export interface PlainRecord {
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: readonly (readonly [name: string, value: Buffer | null])[];
}

/** Produces these to partition 0, one after the other. */
export async function produceByJava(brokers: string, topic: string, timestamp: number, records: readonly PlainRecord[]): Promise<void> {
	const part = (bytes: Buffer | null) => bytes?.toString("base64") ?? "-";
	const parts = records.map(({ key, value, headers }) =>
		[part(key), part(value), ...headers.flatMap(([name, content]) => [part(Buffer.from(name)), part(content)])].join(),
	);
	await admin("produce", brokers, topic, String(timestamp), ...parts);
}

async function admin(...args: readonly string[]): Promise<string> {
	const { stdout } = await run("java", ["-cp", join(jarFolder(`kafka-${kafkaVersion}`), "*"), source, ...args]);
	return stdout;
}
