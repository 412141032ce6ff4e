/**
 * The one place that knows every part: builds, wires, starts, drains, stops.
 *
 *    daemon
 *    ├── delivery (daemon/delivery.ts)
 *    │     ├── group consumer ............ polls Kafka, passes on assignments and messages
 *    │     ├── group supervisor .......... one-for-one
 *    │     │     └── partition worker .... one per assigned partition; attempts, back-off, restarts
 *    │     │           └── worker thread . one-thread pool with the user's handler; shared if `workers.maxThreads` are fewer
 *    │     ├── batch writer .............. CAS statements, dead letters
 *    │     └── offset committer .......... finished offsets, after durable rows
 *    ├── stall detector .................. partitions that stand still
 *    └── observer, HTTP server ........... metrics, logs, readiness, status
 *
 * States: starting -> running -> draining -> stopped. Every stop takes the same steps: take no more, drain, flush, commit, leave, end
 * threads, close the database, close HTTP last.
 */

import type { Config } from "../config/config.ts";
import { tableLayouts } from "../config/table-layouts.ts";
import type { Clock } from "../core/clock.ts";
import type { DeadLetterEvents, DeadLetterTarget } from "../core/dead-letters/dead-letter.ts";
import { type ExitCode, exitCodes, messageOf } from "../core/errors.ts";
import { partitionName } from "../core/messages/message.ts";
import type { Random } from "../core/random.ts";
import type { TableLayout } from "../core/rows/rows.ts";
import { knownSecrets } from "../core/text/secret-mask.ts";
import { lifetime } from "../core/waiting/lifetime.ts";
import type { SummaryFigures } from "../embedded/summary-line.ts";
import { filesOf, kafkaClientSettings } from "../kafka/client/client-settings.ts";
import { ConsumerClient, librdkafkaVersion } from "../kafka/client/consumer-client.ts";
import { consumerSettings, isIncremental } from "../kafka/client/consumer-settings.ts";
import type { GroupClient } from "../kafka/client/group-client.ts";
import { RenewedFiles } from "../kafka/client/renewed-files.ts";
import type { GroupConsumer } from "../kafka/group/group-consumer.ts";
import type { GroupConsumerEvents } from "../kafka/group/group-consumer-parts.ts";
import { nativeMissing, withoutAddon } from "../kafka/native.ts";
import { LagClock } from "../kafka/offsets/lag-clock.ts";
import type { CommitterEvents } from "../kafka/offsets/offset-committer.ts";
import type { RecordProducer } from "../kafka/producing/record-producer.ts";
import type { RecordProducerEvents } from "../kafka/producing/record-producer-parts.ts";
import { StallDetector } from "../kafka/watches/stall-detector.ts";
import type { HttpControl } from "../observe/http/http-control.ts";
import { createHttpServer, type HttpServer } from "../observe/http/http-server.ts";
import { DaemonObserver, listenTo } from "../observe/listeners/daemon-observer.ts";
import { HandlerObserver } from "../observe/listeners/handler-observer.ts";
import { observeReadiness } from "../observe/listeners/readiness-observer.ts";
import type { DaemonLogger } from "../observe/logs/log.ts";
import { ProblemLog } from "../observe/logs/problem-log.ts";
import { Metrics } from "../observe/metrics/metrics.ts";
import { Readiness } from "../observe/readiness.ts";
import { buildStatus, type DaemonState, type StatusSnapshot } from "../observe/status.ts";
import { connectDatabase, type Database } from "../sink/database/database.ts";
import { prepareTables } from "../sink/tables/table-preparation.ts";
import { lockHoldersAt } from "../sink/writer/refused/lock-holders.ts";
import type { WriterEvents } from "../sink/writer/writer-events.ts";
import type { SupervisorListener } from "../supervisor/supervisor-parts.ts";
import { HandlerWatcher } from "../worker/handler-watcher.ts";
import { handlerVersion } from "../worker/thread/handler-version.ts";
import { StuckThreads } from "../worker/thread/stuck-threads.ts";
import { createHandlerThreads } from "../worker/thread/worker-thread.ts";
import type { WorkerListener } from "../worker/worker-parts.ts";
import { buildDeadLetters, buildRecords, mostStuckThreads, ownTables, threadOptions } from "./daemon-parts.ts";
import { daemonProblems } from "./daemon-problems.ts";
import { buildSnapshot, buildSummary } from "./daemon-snapshot.ts";
import { Delivery } from "./delivery.ts";
import { httpControl } from "./http-requests.ts";

