/** What node-rdkafka's admin client can't do to a real Kafka, by Kafka's own client in Java. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { kafkaVersion } from "./kafka-server.ts";
import { jarFolder } from "./maven-jars.ts";

const run = promisify(execFile);
const source = new URL("kafka/Admin.java", import.meta.url).pathname;

/** Deletes a group that has no members, with its offsets, as Kafka does when they expire. */
export function deleteGroup(brokers: string, group: string): Promise<void> {
	return admin("delete-group", brokers, group);
}

/** Deletes what lies before `offset`, as retention does. */
export function deleteRecords(brokers: string, topic: string, partition: number, offset: number): Promise<void> {
	return admin("delete-records", brokers, topic, String(partition), String(offset));
}

async function admin(...args: readonly string[]): Promise<void> {
	await run("java", ["-cp", join(jarFolder(`kafka-${kafkaVersion}`), "*"), source, ...args]);
}
