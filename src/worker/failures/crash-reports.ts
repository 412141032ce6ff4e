/**
 * The failures of one partition as they are reported: each once, to the worker's listener. The last few are kept for `/status`.
 *
 * Beside a message's way (docs/architecture.md).
 */
import { keyAt } from "../../core/messages/message-codec.ts";
import { withoutValues } from "../../core/text/without-values.ts";
import { firstOffset } from "../message-queue.ts";
import type { WorkerParts } from "../worker-parts.ts";
import { type CrashReport, keyText } from "./crash-report.ts";
import type { FailurePolicy, Verdict } from "./failure-policy.ts";
import { Standstill } from "./standstill.ts";

/** Reports kept per partition. */
const KEPT = 5;

/** Reports each failure of a partition once, and that it goes on after failures. Keeps the last few failures. */
export class CrashReports {
	readonly #parts: WorkerParts;
	readonly #latest: CrashReport[] = [];
	readonly #standstill = new Standstill();
	#repeatedSinceMs: number | null = null;
	/** Kept also if the thread fails to start more than KEPT times since. */
	#lastAttempt: CrashReport | null = null;

	constructor(parts: WorkerParts) {
		this.#parts = parts;
	}

	/** Newest first. */
	get latest(): readonly CrashReport[] {
		return this.#latest;
	}

	/** The last failed attempt of the message at `offset`; null if there was none, or others failed after it. */
	attemptOf(offset: number): CrashReport | null {
		const isAttempt = ({ coordinates, attempt }: CrashReport) => coordinates?.offset === offset && attempt > 0;
		return [...this.#latest, ...(this.#lastAttempt ? [this.#lastAttempt] : [])].find(isAttempt) ?? null;
	}

	/** Wall-clock time of the second failure in a row; now if there was none. */
	get repeatedSinceMs(): number {
		return this.#repeatedSinceMs ?? this.#parts.clock.now();
	}

	/** Reports a failure; the counts include it. */
	tell(
		{ kind, error, run, attempt, next }: Verdict,
		threadId: number | null,
		{ restarts, failuresInARow }: Pick<FailurePolicy, "restarts" | "failuresInARow">,
	): void {
		const { partition, settings, clock, listener } = this.#parts;
		const report: CrashReport = {
			...partition,
			time: clock.now(),
			threadId,
			kind,
			coordinates: run && { offset: firstOffset(run), key: keyText(keyAt(run.held.batch, run.from)) },
			attempt,
			maxAttempts: settings.maxAttempts,
			restarts,
			error: { name: error.name, message: withoutValues(error.message), stack: withoutValues(error.stack) },
			next,
		};
		if (failuresInARow < 2) this.#repeatedSinceMs = null;
		else this.#repeatedSinceMs ??= report.time;
		this.#latest.unshift(report);
		this.#latest.splice(KEPT);
		if (attempt > 0) this.#lastAttempt = report;
		this.#standstill.failed(kind, run, clock.monotonic());
		listener.crashed(report);
	}

	/** Messages up to `offset` were handled. */
	handled(offset: number): void {
		const { partition, clock, listener } = this.#parts;
		const recovery = this.#standstill.handled(offset, clock.monotonic());
		if (recovery) listener.recovered?.(partition, recovery);
	}

	/** The message at `offset` was given up. */
	gaveUp(offset: number): void {
		this.#standstill.gaveUp(offset);
	}
}