/** What a daemon needs: a validated configuration with brokers and a database, and the outside world. */
export interface DaemonParts {
	readonly config: Config;
	readonly logger: DaemonLogger;
	readonly clock: Clock;
	readonly random: Random;
	readonly version: string;
	/** Called beside metrics and log, for an owner in the same process. */
	readonly told?: Partial<Pick<WorkerListener, "deadLettered" | "crashed">>;
	/** Called with the HTTP address, before anything else is waited for. */
	readonly listening?: (url: string) => Promise<void>;
	/** Broker and database are the daemon's own; this is shown wherever somebody looks. */
	readonly isEmbedded?: boolean;
}

/** Why the daemon ends, and its exit code. */
export interface StopCause {
	readonly reason: string;
	readonly exitCode: ExitCode;
}

/** The whole daemon: builds, starts, drains and stops every part. One run per instance. */
export class Daemon {
	readonly parts: DaemonParts;
	readonly layouts: readonly TableLayout[];
	readonly metrics = new Metrics({ nodeMetrics: true });
	readonly readiness: Readiness;
	readonly lagClock = new LagClock();
	readonly startedAt: number;
	readonly delivery: Delivery;
	readonly database: Database;
	readonly records: RecordProducer;
	readonly stallDetector: StallDetector;
	readonly stuckThreads: StuckThreads;
	readonly #observer: DaemonObserver;
	readonly #handlers: HandlerObserver;
	#handlerVersion: string | null = null;
	readonly #problemLog: ProblemLog;
	readonly #renewedFiles: RenewedFiles;
	readonly #ready: ReturnType<typeof observeReadiness>;
	readonly #stopping = lifetime();
	#state: DaemonState = "starting";
	#http: HttpServer | null = null;
	/** The server, or what is to become it: a stop in the middle of the start closes it too. */
	#opening: Promise<HttpServer> | null = null;
	#watcher: HandlerWatcher | null = null;
	#lastConsumeError: string | null = null;
	/** The client met an unknown topic or partition, and has not been replaced since. */
	#topicWasUnknown = false;
	#droppedRecords = 0;
	#resolveStopCause: (cause: StopCause) => void = () => {};

	/** Resolves when a policy or Kafka says that the daemon has to stop; the owner then calls `stop`. */
	readonly stopRequested: Promise<StopCause>;

