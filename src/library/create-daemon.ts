/**
 * A daemon that its owner starts and stops. The owner is another program, or `pockaffe run`, which adds signals and exit codes. One process
 * may have several daemons; each needs its own HTTP port.
 */
import { isMainThread } from "node:worker_threads";
import { EventEmitter } from "eventemitter3";
import { loadConfig } from "../config/load.ts";
import { requireForRun } from "../config/required-keys.ts";
import { systemClock } from "../core/clock.ts";
import { PocKaffeError } from "../core/errors.ts";
import { packageVersion } from "../core/package.ts";
import { systemRandom } from "../core/random.ts";
import { Daemon, type DaemonParts, type StopCause } from "../daemon/daemon.ts";
import type { SummaryFigures } from "../embedded/summary-line.ts";
import { createLogger } from "../observe/logs/log.ts";
import type { ReadinessReport } from "../observe/readiness.ts";
import { buildStatus, type Status } from "../observe/status.ts";
import { tell } from "./tell.ts";

/** The same sections and keys as in pockaffe.yaml. Paths are relative to the working directory. */
export type DaemonConfig = Readonly<Record<string, unknown>>;

/** Options that are not part of the configuration. */
export interface LibraryOptions {
	/** Where the log goes. Default: stdout. `log.level: silent` turns it off. */
	readonly output?: NodeJS.WritableStream;
}

/** Events of a daemon. */
export interface DaemonEvents {
	/** The member has subscribed to its topics. */
	started: () => void;
	/** A message became a dead letter. */
	deadLetter: (letter: { topic: string; partition: number; offset: number; reason: string; error: string }) => void;
	/** A handler failed. `next`: what the daemon does about it. */
	crashed: (report: { topic: string; partition: number; kind: string; error: { message: string }; next: unknown }) => void;
	/** A policy, a fatal error of Kafka or `POST /drain` asks for a stop: the owner should call `stop`. */
	stopRequested: (cause: StopCause) => void;
	/** The daemon has stopped. `drained`: everything in hand was finished and committed. */
	stopped: (end: { drained: boolean }) => void;
}

/**
 * Makes a daemon; `start` opens everything. Throws with all mistakes of the configuration in one error (code `config_invalid`), or with
 * `not_the_main_thread`.
 */
export function createDaemon(written: DaemonConfig, { output = process.stdout }: LibraryOptions = {}): LibraryDaemon {
	if (!isMainThread) throw new PocKaffeError("not_the_main_thread", "createDaemon works in the main thread only");
	const { config, source } = loadConfig({ written, environment: {}, cwd: process.cwd() });
	requireForRun(config, source);
	const logger = createLogger(config.log, output as never);
	return new LibraryDaemon({ config, logger, clock: systemClock, random: systemRandom, version: packageVersion });
}

/** How a stop ended. */
export interface Stopped {
	/** Everything in hand was finished and committed. */
	readonly drained: boolean;
	/** The Kafka client did not close in time: a normal end of the process would wait for it. */
	readonly hangs: boolean;
}

/** A daemon. Make it with `createDaemon`; only `pockaffe run` constructs it itself. One life: `start`, then `stop`. */
export class LibraryDaemon extends EventEmitter<DaemonEvents> implements AsyncDisposable {
	readonly #daemon: Daemon;
	#stopping: Promise<Stopped> | null = null;
	#isStarted = false;

	constructor(parts: Omit<DaemonParts, "told">) {
		super();
		this.#daemon = new Daemon({
			...parts,
			told: {
				deadLettered: ({ topic, partition, offset, reason, error }) => this.emit("deadLetter", { topic, partition, offset, reason, error }),
				crashed: ({ topic, partition, kind, error, next }) => this.emit("crashed", { topic, partition, kind, error, next }),
			},
		});
		void this.#daemon.stopRequested.then((cause) => this.emit("stopRequested", cause));
	}

	/** What a listener throws does not harm the daemon: it becomes an uncaught exception of the process. */
	override emit<E extends keyof DaemonEvents>(event: E, ...args: EventEmitter.EventArgs<DaemonEvents, E>): boolean {
		tell(() => super.emit(event, ...args));
		return this.listenerCount(event) > 0;
	}

	/**
	 * Listens on HTTP, prepares the tables, joins the group. Waits for a database that is down. Resolves when the member has subscribed, or
	 * when `stop` was called meanwhile. The second call rejects with `already_started`, a call after `stop` with `already_stopped`.
	 */
	async start(): Promise<void> {
		if (this.#stopping !== null) throw new PocKaffeError("already_stopped", "a stopped daemon can't be started: create another one");
		if (this.#isStarted) throw new PocKaffeError("already_started", "the daemon was started already");
		this.#isStarted = true;
		await this.#daemon.start();
		if (this.#stopping === null) this.emit("started");
	}

	/**
	 * Takes no more messages, drains, commits, leaves the group (a static member only with `leave`), ends the threads. Later calls wait for
	 * the first and have its result.
	 */
	stop(reason = "its owner stops it", { leave = false }: { readonly leave?: boolean } = {}): Promise<Stopped> {
		this.#stopping ??= this.#stop(reason, leave);
		return this.#stopping;
	}

	/** What `/status` shows. */
	status(): Status {
		return buildStatus(this.#daemon.snapshot());
	}

	/** What `/readyz` shows: ready, or why not. */
	readiness(): ReadinessReport {
		return this.#daemon.readiness.report();
	}

	/** Counts since the start, the lag, and why it is not ready. */
	summary(): SummaryFigures {
		return this.#daemon.summary();
	}

	/** The HTTP address, e.g. `http://127.0.0.1:9464`; null before it listens. */
	get url(): string | null {
		return this.#daemon.url;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.stop();
	}

	async #stop(reason: string, leave: boolean): Promise<Stopped> {
		if (!this.#isStarted) return { drained: true, hangs: false };
		const stopped = await this.#daemon.stop(reason, { leave });
		this.emit("stopped", { drained: stopped.drained });
		return stopped;
	}
}
