/**
 * Logs the parts' problems: when one begins, when its message changes, and when it is over. `/readyz` shows a problem only while it lasts.
 * For problems of workers and standstills, listeners write the log.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import type { Problem } from "../../core/problem.ts";

const LOOK_EVERY_MS = 1_000;
/** Minimum time between two log records of a problem whose message keeps changing, for example because of an offset in it. */
const SAME_PROBLEM_EVERY_MS = 60_000;

interface Told {
	readonly problem: Problem;
	/** Monotonic. */
	readonly at: number;
}

/** Logs when a problem begins, changes its message, or ends. Idempotent to dispose. */
export class ProblemLog {
	readonly #clock: Clock;
	readonly #logger: Logger;
	readonly #problems: () => readonly Problem[];
	/** By code and place, and by number if several have the same. */
	#told = new Map<string, Told>();
	#timer: Timer | null = null;
	#disposed = false;

	constructor(parts: { readonly clock: Clock; readonly logger: Logger; readonly problems: () => readonly Problem[] }) {
		this.#clock = parts.clock;
		this.#logger = parts.logger;
		this.#problems = parts.problems;
	}

	start(): void {
		if (this.#disposed) return;
		this.#timer = this.#clock.after(LOOK_EVERY_MS, () => {
			this.look();
			this.start();
		});
	}

	/** Compares once; called by the interval. */
	look(): void {
		const former = this.#told;
		const now = this.#clock.monotonic();
		this.#told = new Map();
		for (const problem of this.#problems()) {
			const key = this.#keyOf(problem);
			const known = former.get(key);
			const isKnown = known && (known.problem.message === problem.message || now - known.at < SAME_PROBLEM_EVERY_MS);
			this.#told.set(key, isKnown ? known : { problem, at: now });
			if (!isKnown) this.#logger.error(fieldsOf(problem), `${placeOf(problem)}${problem.message}`);
		}
		for (const [key, { problem }] of former) {
			if (!this.#told.has(key)) this.#logger.info(fieldsOf(problem), `${placeOf(problem)}${problem.code} is over`);
		}
	}

	#keyOf({ code, where }: Problem): string {
		const key = `${code} ${where?.partition ?? ""} ${where?.topic ?? ""}`;
		let number = 0;
		while (this.#told.has(`${key} ${number}`)) number++;
		return `${key} ${number}`;
	}

	dispose(): void {
		this.#disposed = true;
		this.#timer?.cancel();
	}
}

function fieldsOf({ code, where }: Problem): object {
	return { reason: code, ...(where ? { topic: where.topic } : {}), ...(where?.partition == null ? {} : { partition: where.partition }) };
}

/** The partition's name, for a problem of a partition. */
function placeOf({ where }: Problem): string {
	return where?.partition == null ? "" : `${where.topic}/${where.partition}: `;
}
