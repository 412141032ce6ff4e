/**
 * Wires everything between a message in Kafka and its committed offset: received messages go to the supervisor's children, their rows to
 * the writer, finished offsets to the ledger, and from there to the store of offsets.
 *
 *    group consumer -> group supervisor -> partition worker -> worker thread
 *                                                └-> batch writer, dead letters -> offset ledger -> offset committer
 *
 * Client, threads, database, clock and random numbers are passed in: the daemon brings the real ones, the simulation its own. Knows neither
 * metrics nor logs; `listener` and the parts' own events report what happens.
 */
import { referenceWaits } from "../config/table-layouts.ts";
import { messageOf } from "../core/errors.ts";
import { exponentialBackOff, KAFKA_RETRY } from "../core/exponential-back-off.ts";
import type { TopicPartition } from "../core/messages/message.ts";
import type { Problem } from "../core/problem.ts";
import { lifetime } from "../core/waiting/lifetime.ts";
import { Turn } from "../core/waiting/turn.ts";
import { isIncremental } from "../kafka/client/consumer-settings.ts";
import type { GroupClient } from "../kafka/client/group-client.ts";
import { GroupConsumer } from "../kafka/group/group-consumer.ts";
import { RestoredPartitions } from "../kafka/group/restored-partitions.ts";
import { OffsetCommitter } from "../kafka/offsets/offset-committer.ts";
import { type AssignedLog, OffsetLedger } from "../kafka/offsets/offset-ledger.ts";
import { KafkaOffsetStore, MirroredOffsetStore, type OffsetStore } from "../kafka/offsets/offset-store.ts";
import { OffsetWatch } from "../kafka/offsets/offset-watch.ts";
import { AccessWatch } from "../kafka/watches/access-watch.ts";
import { LogWatch } from "../kafka/watches/log-watch.ts";
import { PositionGuard } from "../kafka/watches/position-guard.ts";
import { isRefusal } from "../kafka/watches/rights.ts";
import { StandingTransactions } from "../kafka/watches/standing-transactions.ts";
import { hintFor, problemOf } from "../sink/database/sql-faults.ts";
import { HandKeeper } from "../sink/offsets/hand-keeper.ts";
import { NoteFence } from "../sink/offsets/note-fence.ts";
import { OffsetTable } from "../sink/offsets/offset-table.ts";
import { StartRecorder } from "../sink/offsets/start-recorder.ts";
import { StartTable } from "../sink/offsets/start-table.ts";
import { eachPrepared } from "../sink/tables/each-prepared.ts";
import type { BatchWriter } from "../sink/writer/batch-writer.ts";
import { GroupSupervisor, LEAST_COMMIT_MS } from "../supervisor/group-supervisor.ts";
import { RestartIntensity } from "../supervisor/restart-intensity.ts";
import type { ChildSpec } from "../supervisor/supervisor-parts.ts";
import { PartitionWorker } from "../worker/partition-worker.ts";
import { LONGEST_BEGIN_MS } from "../worker/thread/call-deadline.ts";
import { buildWriter, workerSettings } from "./daemon-parts.ts";
import type { DeliveryParts, DeliveryProblemCode } from "./delivery-parts.ts";
import { GivenAway } from "./given-away.ts";
import { PartitionRequests } from "./partition-requests.ts";
import { ReserveThreads } from "./reserve-threads.ts";
import { UnservedPartitions } from "./unserved-partitions.ts";

/** After this time without a commit, the rights on a topic are tried out. */
const ACCESS_IDLE_MS = 5_000;
/**
 * Minimum time for leaving the group, even if the drain took all of its time: otherwise the partitions wait until the session ends. Drain
 * and leave together fit into the ten seconds that a container gets.
 */
const LEAST_LEAVE_MS = 500;

/** All parts between Kafka and the committed offset, wired. One life: `start`, then `stop`. */
export class Delivery {
	readonly ledger = new OffsetLedger();
	readonly writer: BatchWriter;
	readonly supervisor: GroupSupervisor<PartitionWorker>;
	readonly consumer: GroupConsumer;
	readonly committer: OffsetCommitter;
	readonly restored: RestoredPartitions;
	readonly requests: PartitionRequests;
	readonly #parts: DeliveryParts;
	readonly #offsetTable: OffsetTable | null;
	readonly #offsets: OffsetStore;
	readonly #notes: StartRecorder;
	readonly #hands: HandKeeper;
	readonly #turn = new Turn();
	readonly #givenAway: GivenAway;
	readonly #logs: LogWatch;
	readonly #guard: PositionGuard;
	readonly #offsetWatch: OffsetWatch;
	readonly #unserved: UnservedPartitions;
	readonly #access: AccessWatch;
	readonly transactions: StandingTransactions;
	readonly #stopping = lifetime();
	/** The threads that the next partitions get. */
	readonly reserves: ReserveThreads;

