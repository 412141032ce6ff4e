/**
 * The problems of a partition, derived from its worker's current state. Nobody has to clear a problem: it is gone when its cause is,
 * however that ends (handled, dead-lettered, skipped, resumed, revoked). Pure.
 *
 * Beside a message's way (docs/architecture.md).
 */
import type { CrashReport } from "./failures/crash-report.ts";
import type { WorkerState, WorkerTrouble } from "./worker-parts.ts";

/** Failures in a row from which a crash loop is reported; a single one is a hiccup. */
const CRASH_LOOP = 2;

/** The part of a worker's state that is read. `failingSinceMs`: when its failures in a row became a loop. */
export interface TroubledWorker {
	readonly state: WorkerState;
	readonly queue: { readonly queued: number; readonly underway: number };
	readonly failuresInARow: number;
	readonly failingSinceMs: number;
	/** The last failure; undefined if there was none. */
	readonly lastReport: Pick<CrashReport, "error"> | undefined;
}

/** The problems of a worker in its present state. */
export function troublesOf({ state, queue, failuresInARow, failingSinceMs, lastReport }: TroubledWorker): WorkerTrouble[] {
	const troubles: WorkerTrouble[] = [];
	if (state.name === "draining" || state.name === "stopped") return troubles;
	// A thread that died after its last message has nothing left to fail at.
	const isAtRest = (state.name === "waiting" || state.name === "running") && queue.queued + queue.underway === 0;
	if (failuresInARow >= CRASH_LOOP && lastReport && !isAtRest) {
		const message = `${failuresInARow} failures in a row: ${lastReport.error.message}`;
		troubles.push({ code: "crash_loop", message, sinceMs: failingSinceMs });
	}
	if (state.name === "parked") troubles.push({ code: "parked", message: state.reason, sinceMs: state.sinceMs });
	return troubles;
}
