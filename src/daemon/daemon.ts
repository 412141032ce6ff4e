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
 * States: starting -> running -> draining -> stopped.
 */
import type { Config } from "../config/config.ts";
import { tableLayouts } from "../config/table-layouts.ts";
import type { Clock } from "../core/clock.ts";
import type { DeadLetterTarget } from "../core/dead-letters/dead-letter.ts";
import { type ExitCode, exitCodes, messageOf } from "../core/errors.ts";
import { partitionName } from "../core/messages/message.ts";
import type { Random } from "../core/random.ts";
import type { TableLayout } from "../core/rows/rows.ts";
import { knownSecrets } from "../core/text/secret-mask.ts";
import { eitherSignal } from "../core/waiting/either-signal.ts";
import { lifetime } from "../core/waiting/lifetime.ts";
import type { SummaryFigures } from "../embedded/summary-line.ts";
import { filesOf, kafkaClientSettings } from "../kafka/client/client-settings.ts";
import { ConsumerClient, librdkafkaVersion } from "../kafka/client/consumer-client.ts";
import { consumerSettings, isIncremental } from "../kafka/client/consumer-settings.ts";
import { RenewedFiles } from "../kafka/connecting/renewed-files.ts";
import { nativeMissing, withoutAddon } from "../kafka/native.ts";
import type { LagClock } from "../kafka/offsets/lag-clock.ts";
import type { RecordProducer } from "../kafka/producing/record-producer.ts";
import type { StallDetector } from "../kafka/watches/stall-detector.ts";
import type { HttpControl } from "../observe/http/http-control.ts";
import { createHttpServer, type HttpServer } from "../observe/http/http-server.ts";
import type { DaemonLogger } from "../observe/logs/log.ts";
import { LogLimiter } from "../observe/logs/log-limiter.ts";
import { ProblemLog } from "../observe/logs/problem-log.ts";
import { Metrics } from "../observe/metrics/metrics.ts";
import { Readiness } from "../observe/readiness.ts";
import { buildStatus, type DaemonState, type StatusSnapshot } from "../observe/status.ts";
import { connectDatabase, type Database } from "../sink/database/database.ts";
import { prepareTables } from "../sink/tables/table-preparation.ts";
import { lockHoldersAt } from "../sink/writer/refused/lock-holders.ts";
import { HandlerWatcher } from "../worker/handler-watcher.ts";
import { handlerVersion } from "../worker/thread/handler-version.ts";
import { StuckThreads } from "../worker/thread/stuck-threads.ts";
import { createHandlerThreads } from "../worker/thread/worker-thread.ts";
import type { WorkerListener } from "../worker/worker-parts.ts";
import { DaemonListeners } from "./daemon-listeners.ts";
import { buildDeadLetters, buildRecords, mostStuckThreads, ownTables, threadOptions } from "./daemon-parts.ts";
import { daemonProblems } from "./daemon-problems.ts";
import { buildSnapshot, buildSummary } from "./daemon-snapshot.ts";
import { Delivery } from "./delivery.ts";
import { httpControl } from "./http-requests.ts";
import { buildStallDetector } from "./stall-detection.ts";

/** Minimum time between two log records at level info about changed files. */
const CHANGED_FILE_EVERY_MS = 60_000;
/** A handler that takes longer to load no longer delays the join: then its partitions say what they wait for. */
const LONGEST_LOAD_MS = 10_000;