	constructor(parts: DeliveryParts) {
		const { config, database, clock, deadLetters } = parts;
		this.#parts = parts;
		const { store, table } = config.offsets;
		const consumerGroup = config.kafka.group;
		this.#offsetTable = store === "postgres" ? new OffsetTable({ database, table, consumerGroup }) : null;
		this.#notes = new StartRecorder({
			table: new NoteFence(new StartTable({ database, offsetsTable: table, consumerGroup })),
			notRecorded: (message) => parts.listener.startsNotRecorded(message),
			preparesFirst: true,
		});
		this.#hands = new HandKeeper(this.#notes, clock);
		this.#givenAway = new GivenAway(this, this.#hands, clock);
		const { lockHolders } = parts;
		const waits = referenceWaits(config);
		this.writer = buildWriter(
			{ config, database, clock, random: parts.random, waits, ...(lockHolders ? { lockHolders } : {}) },
			parts.layouts,
		);
		this.reserves = new ReserveThreads({
			...parts,
			turn: this.#turn,
			assigned: () => this.consumer.assigned.length,
			incremental: isIncremental(config.kafka.protocol),
			withinMs: Math.max(config.handler.timeoutMs, LONGEST_BEGIN_MS),
			stopping: this.#stopping.signal,
		});
		this.supervisor = this.#buildSupervisor();
		this.#offsets = this.#buildOffsetStore();
		this.consumer = new GroupConsumer({
			createClient: parts.createClient,
			member: this.supervisor,
			clock,
			kafka: config.kafka,
			incremental: isIncremental(config.kafka.protocol),
			offsets: this.#offsets,
			notes: this.#notes,
		});
		this.#logs = new LogWatch({
			clock,
			assigned: () => this.ledger.assigned,
			topicIds: (topics) => this.#client.topicIds(topics),
			forgotten: (partitions) => this.#offsets.forgotten(partitions),
			remade: (partitions, what) => this.#logsRemade(partitions, what),
		});
		this.restored = new RestoredPartitions({
			clock,
			notes: this.#notes,
			isAssigned: (name) => this.supervisor.children.has(name),
		});
		this.#unserved = new UnservedPartitions({
			clock,
			fetched: () => this.consumer.fetched,
			isServed: (name) => this.supervisor.children.has(name),
		});
		this.#offsetWatch = new OffsetWatch(clock, async () => {
			this.#unserved.look();
			await this.#offsets.look(() => [...this.supervisor.children.values()]);
			await this.restored.look();
		});
		this.committer = new OffsetCommitter({
			ledger: this.ledger,
			store: this.#offsets,
			logs: this.#logs,
			client: () => this.consumer.client,
			clock,
			intervalMs: config.offsets.commitIntervalMs,
		});
		this.#access = this.#buildAccessWatch();
		this.transactions = new StandingTransactions({
			clock,
			brokers: config.kafka.brokers,
			position: (partition) => this.ledger.of(partition)?.position ?? null,
		});
		this.consumer.on("rebalanced", ({ kind, partitions }) => {
			if (kind !== "assign") return;
			this.supervisor.partitionsGivenBack(partitions, isIncremental(config.kafka.protocol));
			this.reserves.beginLater();
		});
		this.consumer.on("rejoining", () => this.supervisor.rejoins());
		this.consumer.on("stats", ({ json }) => this.transactions.stats(json));
		this.#guard = this.#buildGuard();
		this.requests = new PartitionRequests({
			clock,
			supervisor: this.supervisor,
			ledger: this.ledger,
			consumer: this.consumer,
			watermarks: async (partition) => this.#client.watermarks(partition),
			decideAgain: (partition) => void this.#guard.decideAgain(partition),
		});
		this.consumer.on("topic:unknown", () => void this.#logs.look());
		this.consumer.on("position:out_of_range", () => void this.#guard.lookAtAll());
		this.consumer.on("start:resolved", (start) => {
			this.restored.started(start);
			this.#hands.began(start);
			if (start.from === "committed") void this.#guard.look([start]);
		});
		// A drain that waits for rows or letters checks again whether they can be written at all.
		this.writer.on("table:blocked", () => this.supervisor.nudge());
		this.writer.on("write:retried", () => this.supervisor.nudge());
		this.writer.on("batch:written", () => this.supervisor.nudge());
		this.writer.on("rows:rested", () => this.supervisor.nudge());
		this.writer.on("rows:stuck", () => this.supervisor.nudge());
		deadLetters.on("target:blocked", () => this.supervisor.nudge());
		parts.records.on("changed", () => this.supervisor.nudge());
	}

	/** Creates those of PocKaffe's own tables that are missing, each whatever becomes of the others. Rejects if this should be tried again. */
	async prepare(): Promise<void> {
		await eachPrepared([() => this.#notes.prepare(), async () => this.#offsetTable?.prepare(), () => this.#parts.deadLetters.prepare()]);
	}

	/** Joins the group. Resolves when the member has subscribed. */
	async start(): Promise<void> {
		await this.consumer.start();
		this.committer.start();
		this.#logs.start();
		this.#offsetWatch.start();
		this.#access.start();
	}

	/** The handler's file changed, or one beside it. */
	handlerChanged(): void {
		this.#parts.threads.expire();
		this.supervisor.handlerChanged();
		this.reserves.handlerChanged();
	}

	/** The problems between Kafka and the ledger, as long as they last. */
	get problems(): readonly Problem<DeliveryProblemCode>[] {
		const { consumer, committer, transactions } = this;
		return [
			...this.reserves.problems,
			...consumer.problems,
			...this.#unserved.problems,
			...this.#access.problems,
			...committer.problems,
			...transactions.problems,
			...this.#parts.records.problems,
			...this.#databaseAway(),
		];
	}

	/** A database that is away while no rows come: only the watch of offsets notices it. */
	#databaseAway(): Problem<"database">[] {
		const { failing } = this.#offsetWatch;
		if (failing === null || this.writer.stuck) return [];
		const problem = problemOf(failing.error);
		const hint = hintFor(problem, this.#parts.config.offsets.table);
		const message = `the database can't be asked: ${problem.message}${hint ? `; ${hint}` : ""}`;
		return [{ code: "database", where: null, message, sinceMs: failing.sinceMs }];
	}

	/** For a partition that stands still: fetches it again, or decides about a position outside its log. */
	fetchAgain(standing: TopicPartition & { readonly position: number }): void {
		void this.#guard.fetchAgain(standing);
	}

	/**
	 * Takes no more, drains, flushes, commits, leaves the group (a static member only with `leave`), ends the threads. The database stays
	 * open: its owner closes it. `drained` is false if not all was finished and committed by the deadline; `left`, if the coordinator
	 * didn't confirm the leave in time. `hangs`: a client is still closing, and the process would wait for it.
	 */
	async stop({ leave = false }: { leave?: boolean } = {}): Promise<{ drained: boolean; left: boolean; hangs: boolean }> {
		const { clock, config } = this.#parts;
		const deadline = clock.monotonic() + config.drain.timeoutMs;
		this.#stopping.abort(new Error("stopping"));
		// The last commit may begin at the deadline; if a topic has no id, it asks Kafka whether that is still the same.
		this.consumer.stopsBy(deadline + LEAST_COMMIT_MS);
		const drained = await this.supervisor.shutdown();
		this.#logs.dispose();
		this.#offsetWatch.dispose();
		this.#access.dispose();
		this.committer.dispose();
		const idleEnded = this.#parts.threads.dispose();
		const left = await this.consumer.close({ leave, withinMs: Math.max(LEAST_LEAVE_MS, deadline - clock.monotonic()) });
		await idleEnded;
		await this.#parts.records.dispose();
		await this.writer.dispose();
		await this.#parts.deadLetters.dispose();
		return { drained, left, hangs: this.consumer.hangs };
	}

	/**
	 * The partitions' topic was deleted, and perhaps created again. First drops what this member has of them: it must not be committed for
	 * the new log. After rejoining they begin as their notes say. If no id distinguishes the logs, the notes are changed before that.
	 */
	#logsRemade(found: readonly AssignedLog[], what: "made_again" | "deleted"): void {
		const remade = this.ledger.current(found);
		if (remade.length === 0) return;
		this.#parts.listener.logsRemade(remade, what);
		this.supervisor.rejoins();
		this.supervisor.assignmentsLost(remade);
		void this.#forget(remade.filter(({ logId }) => logId === null)).then(() => this.#rejoin());
	}

	/** Retries until it is stored, or the daemon stops. */
	async #forget(partitions: readonly TopicPartition[]): Promise<void> {
		const { clock, listener } = this.#parts;
		const { signal } = this.#stopping;
		for (let failures = 1; partitions.length > 0 && !signal.aborted; failures++) {
			try {
				return await this.#offsets.forget(partitions);
			} catch (error) {
				listener.logsNotForgotten(messageOf(error));
				await clock.sleep(exponentialBackOff(failures, KAFKA_RETRY), signal).catch(() => {});
			}
		}
	}

	/** What this member knows of these partitions is wrong: drops them without a commit, and lets the group assign them again. */
	#giveUp(partitions: readonly TopicPartition[]): void {
		this.supervisor.rejoins();
		this.supervisor.assignmentsLost(partitions);
		this.#rejoin();
	}

	/** Rejoins the group, unless the daemon is stopping. */
	#rejoin(): void {
		if (!this.#stopping.signal.aborted) this.consumer.rejoin();
	}

	get #client(): GroupClient {
		const { client } = this.consumer;
		if (!client) throw new Error("not connected to Kafka");
		return client;
	}

	#buildGuard(): PositionGuard {
		const { config, clock, listener } = this.#parts;
		return new PositionGuard({
			clock,
			stopped: this.#stopping.signal,
			policy: config.kafka.onOffsetOutOfRange,
			positions: () =>
				[...this.supervisor.children.values()].flatMap(({ topic, partition, epoch, parked }) => {
					const offsets = this.ledger.of({ topic, partition });
					return offsets ? [{ topic, partition, epoch, position: offsets.position, parked: parked !== null }] : [];
				}),
			dropOtherLogs: () => this.#logs.look(),
			watermarks: async (partition) => this.#client.watermarks(partition),
			notes: this.#notes,
			goOn: (position, offset) => this.supervisor.goOn(position, offset),
			refetch: (partition, from) => this.consumer.refetch(partition, from),
			park: (position, reason) => void this.supervisor.park(position, reason),
			jumped: (fact) => listener.jumped(fact),
		});
	}

	/** The watch also looks at once if an error says that something may be wrong with a topic or a right. */
	#buildAccessWatch(): AccessWatch {
		const { clock, config } = this.#parts;
		const access = new AccessWatch({
			clock,
			kafka: config.kafka,
			client: () => this.consumer.client,
			idle: () => this.committer.idleFor(ACCESS_IDLE_MS),
			commitAgain: (offsets) => this.committer.commitAgain(offsets),
		});
		this.consumer.on("topic:unknown", () => void access.look());
		this.consumer.on("consume:failed", ({ code }) => isRefusal(code) && void access.look());
		this.committer.on("offsets:commit_failed", () => void access.look());
		return access;
	}

	#buildOffsetStore(): OffsetStore {
		const { listener } = this.#parts;
		const kafka = new KafkaOffsetStore(
			() => this.consumer.client,
			this.#notes,
			(partitions) => {
				listener.notesDisplaced(partitions);
				this.#giveUp(partitions);
			},
			this.#parts.clock,
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

	#buildSupervisor(): GroupSupervisor<PartitionWorker> {
		const { config, clock, deadLetters, listener } = this.#parts;
		return new GroupSupervisor<PartitionWorker>({
			offsets: this.ledger,
			createChild: (spec) => this.#createWorker(spec),
			valve: {
				pause: (partitions) => this.consumer.pause(partitions),
				resume: (partitions) => this.consumer.resume(partitions),
			},
			commit: (partitions, timeoutMs) => this.#givenAway.give(partitions, timeoutMs),
			decideAgain: (partition) => void this.#guard.decideAgain(partition),
			rowsBlocked: (partition) =>
				!this.writer.isMoving(partition) && !deadLetters.isMoving(partition) && !this.#parts.records.isMoving(partition),
			clock,
			limits: { ...config.workers, drainTimeoutMs: config.drain.timeoutMs },
			listener: listener.supervisor,
		});
	}

	#createWorker({ partition, logId, suspicion, finished, isFull }: ChildSpec): PartitionWorker {
		const { config, layouts, clock, random, threads, deadLetters, listener } = this.#parts;
		return new PartitionWorker({
			partition,
			logId,
			settings: workerSettings(config, layouts),
			threads: threads.lease(partition, this.#givenAway.goesOn(partition)),
			rows: this.writer,
			records: this.#parts.records,
			deadLetters,
			intensity: new RestartIntensity(config.supervisor),
			hand: suspicion && {
				suspicion,
				committed: () => this.ledger.of(partition)?.committed ?? -1,
				note: (evidence, signal) => this.#hands.hold(partition, evidence, signal),
			},
			turn: this.#turn,
			clock,
			random,
			listener: listener.worker,
			finished,
			isFull,
		});
	}
}
