/**
 * Everything between a message in Kafka and its committed offset, wired: what is received goes to the supervisor's children, their rows
 * to the writer, what is finished to the ledger, and from there to where offsets are kept.
 *
 *   group consumer -> group supervisor -> partition worker -> worker thread
 *                                               └-> batch writer, dead letters -> offset ledger -> offset committer
 *
 * Client, threads, database, clock and chance are handed in: the daemon brings the real ones, the simulation its own. Knows neither
 * metrics nor logs; `listener` and the parts' own events tell what happens.
 */
import type { Config } from "./config/config.ts";
import type { Clock } from "./core/clock.ts";
import type { DeadLetterTarget } from "./core/dead-letter.ts";
import type { DisplacedOffset } from "./core/displaced-offset.ts";
import type { TopicPartition } from "./core/message.ts";
import type { PackedBatch } from "./core/packed-batch.ts";
import type { Random } from "./core/random.ts";
import type { TableLayout } from "./core/rows.ts";
import { buildWriter, workerSettings } from "./daemon-parts.ts";
import { isIncremental } from "./kafka/consumer-settings.ts";
import type { GroupClient } from "./kafka/group-client.ts";
import { GroupConsumer } from "./kafka/group-consumer.ts";
import { OffsetCommitter } from "./kafka/offset-committer.ts";
import { OffsetLedger } from "./kafka/offset-ledger.ts";
import { KafkaOffsetStore, MirroredOffsetStore, type OffsetStore } from "./kafka/offset-store.ts";
import { OffsetWatch } from "./kafka/offset-watch.ts";
import { RemadeLogs } from "./kafka/remade-logs.ts";
import type { BatchWriter } from "./sink/batch-writer.ts";
import type { Database } from "./sink/database.ts";
import { OffsetTable } from "./sink/offset-table.ts";
import { StartRecorder } from "./sink/start-recorder.ts";
import { StartTable } from "./sink/start-table.ts";
import { GroupSupervisor } from "./supervisor/group-supervisor.ts";
import { RestartIntensity } from "./supervisor/restart-intensity.ts";
import type { ChildSpec, SupervisorListener } from "./supervisor/supervisor-parts.ts";
import type { HandlerThreads } from "./worker/handler-thread.ts";
import { PartitionWorker } from "./worker/partition-worker.ts";
import { packMessages } from "./worker/thread-codec.ts";
import type { WorkerListener } from "./worker/worker-parts.ts";

/** What is told beside the events of consumer, writer and committer. */
export interface DeliveryListener {
	readonly supervisor: SupervisorListener;
	readonly worker: WorkerListener;
	/** The table of offsets doesn't hold what was stored of these partitions; they are dropped, and the group is joined anew. */
	offsetsDisplaced(partitions: readonly DisplacedOffset[]): void;
	/** These topics were deleted and made again; the group is joined anew. */
	logsRemade(partitions: readonly TopicPartition[]): void;
	/** Kafka's copy of the offsets could not follow the table. */
	mirrorFailed(message: string): void;
	/** Where the group began can't be noted down; only `verify` would have read it. */
	startsNotRecorded(message: string): void;
}

/** See the file's header. */
export interface DeliveryParts {
	readonly config: Config;
	readonly layouts: readonly TableLayout[];
	readonly database: Database;
	readonly deadLetters: DeadLetterTarget;
	readonly createClient: () => GroupClient;
	readonly threads: HandlerThreads;
	readonly clock: Clock;
	readonly random: Random;
	readonly listener: DeliveryListener;
}

/** A drain that took all its time leaves the group all the same where its offsets went in; still inside a container's ten seconds. */
const LEAST_LEAVE_MS = 500;

/** See the file's header. One life: `start`, then `stop`. */
export class Delivery {
	readonly ledger = new OffsetLedger();
	readonly writer: BatchWriter;
	readonly supervisor: GroupSupervisor<PackedBatch, PartitionWorker>;
	readonly consumer: GroupConsumer;
	readonly committer: OffsetCommitter;
	readonly #parts: DeliveryParts;
	readonly #offsetTable: OffsetTable | null;
	readonly #offsets: OffsetStore;
	readonly #starts: StartRecorder;
	readonly #remadeLogs: RemadeLogs;
	readonly #offsetWatch: OffsetWatch;
	#stopping = false;

