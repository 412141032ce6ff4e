/** What every observer is made of. */
import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import type { Metrics } from "../metrics/metrics.ts";

/** Sums over all partitions and tables since the start, for the summary line; metrics lose a partition's when it is released. */
export interface RunTotals {
	messages: number;
	inserted: number;
	updated: number;
	deleted: number;
	stale: number;
	restarts: number;
	deadLetters: number;
}

/** Handed in by the daemon; `module` is `handler.module` as configured, `makesRows`: it is there to make rows. */
export interface DaemonObserverParts {
	readonly metrics: Metrics;
	readonly logger: Logger;
	readonly clock: Clock;
	readonly module: string;
	readonly makesRows: boolean;
}

/** What the single observers get. */
export interface ObserverParts extends DaemonObserverParts {
	readonly totals: RunTotals;
}
