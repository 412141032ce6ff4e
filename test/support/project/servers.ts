/**
 * The servers of a whole test run: one Postgres (the embedded binary, a cluster of this run) and one real Kafka where there is Java.
 * Every test makes databases, topics and groups of its own.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { systemClock } from "../../../src/core/clock.ts";
import { EmbeddedPostgres } from "../../../src/embedded/embedded-postgres.ts";
import { probeDatabase } from "../../../src/sink/database/database.ts";
import { type KafkaServer, kafkaMissing, startKafka } from "../kafka/kafka-server.ts";

declare module "vitest" {
	export interface ProvidedContext {
		/** URL of the run's Postgres. */
		postgresUrl: string;
		/** Address of the run's Kafka, empty where there is none. */
		kafkaBrokers: string;
	}
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const folder = await mkdtemp(join(tmpdir(), "pockaffe-test-"));
	await chmod(folder, 0o755);
	const postgres = await EmbeddedPostgres.start({
		folder: join(folder, "postgres"),
		clock: systemClock,
		probe: (url) => probeDatabase(url, systemClock),
		log: () => {},
	});
	project.provide("postgresUrl", postgres.url);
	const kafka = await startedKafka();
	project.provide("kafkaBrokers", kafka?.brokers ?? "");
	return async () => {
		await kafka?.stop();
		await postgres[Symbol.asyncDispose]();
		await rm(folder, { recursive: true, force: true });
	};
}

async function startedKafka(): Promise<KafkaServer | null> {
	const missing = await kafkaMissing();
	if (missing === null) return startKafka();
	console.warn(`\n  The suites on a real Kafka are LEFT OUT: ${missing}.\n`);
	return null;
}
