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
import type { Config } from "../config/config.ts";
import { referenceWaits } from "../config/table-layouts.ts";
import { exponentialBackOff } from "../core/back-off.ts";
import type { Clock } from "../core/clock.ts";
import type { DeadLetterTarget } from "../core/dead-letters/dead-letter.ts";
import { messageOf } from "../core/errors.ts";
import { lifetime } from "../core/lifetime.ts";
import { partitionName, type TopicPartition } from "../core/messages/message.ts";
import type { SkipOutcome } from "../core/messages/skip-outcome.ts";
import type { DisplacedOffset } from "../core/offsets/displaced-offset.ts";
import type { OffsetSet, OffsetsSetOutcome, WantedOffset } from "../core/offsets/set-offset.ts";
import type { Problem } from "../core/problem.ts";
import type { Random } from "../core/random.ts";
import type { TableLayout } from "../core/rows/rows.ts";
import { Turn } from "../core/turn.ts";
import { isIncremental } from "../kafka/client/consumer-settings.ts";
import type { GroupClient } from "../kafka/client/group-client.ts";
import { GroupConsumer } from "../kafka/group/group-consumer.ts";
import { RestoredPartitions } from "../kafka/group/restored-partitions.ts";
import { OffsetCommitter } from "../kafka/offsets/offset-committer.ts";
import { type AssignedLog, OffsetLedger } from "../kafka/offsets/offset-ledger.ts";
import { OffsetRequests } from "../kafka/offsets/offset-requests.ts";
import { KafkaOffsetStore, MirroredOffsetStore, type OffsetStore } from "../kafka/offsets/offset-store.ts";
import { OffsetWatch } from "../kafka/offsets/offset-watch.ts";
import type { RecordProducer } from "../kafka/producing/record-producer.ts";
import { AccessWatch } from "../kafka/watches/access-watch.ts";
import { LogWatch } from "../kafka/watches/log-watch.ts";
import { type JumpFact, PositionGuard } from "../kafka/watches/position-guard.ts";
import { isRefusal } from "../kafka/watches/rights.ts";
import { StandingTransactions } from "../kafka/watches/standing-transactions.ts";
import type { Database } from "../sink/database/database.ts";
import { hintFor, problemOf } from "../sink/database/sql-faults.ts";
import { HandKeeper } from "../sink/offsets/hand-keeper.ts";
import { NoteFence } from "../sink/offsets/note-fence.ts";
import { OffsetTable } from "../sink/offsets/offset-table.ts";
import { StartRecorder } from "../sink/offsets/start-recorder.ts";
import { StartTable } from "../sink/offsets/start-table.ts";
import type { BatchWriter } from "../sink/writer/batch-writer.ts";
import type { AskLockHolders } from "../sink/writer/refused/lock-holders.ts";
import { GroupSupervisor } from "../supervisor/group-supervisor.ts";
import { RestartIntensity } from "../supervisor/restart-intensity.ts";
import type { ChildSpec, SupervisorListener } from "../supervisor/supervisor-parts.ts";
import { PartitionWorker } from "../worker/partition-worker.ts";
import type { HandlerThreads } from "../worker/thread/handler-thread.ts";
import type { WorkerListener } from "../worker/worker-parts.ts";
import { buildWriter, workerSettings } from "./daemon-parts.ts";

/** What is told beside the events of consumer, writer and committer. */
export interface DeliveryListener {
	readonly supervisor: SupervisorListener;
	readonly worker: WorkerListener;
	/** The table of offsets doesn't hold what was stored of these partitions; they are dropped, and the group is joined anew. */
	offsetsDisplaced(partitions: readonly DisplacedOffset[]): void;
	/**
	 * The notes of these partitions are not what was noted last: another member has them, or the database was put back to another time.
	 * They are dropped, and the group is joined anew: their start tells which it was.
	 */
	notesDisplaced(partitions: readonly DisplacedOffset[]): void;
	/** These topics were deleted, and made again or not; the group is joined anew. */
	logsRemade(partitions: readonly TopicPartition[], what: "made_again" | "deleted"): void;
	/** Kafka's copy of the offsets could not follow the table. */
	mirrorFailed(message: string): void;
	/** Positions can't be noted, or only some columns of the notes: the daemon goes on without. */
	startsNotRecorded(message: string): void;
	/** That a log was deleted can't be stored yet; it is tried on, and its partitions wait. */
	logsNotForgotten(message: string): void;
	/** A position was outside its log, and the partition went on elsewhere. */
	jumped(fact: JumpFact): void;
}

