/**
 * How a partition is handled after the process died (core/messages/hand-note.ts): in short runs, each noted before it begins. Suspects run
 * one by one, only one at a time in the whole process, so that only the message at fault is charged. Decides and notes; the partition
 * worker runs.
 *
 * A side way of a message's way (docs/architecture.md).
 */
import type { Clock } from "../../core/clock.ts";
import type { Deaths, Evidence, HeldOffsets, Suspicion } from "../../core/messages/hand-note.ts";
import type { Random } from "../../core/random.ts";
import type { Turn } from "../../core/turn.ts";
import type { Run } from "../message-queue.ts";

/** What a careful worker needs of the outside. */
export interface HandNotes {
	readonly suspicion: Suspicion;
	/** A run of those that are not suspects has at most so many messages; some hundreds where it is left out. */
	readonly maxRun?: number;
	/** The offset that the group has committed. */
	readonly committed: () => number;
	/** Resolves when it is noted, or can't be noted by this database; rejects where `signal` was aborted before. */
	readonly note: (evidence: Evidence, signal: AbortSignal) => Promise<void>;
}

/** A run of suspects takes a note each at the next start: so many go in a second. */
const MAX_RUN = 256;
/** A run that takes so long has few suspects in it, and one that takes less costs more by its note than by its messages. */
const RUN_MS = 100;
/**
 * A message that was charged waits up to so long, by chance, before it is handed over again: whoever kills the process a fixed while after
 * each start would else meet the same message each time.
 */
const WAIT_MS = 2_000;

/** Makes a partition careful after the process died. */
export class CarefulHand {
	readonly #notes: HandNotes;
	readonly #turns: Turn;
	readonly #clock: Clock;
	readonly #random: Random;
	readonly #deaths: Map<number, number>;
	/** Given up for their deaths, and perhaps not yet stored as dead letters. */
	readonly #givenUp = new Map<number, number>();
	#suspects: HeldOffsets | null;
	#until: number;
	/** Messages that a run may have. */
	#size = 1;
	#handed: { readonly size: number; readonly sinceMs: number } | null = null;
	#turn: { readonly end: () => void; readonly signal: AbortSignal } | null = null;
	/** Resolves when the note of the last suspect is taken back. */
	#takenBack: Promise<void> = Promise.resolve();

	constructor(notes: HandNotes, { turn, clock, random }: { turn: Turn; clock: Clock; random: Random }) {
		this.#notes = notes;
		this.#turns = turn;
		this.#clock = clock;
		this.#random = random;
		this.#deaths = new Map(notes.suspicion.deaths);
		this.#suspects = notes.suspicion.held;
		this.#until = notes.suspicion.until;
	}

	/** Nobody is suspected any more. */
	get isOver(): boolean {
		return this.#suspects === null && this.#deaths.size === 0 && this.#notes.committed() >= this.#until;
	}

	/** What is to be known at the next start, when nothing is in hand. */
	get evidence(): Evidence {
		return { held: this.#suspects, deaths: this.#allDeaths() };
	}

	/** The log ends at `offset` for now: what was in hand as the process died lies before. */
	readToEnd(offset: number): void {
		this.#until = Math.min(this.#until, offset);
	}

	/** How often the process died with the message at `run.from` alone in hand. */
	deathsOf({ held, from }: Run): number {
		return this.#deaths.get(held.batch.offsets[from] as number) ?? 0;
	}

	/** The process may have died of it: it is alone when it is handed over. */
	isSuspect(offset: number): boolean {
		const range = this.#suspects;
		return this.#deaths.has(offset) || (range !== null && offset >= range.from && offset < range.to);
	}

	/** `run`, cut to what may be handed over next. */
	cut(run: Run): Run {
		const { offsets } = run.held.batch;
		this.#passed((offsets[run.from] as number) - 1);
		if (this.isSuspect(offsets[run.from] as number)) return { ...run, to: run.from + 1 };
		let to = run.from + 1;
		const size = Math.min(this.#size, this.#notes.maxRun ?? MAX_RUN);
		while (to < run.to && to - run.from < size && !this.isSuspect(offsets[to] as number)) to++;
		return { ...run, to };
	}

	/** Resolves when `run` may be handed over: to false where `signal` was aborted before. `letGo` afterwards, in any case. */
	async ready({ held, from, to }: Run, signal: AbortSignal): Promise<boolean> {
		const first = held.batch.offsets[from] as number;
		const inHand = { from: first, to: (held.batch.offsets[to - 1] as number) + 1 };
		const isSuspect = this.isSuspect(first);
		await this.#takenBack;
		const waitMs = this.#deaths.has(first) ? this.#random() * WAIT_MS : 0;
		if (waitMs > 0) await this.#clock.sleep(waitMs, signal).catch(() => {});
		if (isSuspect) {
			const end = await this.#turns.alone(signal);
			if (!end) return false;
			this.#turn = { end, signal };
		}
		const now: Deaths[] = isSuspect ? [[first, (this.#deaths.get(first) ?? 0) + 1]] : [];
		const others = this.#allDeaths().filter(([offset]) => !isSuspect || offset !== first);
		try {
			await this.#notes.note({ held: inHand, deaths: [...now, ...others] }, signal);
		} catch {
			return false;
		}
		this.#handed = { size: to - from, sinceMs: this.#clock.monotonic() };
		return true;
	}

	/**
	 * The handler has answered, or its thread is dead: the process can't die of that any more. A suspect's turn ends when its note is taken
	 * back: or, if another one ends the process meanwhile, it would be charged again and again. Idempotent.
	 */
	letGo(): void {
		if (this.#turn) {
			const { end, signal } = this.#turn;
			this.#turn = null;
			this.#takenBack = this.#notes
				.note(this.evidence, signal)
				.catch(() => {})
				.then(end);
		}
		if (!this.#handed) return;
		const { size, sinceMs } = this.#handed;
		this.#handed = null;
		const tookMs = this.#clock.monotonic() - sinceMs;
		if (tookMs > 2 * RUN_MS) this.#size = Math.max(1, Math.floor(size / 2));
		else if (tookMs < RUN_MS && size === this.#size) this.#size = Math.min(MAX_RUN, 2 * size);
	}

	/** Messages up to `offset` went through the handler, and the process lives. */
	handled(offset: number): void {
		this.#passed(offset);
	}

	/** The message at `offset` was given up, for its deaths or for other failures. */
	gaveUp(offset: number): void {
		const deaths = this.#deaths.get(offset);
		if (deaths !== undefined) this.#givenUp.set(offset, deaths);
		this.#passed(offset);
	}

	/** The handler is another one, or a person wants another try: who would be given up for `deaths` gets one. */
	pardon(deaths: number): void {
		for (const [offset, count] of this.#deaths) this.#deaths.set(offset, Math.min(count, deaths - 1));
	}

	/** Notes that nobody is suspected any more; nothing waits for it. */
	end(signal: AbortSignal): void {
		this.#notes.note({ held: null, deaths: [] }, signal).catch(() => {});
	}

	#passed(offset: number): void {
		for (const dead of this.#deaths.keys()) if (dead <= offset) this.#deaths.delete(dead);
		const range = this.#suspects;
		if (range && range.from <= offset) this.#suspects = offset + 1 < range.to ? { from: offset + 1, to: range.to } : null;
	}

	/** Also of those whose dead letter is not known to be stored: until then they come again. */
	#allDeaths(): Deaths[] {
		const committed = this.#notes.committed();
		return [...this.#deaths, ...[...this.#givenUp].filter(([offset]) => offset >= committed)];
	}
}
