/**
 * Everything that listens to the daemon's parts and turns events into metrics and log records. Wired by the daemon. The parts know neither
 * metrics nor logs, and nothing here decides anything.
 */
import type { EventEmitter } from "eventemitter3";
import type { LabelsOf } from "../metrics/metric-catalogue.ts";
import { setSnapshotGauges } from "../metrics/snapshot-gauges.ts";
import type { StatusSnapshot } from "../status.ts";
import { observeCommitter, observeConsumer, observeDelivery, observeRenewedFiles } from "./consumer-observer.ts";
import { observeDeadLetters } from "./dead-letter-observer.ts";
import type { DaemonObserverParts, ObserverParts, RunTotals } from "./observer-parts.ts";
import { observeRecords } from "./record-observer.ts";
import { observeSupervisor, observeWorkers } from "./worker-observer.ts";
import { observeWriter } from "./writer-observer.ts";

/** What is known when the daemon starts. */
export interface BuildFacts {
	readonly version: string;
	/** Version of librdkafka. */
	readonly librdkafka: string;
	/** What PocKaffe's own addon provides. */
	readonly addon: "topic_ids" | "none";
	/** How messages come. */
	readonly consuming: "packed" | "node_rdkafka";
	/** Names of the configured tables, whose counters start at 0. */
	readonly tables: readonly string[];
}

/**
 * Listeners by part. `consumer`, `committer`, `deadLetters`, `records` and `writer` by event name (see `listenTo`); `workers`,
 * `supervisor`, `renewedFiles` and `delivery` as the listener objects that those parts take.
 */
export class DaemonObserver {
	readonly consumer: ReturnType<typeof observeConsumer>;
	readonly committer: ReturnType<typeof observeCommitter>;
	readonly deadLetters: ReturnType<typeof observeDeadLetters>;
	readonly delivery: ReturnType<typeof observeDelivery>;
	readonly records: ReturnType<typeof observeRecords>;
	readonly renewedFiles: ReturnType<typeof observeRenewedFiles>;
	readonly supervisor: ReturnType<typeof observeSupervisor>;
	readonly workers: ReturnType<typeof observeWorkers>;
	readonly writer: ReturnType<typeof observeWriter>;
	/** Sums since the start, always up to date. */
	readonly totals: Readonly<RunTotals>;
	readonly #parts: ObserverParts;

	constructor(daemonParts: DaemonObserverParts) {
		const totals = { messages: 0, inserted: 0, updated: 0, deleted: 0, stale: 0, restarts: 0, deadLetters: 0 };
		const parts = { ...daemonParts, totals };
		this.#parts = parts;
		this.totals = totals;
		this.consumer = observeConsumer(parts);
		this.committer = observeCommitter(parts);
		this.deadLetters = observeDeadLetters(parts);
		this.delivery = observeDelivery(parts);
		this.records = observeRecords(parts);
		this.renewedFiles = observeRenewedFiles(parts);
		this.supervisor = observeSupervisor(parts);
		this.workers = observeWorkers(parts);
		this.writer = observeWriter(parts);
	}

	/** The daemon begins: sets `build_info` and the tables' counters, and reads the gauges from `snapshot` at every scrape. */
	started({ version, librdkafka, addon, consuming, tables }: BuildFacts, snapshot: () => StatusSnapshot): void {
		const { metrics } = this.#parts;
		metrics.set("build_info", [[{ version, node: process.versions.node, librdkafka, addon, consuming }, 1]]);
		for (const table of tables) {
			metrics.start("cas_rows_total", { table });
			metrics.start("stale_rows_total", { table });
		}
		metrics.onScrape(() => setSnapshotGauges(metrics, snapshot()));
	}

	/** An action was requested over HTTP. */
	adminAction(action: LabelsOf<"admin_actions_total">["action"], target: string): void {
		this.#parts.metrics.count("admin_actions_total", { action });
		this.#parts.logger.info({ action, target }, `${action} asked for over HTTP: ${target}`);
	}
}

/** Listeners by event name. An event that the emitter doesn't have, or has with another type, does not compile. */
type ListenersOf<Events, Listeners> = { readonly [Event in keyof Listeners]: Event extends keyof Events ? Events[Event] : never };

/**
 * Adds listeners, by event name, to an emitter of `Events`: `listenTo<WriterEvents>(writer)(listeners)`. Two calls, because TypeScript
 * infers either all type arguments of a call or none: here `Events` is named, and the listeners' type is inferred.
 */
export function listenTo<Events extends object>(emitter: EventEmitter<Events>) {
	return <Listeners extends ListenersOf<Events, Listeners>>(listeners: Listeners): void => {
		for (const [event, listener] of Object.entries(listeners)) emitter.on(event as never, listener as never);
	};
}
