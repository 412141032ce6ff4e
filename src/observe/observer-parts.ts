/** What every observer is made of. */
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { Metrics } from "./metrics.ts";

/** Handed in by the daemon; `module` is `handler.module` as configured. */
export interface ObserverParts {
	readonly metrics: Metrics;
	readonly logger: Logger;
	readonly clock: Clock;
	readonly module: string;
}
