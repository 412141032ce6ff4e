/** Broker and database of a measurement, on this machine, gone with it. */
import { rmSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExitError, exitCodes } from "../../src/core/errors.ts";
import { startMockCluster } from "../../src/kafka/mock-cluster.ts";
import { Producer } from "../../src/kafka/producer.ts";
import { type EventLogOptions, eventLog } from "../../test/support/daemons/event-log.ts";
import { kafkaMissing, startKafka } from "../../test/support/kafka/kafka-server.ts";
import { kafkaAt, loadTopic } from "../../test/support/kafka/load-topic.ts";
import { produceMany } from "../../test/support/kafka/produce-many.ts";
import type { BenchSetting } from "../bench.ts";
import { BenchDatabase } from "./bench-database.ts";
import { endWithProcess } from "./end-with-process.ts";

/** See the file's header; use with `await using`. */
export interface Servers extends AsyncDisposable {
	readonly broker: "real Kafka" | "mock cluster";
	/** `host:port`, separated by commas. */
	readonly brokers: string;
	readonly db: BenchDatabase;
	readonly databaseUrl: string;
	/** For handlers and configuration. */
	readonly folder: string;
}

/** Both servers: a real Kafka where it can be had and `embedded` doesn't say otherwise; the mock cluster gets `topics` at once. */
export async function startServers(setting: BenchSetting, topics: readonly string[]): Promise<Servers> {
	const { path: folder, ...itsEnd } = await benchFolder();
	const parts: (() => PromiseLike<void>)[] = [() => itsEnd[Symbol.asyncDispose]()];
	const end = async () => {
		for (const part of parts.reverse()) await part();
	};
	try {
		const db = await BenchDatabase.start(folder, setting.databaseUrl);
		parts.push(() => db[Symbol.asyncDispose]());
		const { stop, ...broker } = await startBroker(setting, topics);
		parts.push(stop);
		return { ...broker, db, databaseUrl: db.url, folder, [Symbol.asyncDispose]: end };
	} catch (error) {
		await end();
		throw error;
	}
}

/** Both servers, where the mock cluster will not do: it keeps 5 MiB a partition and has no other settings. */
export async function startRealServers(setting: BenchSetting): Promise<Servers> {
	if (setting.embedded) throw new ExitError(exitCodes.usage, "bench_broker", "--embedded: the embedded broker keeps too little for this");
	const missing = await kafkaMissing();
	if (missing !== null) throw new ExitError(exitCodes.usage, "bench_broker", missing);
	return startServers(setting, []);
}

/** Makes the topic of a log and fills it. */
export async function loadLog({ broker, brokers }: Servers, log: EventLogOptions): Promise<void> {
	if (broker === "real Kafka") {
		await loadTopic(brokers, { name: log.topic, partitions: log.partitions }, eventLog(log));
		return;
	}
	await using producer = await Producer.connect(kafkaAt(brokers), { lingerMs: 20 });
	await produceMany(producer, eventLog(log));
}

/** Loads so many events of 100,000 ids, each id on one partition, none deleted; what a bench takes that asks about something else. */
export async function loadPlainLog(
	servers: Servers,
	{ topic, count, partitions }: { readonly topic: string; readonly count: number; readonly partitions: number },
): Promise<EventLogOptions> {
	const log = { topic, count, ids: 100_000, partitions, seed: 1, wander: false, deletes: 0 };
	await loadLog(servers, log);
	return log;
}

/** A folder of a bench's own, which the user that Postgres runs as can reach; use with `await using`. */
export async function benchFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
	const path = await mkdtemp(join(tmpdir(), "pockaffe-bench-"));
	await chmod(path, 0o755);
	const takeBack = endWithProcess(() => rmSync(path, { recursive: true, force: true, maxRetries: 2 }));
	return {
		path,
		async [Symbol.asyncDispose]() {
			takeBack();
			await rm(path, { recursive: true, force: true });
		},
	};
}

async function startBroker({ embedded, say }: BenchSetting, topics: readonly string[]) {
	const missing = embedded ? "--embedded" : await kafkaMissing();
	if (missing === null) {
		const kafka = await startKafka();
		return { broker: "real Kafka" as const, brokers: kafka.brokers, stop: () => kafka.stop() };
	}
	say(`embedded broker: ${missing}`);
	const cluster = await startMockCluster({ topics: [...topics] });
	return { broker: "mock cluster" as const, brokers: cluster.brokers.join(","), stop: () => cluster[Symbol.asyncDispose]() };
}
