/**
 * Keeps a storm of similar facts (failures, dead letters, recoveries) from flooding the log: the first ones of a name pass. Later ones are
 * held back and reported in one summary per period, until a period passes without any.
 */
import type { Clock } from "../../core/clock.ts";

/** How many pass at first: as many as a person reads. */
export const BURST = 10;
/** How long a storm is watched before its summary, in ms. */
export const PERIOD_MS = 10_000;
/** Maximum names watched at a time; further ones share one entry, because then names probably differ each time. */
const MOST_NAMES = 200;

interface Storm<Fact> {
	passed: number;
	held: number;
	last: Fact;
}

/** Admits facts by name; `summarise` gets the last fact held back, and how many were. */
export class LogStorm<Fact> {
	readonly #clock: Pick<Clock, "after">;
	readonly #summarise: (last: Fact, held: number) => void;
	readonly #storms = new Map<string, Storm<Fact>>();

	constructor(clock: Pick<Clock, "after">, summarise: (last: Fact, held: number) => void) {
		this.#clock = clock;
		this.#summarise = summarise;
	}

	/** True if the fact should be logged by itself. */
	admit(name: string, fact: Fact): boolean {
		const watched = this.#storms.has(name) || this.#storms.size < MOST_NAMES ? name : "";
		const storm = this.#storms.get(watched);
		if (!storm) {
			this.#storms.set(watched, { passed: 1, held: 0, last: fact });
			this.#watch(watched);
			return true;
		}
		storm.last = fact;
		if (storm.passed < BURST) {
			storm.passed++;
			return true;
		}
		storm.held++;
		return false;
	}

	#watch(name: string): void {
		this.#clock.after(PERIOD_MS, () => {
			const storm = this.#storms.get(name) as Storm<Fact>;
			if (storm.held === 0) {
				this.#storms.delete(name);
				return;
			}
			const { held, last } = storm;
			storm.held = 0;
			this.#watch(name);
			this.#summarise(last, held);
		});
	}
}
