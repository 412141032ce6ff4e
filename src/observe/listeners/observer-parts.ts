/** What every observer needs. */
import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import type { Metrics } from "../metrics/metrics.ts";

/** Sums over all partitions and tables since the start, for the summary line. Metrics lose a partition's sums when it is released. */
export interface RunTotals {
	messages: number;
	inserted: number;
	updated: number;
	deleted: number;
	stale: number;
	restarts: number;
	deadLetters: number;
}

/** What the daemon gives. `module` is `handler.module` as configured; `makesRows`: the handler is expected to make rows. */
export interface DaemonObserverParts {
	readonly metrics: Metrics;
	readonly logger: Logger;
	readonly clock: Clock;
	readonly module: string;
	readonly makesRows: boolean;
	/** A rebalance takes all partitions and gives most back at once (`kafka.protocol: eager`). Default: false. */
	readonly isEager?: boolean;
}

/** What each observer gets. */
export interface ObserverParts extends DaemonObserverParts {
	readonly totals: RunTotals;
}