	constructor(parts: DeliveryParts) {
		const { config, database, clock, deadLetters } = parts;
		this.#parts = parts;
		const { store, table } = config.offsets;
		const consumerGroup = config.kafka.group;
		this.#offsetTable = store === "postgres" ? new OffsetTable({ database, table, consumerGroup }) : null;
		this.#starts = new StartRecorder({
			table: new StartTable({ database, offsetsTable: table, consumerGroup }),
			clock,
			notRecorded: (message) => parts.listener.startsNotRecorded(message),
		});
		this.writer = buildWriter(parts, parts.layouts);
		this.supervisor = this.#buildSupervisor();
		this.#offsets = this.#buildOffsetStore();
		this.consumer = new GroupConsumer({
			createClient: parts.createClient,
			member: this.supervisor,
			clock,
			kafka: config.kafka,
			incremental: isIncremental(config.kafka.protocol),
			offsets: this.#offsets,
			recordStarts: (starts) => this.#starts.record(starts),
		});
		this.committer = new OffsetCommitter({ ledger: this.ledger, store: this.#offsets, clock, intervalMs: config.offsets.commitIntervalMs });
		this.#remadeLogs = new RemadeLogs({
			clock,
			vanished: () => this.#offsets.vanished([...this.supervisor.children.values()]),
			remade: (partitions) => this.#logsRemade(partitions),
		});
		this.#offsetWatch = new OffsetWatch(clock, () => this.#offsets.look(() => [...this.supervisor.children.values()]));
		this.consumer.on("topic:unknown", () => void this.#remadeLogs.look());
		// A drain that waits for rows or letters looks again whether they can be written at all.
		this.writer.on("table:blocked", () => this.supervisor.nudge());
		this.writer.on("write:retried", () => this.supervisor.nudge());
		this.writer.on("batch:written", () => this.supervisor.nudge());
		deadLetters.on("target:blocked", () => this.supervisor.nudge());
	}

	/** Makes the tables of its own that are missing; rejects where it should be tried again. */
	async prepare(): Promise<void> {
		await this.#parts.deadLetters.prepare();
		await this.#offsetTable?.prepare();
	}

	/** Joins the group. Resolves when the member has subscribed. */
	async start(): Promise<void> {
		await this.consumer.start();
		this.committer.start();
		this.#remadeLogs.start();
		this.#offsetWatch.start();
	}

	/**
	 * Takes no more, drains, flushes, commits, leaves the group (a static member only with `leave`), ends the threads. `drained` is false
	 * where the deadline passed or offsets could not be committed, `left` where the coordinator didn't take the farewell by then; `hangs` says that a
	 * client's close is still under way, which the process would wait for. Database and dead letters' target stay their owner's.
	 */
	async stop({ leave = false }: { leave?: boolean } = {}): Promise<{ drained: boolean; left: boolean; hangs: boolean }> {
		const { clock, config } = this.#parts;
		const deadline = clock.monotonic() + config.drain.timeoutMs;
		this.#stopping = true;
		this.consumer.stopsBy(deadline);
		const drained = await this.supervisor.shutdown();
		this.#remadeLogs.dispose();
		this.#offsetWatch.dispose();
		this.committer.dispose();
		this.#starts.dispose();
		const left = await this.consumer.close({ leave, withinMs: Math.max(drained ? LEAST_LEAVE_MS : 0, deadline - clock.monotonic()) });
		await this.writer.dispose();
		await this.#parts.deadLetters.dispose();
		return { drained, left, hangs: this.consumer.hangs };
	}

	/** Their topic was deleted and made again: the group is joined anew, to begin with the new log. */
	async #logsRemade(partitions: readonly TopicPartition[]): Promise<void> {
		this.#parts.listener.logsRemade(partitions);
		const lows = partitions.map(async (partition) => {
			// While the topic is gone nobody knows where the next one begins; that is at 0.
			const watermarks = await this.consumer.client?.watermarks(partition).catch(() => null);
			return { topic: partition.topic, partition: partition.partition, offset: watermarks?.low ?? 0 };
		});
		const starts = await Promise.all(lows);
		this.supervisor.assignmentsLost(partitions);
		// A topic that isn't there again yet takes no offset, and needs none.
		await this.#offsets.begunAnew(starts).catch(() => {});
		this.#rejoin();
	}

	/** These partitions are not what this member takes them for: dropped without a commit, and the group decides anew who has what. */
	#giveUp(partitions: readonly TopicPartition[]): void {
		this.supervisor.assignmentsLost(partitions);
		this.#rejoin();
	}

	/** A member on its way out joins no more, whatever its drain still finds. */
	#rejoin(): void {
		if (!this.#stopping) this.consumer.rejoin();
	}

	#buildOffsetStore(): OffsetStore {
		const { listener } = this.#parts;
		const { clock } = this.#parts;
		const kafka = new KafkaOffsetStore(
			() => this.consumer.client,
			clock,
			() => void this.#remadeLogs.look(),
		);
		if (!this.#offsetTable) return kafka;
		return new MirroredOffsetStore(this.#offsetTable, kafka, {
			displaced: (partitions) => {
				listener.offsetsDisplaced(partitions);
				this.#giveUp(partitions);
			},
			mirrorFailed: (message) => listener.mirrorFailed(message),
		});
	}

	#buildSupervisor(): GroupSupervisor<PackedBatch, PartitionWorker> {
		const { config, clock, deadLetters, listener } = this.#parts;
		return new GroupSupervisor<PackedBatch, PartitionWorker>({
			offsets: this.ledger,
			createChild: (spec) => this.#createWorker(spec),
			pack: packMessages,
			valve: {
				pause: (partitions) => this.consumer.pause(partitions),
				resume: (partitions) => this.consumer.resume(partitions),
			},
			commit: (partitions, timeoutMs) => this.committer.commitWithin(timeoutMs, partitions),
			rowsBlocked: (partition) => !this.writer.isMoving(partition) && !deadLetters.isMoving(partition),
			clock,
			limits: { ...config.workers, drainTimeoutMs: config.drain.timeoutMs },
			listener: listener.supervisor,
		});
	}

	#createWorker({ partition, finished, isFull }: ChildSpec): PartitionWorker {
		const { config, layouts, clock, random, threads, deadLetters, listener } = this.#parts;
		return new PartitionWorker({
			partition,
			settings: workerSettings(config, layouts),
			threads: threads.lease(partition),
			rows: this.writer,
			deadLetters,
			intensity: new RestartIntensity(config.supervisor),
			clock,
			random,
			listener: listener.worker,
			finished,
			isFull,
		});
	}
}
