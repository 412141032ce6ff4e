/**
 * Which messages of a failed run may be the offender, how large the next run may be, and how often the offender has failed. Pure.
 * A run whose thread died with several or none running is repeated one by one; a message that failed alone is charged an attempt. Where
 * bad messages come often, the runs of a batch handler are shorter from then on (half of the one that failed, doubled with each that
 * went through), so that each of them repeats little.
 *
 * A side way of a message's way (README).
 */
import type { HeldBatch, Run } from "./message-queue.ts";

/** Messages of one run at most: large enough that a crossing costs little per message, small enough that a repeat repeats little. */
export const MAX_RUN = 2000;

/** Messages that are run one by one from `alone` on; those before it are known to be innocent and go together. */
interface Range {
	readonly held: HeldBatch;
	readonly alone: number;
	/** First message that is no suspect. */
	readonly to: number;
}

/** See the file's header. */
export class Suspects {
	#range: Range | null = null;
	#limit = MAX_RUN;
	/** The last run handed over without a suspect in it. */
	#unsuspected: Run | null = null;
	#attempts = 0;
	#offset = -1;

	/** Failed attempts of the message in question; 0 while there is none. */
	get attempts(): number {
		return this.#attempts;
	}

	/** `run`, cut to what may be handed over next. */
	cut(run: Run): Run {
		const range = this.#range;
		if (!range || range.held !== run.held || run.from >= range.to) {
			this.#range = null;
			this.#unsuspected = { ...run, to: Math.min(run.to, run.from + this.#limit) };
			return this.#unsuspected;
		}
		this.#unsuspected = null;
		return { ...run, to: Math.min(run.to, Math.max(range.alone, run.from + 1)) };
	}

	/** A batch handler's run of `size` failed somewhere. */
	shorten(size: number): void {
		if (this.#unsuspected) this.#limit = Math.ceil(size / 2);
		this.#unsuspected = null;
	}

	/** The thread died and nobody can be blamed: the run is repeated one by one. */
	repeatOneByOne(run: Run): void {
		this.#range = { held: run.held, alone: run.from, to: run.to };
	}

	/** The message at `run.from` failed alone; returns its failed attempts, this one included. */
	charge(run: Run): number {
		const offset = run.held.batch.offsets[run.from] as number;
		if (this.#offset !== offset) this.#attempts = 0;
		this.#offset = offset;
		this.#attempts++;
		const range = this.#range;
		const inRange = range !== null && range.held === run.held && run.from < range.to;
		if (!inRange) this.#range = { held: run.held, alone: run.from, to: run.from + 1 };
		return this.#attempts;
	}

	/** Messages up to `offset` were handled or given up: the attempts of the one in question are over if it was among them. */
	progressed(offset: number): void {
		const went = this.#unsuspected;
		if (went && offset >= (went.held.batch.offsets[went.to - 1] as number)) {
			this.#limit = Math.min(MAX_RUN, this.#limit * 2);
			this.#unsuspected = null;
		}
		if (offset < this.#offset) return;
		this.#attempts = 0;
		this.#offset = -1;
	}
}
