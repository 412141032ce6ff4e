/** Builds parts from a configuration, for a daemon and for commands that need the same parts. Wires nothing. */
import type { Config } from "../config/config.ts";
import { atomicTables } from "../config/table-layouts.ts";
import type { Clock } from "../core/clock.ts";
import type { DeadLetterTarget } from "../core/dead-letters/dead-letter.ts";
import type { Random } from "../core/random.ts";
import type { TableLayout } from "../core/rows/rows.ts";
import { knownSecrets, maskedFailure } from "../core/text/secret-mask.ts";
import { DeadLetterTopic } from "../kafka/dead-letters/dead-letter-topic.ts";
import { connectRecordClient } from "../kafka/producing/record-client.ts";
import { RecordProducer } from "../kafka/producing/record-producer.ts";
import { connectSingleRecords, produceHint } from "../kafka/producing/single-records.ts";
import type { Database } from "../sink/database/database.ts";
import { outdatedLetterTable } from "../sink/dead-letters/dead-letter-preparation.ts";
import { DeadLetterTable } from "../sink/dead-letters/dead-letter-table.ts";
import { startsLateColumns, startTableName } from "../sink/offsets/start-table.ts";
import { offsetsLateColumns } from "../sink/tables/schema.ts";
import type { OwnTable } from "../sink/tables/schema-check.ts";
import { BatchWriter } from "../sink/writer/batch-writer.ts";
import type { WriterParts } from "../sink/writer/writer-events.ts";
import type { WorkerThreadOptions } from "../worker/thread/worker-thread.ts";
import type { WorkerSettings } from "../worker/worker-parts.ts";

/** What these parts need from outside. */
interface World {
	readonly config: Config;
	readonly database: Database;
	readonly clock: Clock;
	readonly random: Random;
}

/** Builds the writer of a process. */
export function buildWriter(
	{ config, database, clock, random, ...more }: World & Pick<WriterParts, "lockHolders" | "waits">,
	layouts: readonly TableLayout[],
): BatchWriter {
	const { batch } = config;
	const { connections } = config.database;
	return new BatchWriter({ layouts, database, connections, batch, atomic: atomicTables(config), clock, random, ...more });
}

/** Builds the process's producer of the handlers' records; it connects with the first record. */
export function buildRecords({ config, clock, random }: Pick<World, "config" | "clock" | "random">): RecordProducer {
	const { kafka, workers } = config;
	return new RecordProducer({
		clock,
		random,
		// As many bytes as the queue: what a handler makes from a full queue may be as large.
		mostBytes: workers.maxQueuedBytes,
		connect: (reported) => connectRecordClient(kafka, reported),
		connectSingle: (bytes) => connectSingleRecords(kafka, bytes),
		hint: (error, topic) => produceHint(kafka, error, topic),
	});
}

/** Builds the target of `deadLetters.target`. */
export function buildDeadLetters({ config, database, clock, random }: World, version: string): DeadLetterTarget {
	const { target, table, topic } = config.deadLetters;
	const origin = { consumerGroup: config.kafka.group, version, clock, random };
	const letters =
		target === "topic"
			? new DeadLetterTopic({ ...origin, kafka: config.kafka, topic })
			: new DeadLetterTable({ ...origin, database, table });
	return withoutSecrets(letters);
}

function withoutSecrets(letters: DeadLetterTarget): DeadLetterTarget {
	const store = letters.store.bind(letters);
	letters.store = (letter, signal) => store(maskedFailure(letter, knownSecrets.mask), signal);
	return letters;
}

/** PocKaffe's own tables. `isNeeded`: the daemon works without the table of notes, but not with one that it can't write to. */
export function ownTables({ deadLetters, offsets }: Config): OwnTable[] {
	return [
		...(deadLetters.target === "table" ? [{ name: deadLetters.table, isNeeded: true, outdated: outdatedLetterTable }] : []),
		...(offsets.store === "postgres" ? [{ name: offsets.table, isNeeded: true, lateColumns: offsetsLateColumns }] : []),
		{ name: startTableName(offsets.table), isNeeded: false, lateColumns: startsLateColumns },
	];
}

/** The settings of every worker. */
export function workerSettings(config: Config, layouts: readonly TableLayout[]): WorkerSettings {
	const { handler, supervisor, deadLetters } = config;
	const byTimestamp = layouts.filter(({ version }) => version.kind === "timestamp");
	const futureLimits = new Map(byTimestamp.map(({ name, maxFutureMs }) => [name, maxFutureMs]));
	return { ...handler, ...supervisor, futureLimits, atomic: atomicTables(config), breaker: deadLetters.breaker };
}

/** The options of every worker's thread. */
export function threadOptions({ handler, workers, database }: Config, tables: readonly TableLayout[]): WorkerThreadOptions {
	return { handler, tables, lanes: database.connections, maxHeapMb: workers.maxHeapMb };
}

/**
 * Maximum threads that can't be ended. Each attempt at a bad message may leave one behind. There is room for two such messages: both become
 * dead letters, and the next start does not meet them again. More threads would fill memory and processors.
 */
export function mostStuckThreads({ maxAttempts }: Pick<Config["handler"], "maxAttempts">): number {
	return Math.max(4, 2 * maxAttempts);
}
