/** What the partition workers of `verify`, `reprocess` and a replay share: nothing parks them, because nobody would resume them. */
import type { Config } from "../config/config.ts";
import type { TableLayout } from "../core/rows/rows.ts";
import { workerSettings } from "../daemon/daemon-parts.ts";
import { RestartIntensity } from "../supervisor/restart-intensity.ts";
import type { WorkerListener, WorkerSettings } from "../worker/worker-parts.ts";

/** The daemon's settings, without waits and without a breaker. */
export function auditSettings(config: Config, layouts: readonly TableLayout[]): WorkerSettings {
	const breaker = { share: 1, minMessages: 1, withinMs: 1, consecutive: 0 };
	return { ...workerSettings(config, layouts), retryBackoffMs: 0, minBackoffMs: 0, onPoison: "dead-letter", breaker };
}

/** No limit in practice: each message has its attempts, even if the thread dies with every one. */
export function unlimitedRestarts(): RestartIntensity {
	return new RestartIntensity({ maxRestarts: 1_000_000_000, withinMs: 1 });
}

/** A listener that calls `happened` for every event. */
export function listenerOf(happened: () => void): WorkerListener {
	return {
		started: happened,
		handled: happened,
		crashed: happened,
		restarted: happened,
		terminateFailed: happened,
		heldTooMuch: happened,
		carefulBegan: happened,
		carefulEnded: happened,
		parked: happened,
		resumed: happened,
		deadLettered: happened,
		skipped: happened,
		stopRequested: happened,
	};
}
