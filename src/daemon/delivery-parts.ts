/** What a delivery needs, and what it reports in addition to the events of its parts. */
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import type { DeadLetterTarget } from "../core/dead-letters/dead-letter.ts";
import type { TopicPartition } from "../core/messages/message.ts";
import type { DisplacedOffset } from "../core/offsets/displaced-offset.ts";
import type { Random } from "../core/random.ts";
import type { TableLayout } from "../core/rows/rows.ts";
import type { GroupClient } from "../kafka/client/group-client.ts";
import type { RecordProducer } from "../kafka/producing/record-producer.ts";
import type { JumpFact } from "../kafka/watches/position-guard.ts";
import type { Database } from "../sink/database/database.ts";
import type { AskLockHolders } from "../sink/writer/refused/lock-holders.ts";
import type { SupervisorListener } from "../supervisor/supervisor-parts.ts";
import type { HandlerThreads } from "../worker/thread/handler-thread.ts";
import type { WorkerListener } from "../worker/worker-parts.ts";

/** What is reported in addition to the events of consumer, writer and committer. */
export interface DeliveryListener {
	readonly supervisor: SupervisorListener;
	readonly worker: WorkerListener;
	/** The table of offsets no longer holds what was stored for these partitions. They are dropped, and the member rejoins the group. */
	offsetsDisplaced(partitions: readonly DisplacedOffset[]): void;
	/**
	 * The notes of these partitions are not those that were written last: another member has the partitions, or the database was restored to
	 * an earlier time. They are dropped, and the member rejoins the group: their next start shows which it was.
	 */
	notesDisplaced(partitions: readonly DisplacedOffset[]): void;
	/** These topics were deleted, and perhaps created again. The member rejoins the group. */
	logsRemade(partitions: readonly TopicPartition[], what: "made_again" | "deleted"): void;
	/** Kafka's copy of the table's offsets could not be updated. */
	mirrorFailed(message: string): void;
	/** Notes can't be written, or only some of their columns: the daemon works without them. */
	startsNotRecorded(message: string): void;
	/** The deletion of a log could not be stored yet. This is retried, and the log's partitions wait. */
	logsNotForgotten(message: string): void;
	/** A position was outside its log, and the partition went on elsewhere. */
	jumped(fact: JumpFact): void;
}

/** What a delivery needs. */
export interface DeliveryParts {
	readonly config: Config;
	readonly layouts: readonly TableLayout[];
	readonly database: Database;
	readonly deadLetters: DeadLetterTarget;
	/** Sends the records of handlers. */
	readonly records: RecordProducer;
	/** Asks who holds the locks that rows wait for. Absent: nobody is asked. */
	readonly lockHolders?: AskLockHolders;
	readonly createClient: () => GroupClient;
	readonly threads: HandlerThreads;
	readonly clock: Clock;
	readonly random: Random;
	readonly listener: DeliveryListener;
}

/** Problems between Kafka and the ledger. */
export type DeliveryProblemCode =
	| "starting"
	| "handler_not_loaded"
	| "produce_blocked"
	| "cannot_join"
	| "not_authorized"
	| "topic_missing"
	| "commits_failing"
	| "standing_transaction"
	| "database";