	constructor(parts: DaemonParts) {
		const { config, clock } = parts;
		this.parts = parts;
		this.startedAt = clock.now();
		this.layouts = tableLayouts(config);
		this.readiness = new Readiness(clock, () => daemonProblems(this));
		this.readiness.set("starting", "the daemon is starting");
		this.stopRequested = new Promise((resolve) => {
			this.#resolveStopCause = resolve;
		});
		const { module } = config.handler;
		const makesRows = module !== "pockaffe:log" && Object.keys(config.tables).length > 0;
		this.#observer = new DaemonObserver({ metrics: this.metrics, logger: parts.logger, clock, module, makesRows });
		this.#handlers = new HandlerObserver(parts.logger, module, () =>
			[...this.delivery.supervisor.children.values()].map(({ topic, partition, child }) => ({
				topic,
				partition,
				handlerHash: child.handlerHash,
			})),
		);
		this.#ready = observeReadiness({
			readiness: this.readiness,
			rowsStuck: (table) => this.delivery.writer.isStuck(table),
		});
		this.database = connectDatabase({ ...config.database, clock });
		this.stuckThreads = new StuckThreads({
			clock,
			limit: mostStuckThreads(config.handler),
			tooMany: (reason) => this.#requestStop({ reason, exitCode: exitCodes.stuckThreads }),
		});
		const deadLetters = buildDeadLetters({ config, database: this.database, clock, random: parts.random }, parts.version);
		this.records = buildRecords(parts);
		this.delivery = this.#buildDelivery(deadLetters);
		this.#renewedFiles = this.#buildRenewedFiles(deadLetters);
		this.stallDetector = this.#buildStallDetector();
		this.#problemLog = new ProblemLog({
			clock,
			logger: parts.logger,
			problems: () => [...this.delivery.problems, ...this.stuckThreads.problems],
		});
	}

	get state(): DaemonState {
		return this.#state;
	}

	/** The HTTP address; null before it listens. */
	get url(): string | null {
		return this.#http?.url ?? null;
	}

	/** The handler's version that all partitions run, or else the one on disk at the start. `mixed`: partitions run different ones. */
	get handler(): { readonly version: string | null; readonly mixed: boolean } {
		const { only, mixed } = this.#handlers;
		return { version: this.parts.config.handler.version || (only ?? this.#handlerVersion), mixed };
	}

	/** Why rows can't be written now; null while they can. */
	get databaseProblem(): string | null {
		const report = this.readiness.report();
		return report.ready ? null : (report.reasons.find(({ code }) => code === "database")?.message ?? null);
	}

	/** The present state, for `/status`, the gauges and the summary line. */
	snapshot(): StatusSnapshot {
		return buildSnapshot(this);
	}

	/**
	 * Listens, prepares the tables, joins the group. Resolves when the member has subscribed, or when a `stop` came first: then it opens
	 * nothing more. Rejects (ExitError) for a port in use.
	 */
	async start(): Promise<void> {
		const { config, clock, logger } = this.parts;
		const { signal } = this.#stopping;
		const { module } = config.handler;
		this.#handlerVersion = config.handler.version || (await handlerVersion(module));
		if (signal.aborted) return;
		this.#opening = createHttpServer({
			host: config.http.host,
			port: config.http.port,
			clock,
			metrics: () => this.metrics.render(),
			readiness: () => this.readiness.report(),
			isEmbedded: this.parts.isEmbedded === true,
			status: () => buildStatus(this.snapshot()),
			control: config.http.admin ? this.#control() : null,
			token: config.http.token,
			mask: knownSecrets.mask,
			onError: (path, error) => logger.error({ path }, `HTTP: ${messageOf(error)}`),
		});
		this.#http = await this.#opening;
		if (signal.aborted) return;
		const { version, listening } = this.parts;
		await listening?.(this.#http.url);
		if (signal.aborted) return;
		const addon = nativeMissing === null ? ("topic_ids" as const) : ("none" as const);
		const consuming = nativeMissing === null ? ("packed" as const) : ("node_rdkafka" as const);
		const facts = { version, librdkafka: librdkafkaVersion, addon, consuming, tables: this.layouts.map(({ name }) => name) };
		this.#observer.started(facts, () => this.snapshot());
		if (nativeMissing !== null) logger.warn({}, `${nativeMissing}: ${withoutAddon}`);
		this.metrics.onScrape(() => this.#countDroppedRecords());
		this.metrics.onScrape(() => this.metrics.set("produce_queue_bytes", [[{}, this.records.bytes]]));
		logger.info(
			{
				version,
				pid: process.pid,
				handler: { module, version: this.#handlerVersion },
				group: config.kafka.group,
				topics: config.kafka.topics,
				url: this.#http.url,
			},
			`PocKaffe ${version} listens at ${this.#http.url}`,
		);
		this.#problemLog.start();
		this.#watchHandler();
		// Beside everything that is waited for: a module that can't be loaded is told also while Kafka and the database are away.
		void this.delivery.reserves.begin();
		await prepareTables({
			database: this.database,
			layouts: this.layouts,
			prepareOwn: () => this.delivery.prepare(),
			names: [...this.layouts, ...ownTables(config)].map(({ name }) => name),
			unsafe: (message) => logger.warn({}, message),
			clock,
			signal,
			failed: (message, retryInMs) => {
				this.#ready.tables.failed(message);
				logger.warn({}, `tables can't be prepared yet: ${message}; tried again every ${retryInMs} ms`);
			},
			prepared: () => {
				this.#ready.tables.prepared();
				logger.info({}, "tables are prepared");
			},
		});
		if (signal.aborted) return;
		await this.#renewedFiles.start();
		if (signal.aborted) return;
		await this.delivery.start();
		this.stallDetector.start();
	}

	/** Figures for the summary line on a terminal. */
	summary(): SummaryFigures {
		return buildSummary(this.snapshot(), this.readiness.report(), this.#observer.totals);
	}

	/**
	 * Every stop takes the same steps: not ready, take no more, drain, flush, commit, leave the group, end threads, close the database, close
	 * HTTP last. `drained` is false if the drain's deadline passed or offsets could not be committed; `left` and `hangs` as in
	 * `Delivery.stop`.
	 */
	async stop(reason: string, { leave = false }: { leave?: boolean } = {}): Promise<{ drained: boolean; hangs: boolean }> {
		const { logger } = this.parts;
		this.#state = "draining";
		this.readiness.set("draining", reason);
		logger.info({ reason }, `stopping: ${reason}`);
		this.#stopping.abort(new Error(reason));
		this.stallDetector.dispose();
		this.#renewedFiles.dispose();
		this.#problemLog.dispose();
		await this.#watcher?.[Symbol.asyncDispose]();
		const { drained, left, hangs } = await this.delivery.stop({ leave });
		await this.database.close();
		this.#state = "stopped";
		const how = drained
			? "stopped"
			: "stopped before everything in hand was finished and committed: the next member handles the rest again";
		const goodbye = left ? "" : "; the group's coordinator did not answer: it drops this member when its session ends";
		logger.info({ drained, left }, `${how}${goodbye}`);
		const http = await this.#opening?.catch(() => null);
		await http?.close();
		return { drained, hangs };
	}

	#control(): HttpControl {
		const drain = () => this.#requestStop({ reason: "a drain was asked for over HTTP", exitCode: exitCodes.done });
		return httpControl(this.delivery.requests, drain, (action, target) => this.#observer.adminAction(action, target));
	}

	#buildRenewedFiles(deadLetters: DeadLetterTarget): RenewedFiles {
		const { config, clock } = this.parts;
		return new RenewedFiles({
			clock,
			files: filesOf(config.kafka),
			check: () => void kafkaClientSettings(config.kafka),
			renew: async () => {
				const isRenewed = await this.delivery.consumer.renewClient();
				if (isRenewed) await deadLetters.renew?.();
				if (isRenewed) await this.records.renew();
				return isRenewed;
			},
			listener: this.#observer.renewedFiles,
		});
	}

	#buildDelivery(deadLetters: DeadLetterTarget): Delivery {
		const { config, clock, random } = this.parts;
		const delivery = new Delivery({
			config,
			layouts: this.layouts,
			database: this.database,
			deadLetters,
			records: this.records,
			lockHolders: lockHoldersAt(config.database, clock),
			createClient: () => {
				// Computed anew for each client: a password may have been renewed.
				const { settings, topicSettings } = consumerSettings(config);
				return new ConsumerClient(settings, topicSettings, clock, config.kafka.timestampType || "undefined");
			},
			threads: createHandlerThreads({
				...threadOptions(config, this.layouts),
				maxThreads: config.workers.maxThreads,
				// What an incremental rebalance takes away goes to another member.
				keepsRevoked: !isIncremental(config.kafka.protocol),
				clock,
				stuck: this.stuckThreads,
				printed: (printed) => this.#observer.workers.printed(printed),
				endedForOthers: (fact) => this.#observer.workers.threadEndedForOthers(fact),
			}),
			clock,
			random,
			listener: { ...this.#observer.delivery, supervisor: this.#supervisorListener(), worker: this.#workerListener() },
		});
		listenTo<RecordProducerEvents>(this.records)(this.#observer.records);
		listenTo<DeadLetterEvents>(deadLetters)(this.#observer.deadLetters);
		listenTo<DeadLetterEvents>(deadLetters)(this.#ready.deadLetters);
		listenTo<WriterEvents>(delivery.writer)(this.#observer.writer);
		listenTo<WriterEvents>(delivery.writer)(this.#ready.writer);
		listenTo<CommitterEvents>(delivery.committer)(this.#observer.committer);
		this.#listenToConsumer(delivery.consumer);
		return delivery;
	}

	#supervisorListener(): SupervisorListener {
		return {
			...this.#observer.supervisor,
			received: (fact) => {
				this.#observer.supervisor.received(fact);
				this.lagClock.received(fact, fact.nextOffset, fact.firstTimestamp);
				// Read at once, so that it forgets finished messages whether or not anybody scrapes.
				this.lagClock.oldest(fact, this.delivery.ledger.of(fact)?.committable ?? 0);
			},
		};
	}

	#workerListener(): WorkerListener {
		const told = this.#observer.workers;
		const { deadLettered = () => {}, crashed = () => {} } = this.parts.told ?? {};
		return {
			...told,
			deadLettered: (letter) => {
				told.deadLettered(letter);
				deadLettered(letter);
			},
			crashed: (report) => {
				told.crashed(report);
				crashed(report);
			},
			started: (partition) => {
				told.started(partition);
				this.delivery.reserves.loaded();
				this.#handlers.started();
			},
			stopRequested: (partition, reason) => {
				told.stopRequested(partition, reason);
				this.#requestStop({ reason: `${partitionName(partition)}: ${reason.message}`, exitCode: exitCodes.stoppedByPolicy });
			},
		};
	}

	#listenToConsumer(consumer: GroupConsumer): void {
		listenTo<GroupConsumerEvents>(consumer)(this.#observer.consumer);
		listenTo<GroupConsumerEvents>(consumer)(this.#ready.consumer);
		consumer.on("group:joined", () => {
			if (this.#state === "starting") this.#state = "running";
		});
		consumer.on("rebalanced", ({ kind, partitions }) => {
			if (kind !== "assign") for (const partition of partitions) this.lagClock.forget(partition);
		});
		consumer.on("offset:set", (partition) => this.lagClock.forget(partition));
		consumer.on("consume:failed", ({ message }) => {
			this.#lastConsumeError = message;
		});
		consumer.on("topic:unknown", () => {
			this.#topicWasUnknown = true;
		});
		consumer.on("fatal", ({ message }) => this.#requestStop({ reason: message, exitCode: exitCodes.fatalKafka }));
	}

	#buildStallDetector(): StallDetector {
		return new StallDetector({
			clock: this.parts.clock,
			positions: () =>
				[...this.delivery.supervisor.children.values()].map(({ topic, partition, child, paused, held, parked }) => ({
					topic,
					partition,
					position: this.delivery.ledger.of({ topic, partition })?.position ?? 0,
					idle: !paused && !held && !parked && child.queue.queued === 0 && child.queue.underway === 0,
				})),
			watermarks: (partition) => (this.delivery.consumer.client as GroupClient).watermarks(partition),
			isWaiting: (partition) => this.delivery.transactions.isWaiting(partition),
			fetchAgain: (standing) => this.delivery.fetchAgain(standing),
			lastError: () => this.#lastConsumeError,
			stalled: (partition, reason) => {
				this.parts.logger.error({ ...partition, reason }, `${partitionName(partition)} is parked: ${reason}`);
				// After a topic was created again, librdkafka may fetch the old one for ever.
				if (this.#topicWasUnknown) this.delivery.consumer.replaceClient();
				this.#topicWasUnknown = false;
			},
			moving: (partition) => {
				this.parts.logger.info(partition, `${partitionName(partition)} goes on`);
			},
		});
	}

	#countDroppedRecords(): void {
		const { dropped } = this.parts.logger;
		this.metrics.count("log_records_dropped_total", {}, dropped - this.#droppedRecords);
		this.#droppedRecords = dropped;
	}

	#watchHandler(): void {
		const { config, clock, logger } = this.parts;
		if (config.handler.module.startsWith("pockaffe:")) return;
		this.#watcher = new HandlerWatcher(config.handler.module, clock, (file) => {
			logger.debug({ file }, `${file} changed beside the handler: failing partitions begin anew`);
			this.delivery.handlerChanged();
		});
	}

	#requestStop(cause: StopCause): void {
		this.#resolveStopCause(cause);
	}
}