/** What a daemon needs: a validated configuration with brokers and a database, and the outside world. */
export interface DaemonParts {
	readonly config: Config;
	readonly logger: DaemonLogger;
	readonly clock: Clock;
	readonly random: Random;
	readonly version: string;
	/** Called in addition to metrics and log, for an owner in the same process. */
	readonly told?: Partial<Pick<WorkerListener, "deadLettered" | "crashed">>;
	/** Called with the HTTP address, before anything else is waited for. */
	readonly listening?: (url: string) => Promise<void>;
	/** True if broker and database are the daemon's own; log, metrics and HTTP say so. */
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
	readonly startedAt: number;
	readonly delivery: Delivery;
	readonly database: Database;
	readonly records: RecordProducer;
	readonly stallDetector: StallDetector;
	readonly stuckThreads: StuckThreads;
	readonly #listeners: DaemonListeners;
	#handlerVersion: string | null = null;
	readonly #problemLog: ProblemLog;
	readonly #renewedFiles: RenewedFiles;
	readonly #stopping = lifetime();
	#state: DaemonState = "starting";
	#http: HttpServer | null = null;
	/** The server that is being opened: a stop during the start closes it too. */
	#opening: Promise<HttpServer> | null = null;
	#watcher: HandlerWatcher | null = null;
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
		this.#listeners = new DaemonListeners({
			...parts,
			metrics: this.metrics,
			readiness: this.readiness,
			module,
			makesRows,
			isEager: !isIncremental(config.kafka.protocol),
			told: parts.told ?? {},
			delivery: () => this.delivery,
			stopRequested: (cause) => this.#requestStop(cause),
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
		this.stallDetector = buildStallDetector(this.delivery, clock, {
			stalled: (partition, reason) => parts.logger.error({ ...partition, reason }, `${partitionName(partition)} is parked: ${reason}`),
			moving: (partition) => parts.logger.info(partition, `${partitionName(partition)} goes on`),
		});
		this.#problemLog = new ProblemLog({
			clock,
			logger: parts.logger,
			problems: () => [...this.delivery.problems, ...this.stuckThreads.problems],
		});
	}

	get lagClock(): LagClock {
		return this.#listeners.lagClock;
	}

	get state(): DaemonState {
		return this.#state;
	}

	/** The HTTP address; null before it listens. */
	get url(): string | null {
		return this.#http?.url ?? null;
	}

	/** The handler's version that all partitions run, else the one on disk at the start. `mixed`: partitions run different versions. */
	get handler(): { readonly version: string | null; readonly mixed: boolean } {
		const { only, mixed } = this.#listeners.handlers;
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
	 * Listens on HTTP, prepares the tables, joins the group. Resolves when the member has subscribed, or when `stop` is called meanwhile:
	 * then it opens nothing more. Rejects (ExitError) if the port is in use.
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
		this.#listeners.observer.started(facts, () => this.snapshot());
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
		// Beside what follows: a module that can't be loaded is reported also while Kafka and the database are away.
		const reserves = this.delivery.reserves.begin();
		await prepareTables({
			database: this.database,
			layouts: this.layouts,
			prepareOwn: () => this.delivery.prepare(),
			names: [...this.layouts, ...ownTables(config)].map(({ name }) => name),
			unsafe: (message) => logger.warn({}, message),
			clock,
			signal,
			failed: (message, retryInMs) => {
				this.#listeners.readiness.tables.failed(message);
				logger.warn({}, `tables can't be prepared yet: ${message}; tried again every ${retryInMs} ms`);
			},
			prepared: () => {
				this.#listeners.readiness.tables.prepared();
				logger.info({}, "tables are prepared");
			},
		});
		if (signal.aborted) return;
		await this.#renewedFiles.start();
		await this.#threadsStand(reserves);
		if (signal.aborted) return;
		await this.delivery.start();
		this.stallDetector.start();
	}

	/** Waits until the first threads stand: a member that joins takes partitions from others that are at work. A static one takes none. */
	async #threadsStand(reserves: Promise<void>): Promise<void> {
		const { config, clock } = this.parts;
		if (config.kafka.instanceId) return;
		const waited = lifetime();
		using either = eitherSignal(this.#stopping.signal, waited.signal);
		await Promise.race([reserves, clock.sleep(LONGEST_LOAD_MS, either.signal)]).catch(() => {});
		waited.abort(new Error("the wait is over"));
	}

	/** Figures for the summary line on a terminal. */
	summary(): SummaryFigures {
		return buildSummary(this.snapshot(), this.readiness.report(), this.#listeners.observer.totals);
	}

	/**
	 * Every stop takes the same steps: not ready, take no more, drain, flush, commit, leave the group, end threads, close the database, close
	 * HTTP last. `drained` is false if not all was finished and committed by the drain's deadline; `left` and `hangs` as in
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
		return httpControl(this.delivery.requests, drain, (action, target) => this.#listeners.observer.adminAction(action, target));
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
			listener: this.#listeners.observer.renewedFiles,
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
				// Computed for each client: a password may have been renewed.
				const { settings, topicSettings } = consumerSettings(config);
				return new ConsumerClient(settings, topicSettings, clock, config.kafka.timestampType || "undefined");
			},
			threads: createHandlerThreads({
				...threadOptions(config, this.layouts),
				maxThreads: config.workers.maxThreads,
				// In an incremental rebalance, what is revoked goes to another member.
				keepsRevoked: !isIncremental(config.kafka.protocol),
				clock,
				stuck: this.stuckThreads,
				printed: (printed) => this.#listeners.observer.workers.printed(printed),
				endedForOthers: (fact) => this.#listeners.observer.workers.threadEndedForOthers(fact),
			}),
			clock,
			random,
			listener: this.#listeners.delivery,
		});
		this.#listeners.listenTo(delivery, deadLetters, this.records);
		delivery.consumer.on("group:joined", () => {
			if (this.#state === "starting") this.#state = "running";
		});
		return delivery;
	}

	#countDroppedRecords(): void {
		const { dropped } = this.parts.logger;
		this.metrics.count("log_records_dropped_total", {}, dropped - this.#droppedRecords);
		this.#droppedRecords = dropped;
	}

	#watchHandler(): void {
		const { config, clock, logger } = this.parts;
		if (config.handler.module.startsWith("pockaffe:")) return;
		// A handler may write a file beside itself again and again.
		const changes = new LogLimiter(() => clock.monotonic(), CHANGED_FILE_EVERY_MS);
		this.#watcher = new HandlerWatcher(config.handler.module, clock, (file) => {
			const level = changes.admit("any file") === null ? "debug" : "info";
			const others = "the others go on with the code that they have, until their threads start again (pockaffe restart)";
			logger[level]({ file }, `${file} changed in the handler's folder: partitions that fail start again with it; ${others}`);
			this.delivery.handlerChanged();
		});
	}

	#requestStop(cause: StopCause): void {
		this.#resolveStopCause(cause);
	}
}