/** What a delivery is built from. */
export interface DeliveryParts {
	readonly config: Config;
	readonly layouts: readonly TableLayout[];
	readonly database: Database;
	readonly deadLetters: DeadLetterTarget;
	/** Where records of handlers go. */
	readonly records: RecordProducer;
	/** Asks who holds the locks that rows wait for; nobody is asked without. */
	readonly lockHolders?: AskLockHolders;
	readonly createClient: () => GroupClient;
	readonly threads: HandlerThreads;
	readonly clock: Clock;
	readonly random: Random;
	readonly listener: DeliveryListener;
}

const RETRY = { minMs: 200, maxMs: 5_000 };
/** Rights are tried out on a topic that nothing was committed of for so long. */
const ACCESS_IDLE_MS = 5_000;
type DeliveryProblemCode =
	| "produce_blocked"
	| "cannot_join"
	| "not_authorized"
	| "topic_missing"
	| "commits_failing"
	| "standing_transaction"
	| "database";

/**
 * A drain that took all its time leaves the group all the same, or its partitions wait for a session; still inside a container's ten
 * seconds.
 */
const LEAST_LEAVE_MS = 500;
/**
 * Longest wait, after the commit, for the note that a partition was given away. Without it the next owner is careful for a while; no more.
 */
const RELEASE_MS = 500;
/** So long a person waits for a message that is in the handler's hand. */
const SKIP_WAIT_MS = 3_000;

/** All parts between Kafka and the committed offset, wired. One life: `start`, then `stop`. */
export class Delivery {
	readonly ledger = new OffsetLedger();
	readonly writer: BatchWriter;
	readonly supervisor: GroupSupervisor<PartitionWorker>;
	readonly consumer: GroupConsumer;
	readonly committer: OffsetCommitter;
	readonly restored: RestoredPartitions;
	readonly #parts: DeliveryParts;
	readonly #offsetTable: OffsetTable | null;
	readonly #offsets: OffsetStore;
	readonly #notes: StartRecorder;
	readonly #hands: HandKeeper;
	readonly #turn = new Turn();
	readonly #logs: LogWatch;
	readonly #guard: PositionGuard;
	readonly #offsetWatch: OffsetWatch;
	readonly #requests: OffsetRequests;
	readonly #access: AccessWatch;
	readonly transactions: StandingTransactions;
	readonly #stopping = lifetime();

