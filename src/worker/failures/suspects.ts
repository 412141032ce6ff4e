/**
 * Which messages of a failed run may be the cause, how large the next run may be, and how often messages have failed. Pure.
 *
 * - A thread died while several messages ran, or none: the run is repeated one by one.
 * - A call failed with several messages, and its state held others: it is repeated by halves.
 * - A message failed alone: it is charged an attempt.
 *
 * Suspects are kept as offsets, because messages before them may have to be handled again in between, from any batch. If bad messages are
 * frequent, the runs of a batch handler stay shorter (half of the failed one, doubled with each success), so that each failure repeats
 * little.
 *
 * Beside a message's way (docs/architecture.md).
 */
import { firstOffset, type Run } from "../message-queue.ts";

/** Maximum messages of a run: enough that crossing to the thread costs little per message, few enough that a failure repeats little. */
export const MAX_RUN = 2000;

/**
 * A range of suspects, by offset. Messages before `first` are known to be innocent and run together; messages after `last` are not
 * suspects.
 */
interface Range {
	readonly first: number;
	readonly last: number;
	/** How many suspects run at a time: one, or half of those left. */
	readonly step: "one" | "half";
}

/** The suspects of one partition, and the attempts of its messages. */
export class Suspects {
	#range: Range | null = null;
	#limit = MAX_RUN;
	/** The last run that was handed over without a suspect. */
	#unsuspected: Run | null = null;
	/**
	 * Failed attempts by offset; the message charged last is the last entry. It may have several entries: one message may fail while an
	 * earlier one is handled again.
	 */
	readonly #attempts = new Map<number, number>();

	/** Failed attempts of the message in question; 0 while there is none. */
	get attempts(): number {
		return [...this.#attempts.values()].at(-1) ?? 0;
	}

	/** `run`, cut to what may be handed over next. */
	cut(run: Run): Run {
		const first = firstOffset(run);
		const range = this.#range;
		if (!range || first > range.last) {
			this.#range = null;
			this.#unsuspected = { ...run, to: Math.min(run.to, run.from + this.#limit) };
			return this.#unsuspected;
		}
		this.#unsuspected = null;
		if (first < range.first) return { ...run, to: indexBehind(run, (offset) => offset < range.first) };
		if (range.step === "one") return { ...run, to: run.from + 1 };
		const left = indexBehind(run, (offset) => offset <= range.last) - run.from;
		return { ...run, to: run.from + Math.ceil(left / 2) };
	}

	/** A batch handler's run of `size` failed somewhere. */
	shorten(size: number): void {
		if (this.#unsuspected) this.#limit = Math.ceil(size / 2);
		this.#unsuspected = null;
	}

	/** The thread died and no single message can be blamed: the run is repeated one by one. */
	repeatOneByOne(run: Run): void {
		this.#range = { ...endsOf(run), step: "one" };
	}

	/** The run failed as one call: it is repeated by halves. */
	repeatByHalves(run: Run): void {
		this.#range = { ...endsOf(run), step: "half" };
	}

	/** The message at `run.from` failed alone; returns its failed attempts, this one included. */
	charge(run: Run): number {
		const offset = firstOffset(run);
		const attempts = (this.#attempts.get(offset) ?? 0) + 1;
		this.#attempts.delete(offset);
		this.#attempts.set(offset, attempts);
		const range = this.#range;
		if (!range || range.step === "half" || offset > range.last) this.#range = { first: offset, last: offset, step: "one" };
		return attempts;
	}

	/** Attempts of the message at `offset` that failed in earlier processes. */
	chargedBefore(offset: number, attempts: number): void {
		if ((this.#attempts.get(offset) ?? 0) < attempts) this.#attempts.set(offset, attempts);
	}

	/** Messages up to `offset` were handled or given up: their attempts are over. */
	progressed(offset: number): void {
		const went = this.#unsuspected;
		if (went && offset >= endsOf(went).last) {
			this.#limit = Math.min(MAX_RUN, this.#limit * 2);
			this.#unsuspected = null;
		}
		for (const charged of this.#attempts.keys()) if (charged <= offset) this.#attempts.delete(charged);
	}
}

function endsOf({ held, from, to }: Run): { readonly first: number; readonly last: number } {
	return { first: held.batch.offsets[from] as number, last: held.batch.offsets[to - 1] as number };
}

/** The index after the leading messages of the run for which `belongs` holds. */
function indexBehind({ held, from, to }: Run, belongs: (offset: number) => boolean): number {
	let index = from;
	while (index < to && belongs(held.batch.offsets[index] as number)) index++;
	return index;
}
