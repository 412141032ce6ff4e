/** Broker and database of a measurement, on this machine, gone with it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../src/core/clock.ts";
import { EmbeddedPostgres } from "../src/embedded/embedded-postgres.ts";
import { startMockCluster } from "../src/kafka/mock-cluster.ts";
import { probeDatabase } from "../src/sink/database.ts";
import { kafkaMissing, startKafka } from "../test/support/kafka-server.ts";
import { say } from "./report.ts";

/** See the file's header; use with `await using`. */
export interface Servers extends AsyncDisposable {
	readonly broker: "real Kafka" | "mock cluster";
	readonly brokers: string;
	readonly databaseUrl: string;
	/** For handlers and configuration. */
	readonly folder: string;
}

/** A real Kafka where it can be had and `embedded` doesn't say otherwise; the mock cluster gets the topics at once. */
export async function startServers(topics: readonly string[], embedded = false): Promise<Servers> {
	const folder = await mkdtemp(join(tmpdir(), "pockaffe-bench-"));
	const postgres = await EmbeddedPostgres.start({
		folder: join(folder, "postgres"),
		clock: systemClock,
		probe: (url) => probeDatabase(url, systemClock),
		log: () => {},
	});
	const broker = await startBroker(topics, embedded);
	return {
		...broker,
		databaseUrl: postgres.url,
		folder,
		async [Symbol.asyncDispose]() {
			await broker.stop();
			await postgres[Symbol.asyncDispose]();
			await rm(folder, { recursive: true, force: true });
		},
	};
}

async function startBroker(topics: readonly string[], embedded: boolean) {
	const missing = embedded ? "--embedded" : await kafkaMissing();
	if (missing === null) {
		const kafka = await startKafka();
		return { broker: "real Kafka" as const, brokers: kafka.brokers, stop: () => kafka.stop() };
	}
	say(`embedded broker: ${missing}`);
	const cluster = await startMockCluster({ topics: [...topics] });
	return { broker: "mock cluster" as const, brokers: cluster.brokers.join(","), stop: () => cluster[Symbol.asyncDispose]() };
}