	constructor(parts: DeliveryParts) {
		const { config, database, clock, deadLetters } = parts;
		this.#parts = parts;
		const { store, table } = config.offsets;
		const consumerGroup = config.kafka.group;
		this.#offsetTable = store === "postgres" ? new OffsetTable({ database, table, consumerGroup }) : null;
		this.#notes = new StartRecorder({
			table: new NoteFence(new StartTable({ database, offsetsTable: table, consumerGroup })),
			notRecorded: (message) => parts.listener.startsNotRecorded(message),
		});
		this.#hands = new HandKeeper(this.#notes, clock);
		const { lockHolders } = parts;
		const waits = referenceWaits(config);
		this.writer = buildWriter(
			{ config, database, clock, random: parts.random, waits, ...(lockHolders ? { lockHolders } : {}) },
			parts.layouts,
		);
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
		this.#offsetWatch = new OffsetWatch(clock, async () => {
			await this.#offsets.look(() => [...this.supervisor.children.values()]);
			await this.restored.look();
		});
		this.#requests = new OffsetRequests({
			clock,
			isAssigned: (partition) => this.supervisor.children.has(partitionName(partition)),
			watermarks: async (partition) => this.#client.watermarks(partition),
			pausesEnded: () => (isIncremental(config.kafka.protocol) ? [] : [...this.supervisor.children.values()].filter(({ held }) => held)),
			move: (wanted) => this.#move(wanted),
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
		this.consumer.on("stats", ({ json }) => this.transactions.stats(json));
		this.#guard = this.#buildGuard();
		this.consumer.on("topic:unknown", () => void this.#logs.look());
		this.consumer.on("position:out_of_range", () => void this.#guard.lookAtAll());
		this.consumer.on("start:resolved", (start) => {
			this.restored.started(start);
			this.#hands.began(start);
			if (start.from === "committed") void this.#guard.look([start]);
		});
		// A drain that waits for rows or letters looks again whether they can be written at all.
		this.writer.on("table:blocked", () => this.supervisor.nudge());
		this.writer.on("write:retried", () => this.supervisor.nudge());
		this.writer.on("batch:written", () => this.supervisor.nudge());
		this.writer.on("rows:rested", () => this.supervisor.nudge());
		this.writer.on("rows:stuck", () => this.supervisor.nudge());
		deadLetters.on("target:blocked", () => this.supervisor.nudge());
		parts.records.on("changed", () => this.supervisor.nudge());
	}

	/** Makes the tables of its own that are missing; rejects where it should be tried again. */
	async prepare(): Promise<void> {
		await this.#parts.deadLetters.prepare();
		await this.#offsetTable?.prepare();
		await this.#notes.prepare();
	}

	/** Joins the group. Resolves when the member has subscribed. */
	async start(): Promise<void> {
		await this.consumer.start();
		this.committer.start();
		this.#logs.start();
		this.#offsetWatch.start();
		this.#access.start();
	}

	/** What is not as it should be between Kafka and the ledger, for as long as it is so. */
	get problems(): readonly Problem<DeliveryProblemCode>[] {
		const { consumer, committer, transactions } = this;
		return [
			...consumer.problems,
			...this.#access.problems,
			...committer.problems,
			...transactions.problems,
			...this.#parts.records.problems,
			...this.#unasked(),
		];
	}

	/** Where no rows come nobody else notices that the database is away. */
	#unasked(): Problem<"database">[] {
		const { failing } = this.#offsetWatch;
		if (failing === null || this.writer.stuck) return [];
		const problem = problemOf(failing.error);
		const hint = hintFor(problem, this.#parts.config.offsets.table);
		const message = `the database can't be asked: ${problem.message}${hint ? `; ${hint}` : ""}`;
		return [{ code: "database", where: null, message, sinceMs: failing.sinceMs }];
	}

	/** Somebody steers a partition. False where it isn't assigned here. */
	control(partition: TopicPartition, action: "pause" | "resume" | "restart"): boolean {
		const isHere = this.supervisor.control(partition, action);
		if (isHere && action === "resume") void this.#guard.decideAgain(partition);
		return isHere;
	}

	/** A person wants a message passed over. Null where the partition isn't assigned here. */
	async skip(partition: TopicPartition, offset: number, why: string): Promise<SkipOutcome | null> {
		const position = this.ledger.of(partition)?.position;
		if (position === undefined) return null;
		if (offset >= position) return { outcome: "ahead", position };
		const answer = this.supervisor.skip(partition, offset, why);
		if (!answer) return null;
		const waited = lifetime();
		const asked = this.#parts.clock.sleep(SKIP_WAIT_MS, waited.signal).then(
			() => "asked" as const,
			() => "asked" as const,
		);
		const outcome = await Promise.race([answer, asked]);
		waited.abort(new Error("there is an answer"));
		return { outcome, position };
	}

	/** A person wants partitions to go on elsewhere. `id` names the request: asked again by it, it is answered again and not done again. */
	setOffsets(id: string, wanted: readonly WantedOffset[]): Promise<OffsetsSetOutcome> {
		return this.#requests.ask(id, wanted);
	}

	/** One that a person paused stays so. */
	async #move(wanted: readonly WantedOffset[]): Promise<readonly OffsetSet[] | null> {
		const paused = wanted.filter((each) => this.supervisor.children.get(partitionName(each))?.held === true);
		const moved = await this.consumer.move(wanted);
		for (const each of paused) this.supervisor.control(each, "pause");
		return moved;
	}

	/** A partition stands still: it is fetched anew, or what becomes of a position outside the log is decided. */
	fetchAgain(standing: TopicPartition & { readonly position: number }): void {
		void this.#guard.fetchAgain(standing);
	}

	/**
	 * Takes no more, drains, flushes, commits, leaves the group (a static member only with `leave`), ends the threads. `drained` is false
	 * where the deadline passed or offsets could not be committed, `left` where the coordinator didn't take the farewell by then; `hangs`
	 * says that a client's close is still under way, which the process would wait for. Database and dead letters' target stay their
	 * owner's.
	 */
	async stop({ leave = false }: { leave?: boolean } = {}): Promise<{ drained: boolean; left: boolean; hangs: boolean }> {
		const { clock, config } = this.#parts;
		const deadline = clock.monotonic() + config.drain.timeoutMs;
		this.#stopping.abort(new Error("stopping"));
		this.consumer.stopsBy(deadline);
		const drained = await this.supervisor.shutdown();
		this.#logs.dispose();
		this.#offsetWatch.dispose();
		this.#access.dispose();
		this.committer.dispose();
		const left = await this.consumer.close({ leave, withinMs: Math.max(LEAST_LEAVE_MS, deadline - clock.monotonic()) });
		await this.#parts.records.dispose();
		await this.writer.dispose();
		await this.#parts.deadLetters.dispose();
		return { drained, left, hangs: this.consumer.hangs };
	}

	/**
	 * Their topic was deleted and made again: what this member has of them is dropped before anything else, for it must not be committed
	 * for the new log. Joined anew it begins as its notes say. Where no id tells the logs apart, they have to be told first.
	 */
	#logsRemade(found: readonly AssignedLog[], what: "made_again" | "deleted"): void {
		const remade = this.ledger.current(found);
		if (remade.length === 0) return;
		this.#parts.listener.logsRemade(remade, what);
		this.supervisor.assignmentsLost(remade);
		void this.#forget(remade.filter(({ logId }) => logId === null)).then(() => this.#rejoin());
	}

	/** Until it is stored, or the daemon stops. */
	async #forget(partitions: readonly TopicPartition[]): Promise<void> {
		const { clock, listener } = this.#parts;
		const { signal } = this.#stopping;
		for (let failures = 1; partitions.length > 0 && !signal.aborted; failures++) {
			try {
				return await this.#offsets.forget(partitions);
			} catch (error) {
				listener.logsNotForgotten(messageOf(error));
				await clock.sleep(exponentialBackOff(failures, RETRY), signal).catch(() => {});
			}
		}
	}

	/** These partitions are not what this member takes them for: dropped without a commit, and the group decides anew who has what. */
	#giveUp(partitions: readonly TopicPartition[]): void {
		this.supervisor.assignmentsLost(partitions);
		this.#rejoin();
	}

	/** A member on its way out joins no more, whatever its drain still finds. */
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

	/** Looks at once where an error says that something may be wrong with a topic or a right. */
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
			commit: (partitions, timeoutMs) => this.#giveAway(partitions, timeoutMs),
			decideAgain: (partition) => void this.#guard.decideAgain(partition),
			rowsBlocked: (partition) =>
				!this.writer.isMoving(partition) && !deadLetters.isMoving(partition) && !this.#parts.records.isMoving(partition),
			clock,
			limits: { ...config.workers, drainTimeoutMs: config.drain.timeoutMs },
			listener: listener.supervisor,
		});
	}

	/** What is finished is committed, and noted that nobody is suspected of a death. */
	async #giveAway(partitions: readonly TopicPartition[], timeoutMs: number): Promise<boolean> {
		const released = this.#hands.release(
			partitions.map(({ topic, partition }) => {
				const { child } = this.supervisor.children.get(partitionName({ topic, partition })) ?? {};
				return { topic, partition, evidence: child?.evidence ?? null };
			}),
		);
		const committed = await this.committer.commitWithin(timeoutMs, partitions);
		await new Promise<void>((resolve) => {
			const timer = this.#parts.clock.after(RELEASE_MS, resolve);
			void released.then(resolve).finally(() => timer.cancel());
		});
		return committed;
	}

	#createWorker({ partition, logId, suspicion, finished, isFull }: ChildSpec): PartitionWorker {
		const { config, layouts, clock, random, threads, deadLetters, listener } = this.#parts;
		return new PartitionWorker({
			partition,
			logId,
			settings: workerSettings(config, layouts),
			threads: threads.lease(partition),
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
