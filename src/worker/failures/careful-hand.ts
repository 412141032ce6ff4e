/**
 * How messages are handed over after the process died (core/messages/hand-note.ts): in short runs, each noted before it begins. Suspects
 * run one by one, and only one at a time in the whole process, so that only the message at fault is charged. This class decides and notes;
 * the partition worker carries it out.
 *
 * Beside a message's way (docs/architecture.md).
 */
import type { Clock } from "../../core/clock.ts";
import type { Deaths, Evidence, HeldOffsets, Suspicion } from "../../core/messages/hand-note.ts";
import type { Random } from "../../core/random.ts";
import type { Turn } from "../../core/waiting/turn.ts";
import { firstOffset, type Run } from "../message-queue.ts";

/** What a careful worker needs from outside. */
export interface HandNotes {
	readonly suspicion: Suspicion;
	/** Maximum messages in a run without suspects. Default: some hundreds. */
	readonly maxRun?: number;
	/** The offset that the group has committed. */
	readonly committed: () => number;
	/** Resolves when the evidence is stored, or when this database can't store it. Rejects if `signal` was aborted before. */
	readonly note: (evidence: Evidence, signal: AbortSignal) => Promise<void>;
}

/**
 * Maximum messages of a run. After a crash every message of the noted run is a suspect, and each suspect needs a note of its own. That
 * takes about a second for this many.
 */
const MAX_RUN = 256;
/** Target duration of a run. A longer run has few messages anyway; in a shorter one the note costs more than the messages. */
const RUN_MS = 100;
/**
 * A charged message waits a random time up to this before it is handed over again. Otherwise something that kills the process at a fixed
 * time after each start would always hit the same message.
 */
const WAIT_MS = 2_000;

/** Decides what a partition may hand over after the process died, and notes it first. One per partition. */
export class CarefulHand {
	readonly #notes: HandNotes;
	readonly #turns: Turn;
	readonly #clock: Clock;
	readonly #random: Random;
	readonly #deaths: Map<number, number>;
	/** Messages given up because the process died with them; their dead letters may not be stored yet. */
	readonly #givenUp = new Map<number, number>();
	#suspects: HeldOffsets | null;
	#until: number;
	/** Current limit of messages per run. */
	#size = 1;
	#handed: { readonly size: number; readonly sinceMs: number } | null = null;
	#turn: { readonly end: () => void; readonly signal: AbortSignal } | null = null;
	/** Resolves when the note about the last suspect is withdrawn. */
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

	/** What the next start has to know if nothing is in hand. */
	get evidence(): Evidence {
		return { held: this.#suspects, deaths: this.#allDeaths() };
	}

	/** The log ends at `offset` for now: whatever was in hand when the process died lies before it. */
	readToEnd(offset: number): void {
		this.#until = Math.min(this.#until, offset);
	}

	/** How many times the process died while only the message at `run.from` was in hand. */
	deathsOf(run: Run): number {
		return this.#deaths.get(firstOffset(run)) ?? 0;
	}

	/** True if the process may have died because of this message; it is handed over alone. */
	isSuspect(offset: number): boolean {
		const range = this.#suspects;
		return this.#deaths.has(offset) || (range !== null && offset >= range.from && offset < range.to);
	}

	/** `run`, cut to what may be handed over next. */
	cut(run: Run): Run {
		const { offsets } = run.held.batch;
		const first = firstOffset(run);
		this.#passed(first - 1);
		if (this.isSuspect(first)) return { ...run, to: run.from + 1 };
		let to = run.from + 1;
		const size = Math.min(this.#size, this.#notes.maxRun ?? MAX_RUN);
		while (to < run.to && to - run.from < size && !this.isSuspect(offsets[to] as number)) to++;
		return { ...run, to };
	}

	/** Resolves to true when `run` may be handed over, to false if `signal` was aborted before. Call `letGo` afterwards in either case. */
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
	 * The handler has answered, or its thread is dead, so the process can't die of this run any more. A suspect keeps its turn until its note
	 * is withdrawn: otherwise, if another message ended the process in between, the suspect would be charged again and again. Idempotent.
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

	/** Messages up to `offset` were handled, and the process is alive. */
	handled(offset: number): void {
		this.#passed(offset);
	}

	/** The message at `offset` was given up, for its deaths or for other failures. */
	gaveUp(offset: number): void {
		const deaths = this.#deaths.get(offset);
		if (deaths !== undefined) this.#givenUp.set(offset, deaths);
		this.#passed(offset);
	}

	/** The handler changed, or a person wants another try: a message that would be given up for `deaths` gets one more. */
	pardon(deaths: number): void {
		for (const [offset, count] of this.#deaths) this.#deaths.set(offset, Math.min(count, deaths - 1));
	}

	/** Notes that no message is suspected any more. Nothing waits for this note. */
	end(signal: AbortSignal): void {
		this.#notes.note({ held: null, deaths: [] }, signal).catch(() => {});
	}

	#passed(offset: number): void {
		for (const dead of this.#deaths.keys()) if (dead <= offset) this.#deaths.delete(dead);
		const range = this.#suspects;
		if (range && range.from <= offset) this.#suspects = offset + 1 < range.to ? { from: offset + 1, to: range.to } : null;
	}

	/** Includes messages whose dead letter may not be stored yet: until it is, they come again. */
	#allDeaths(): Deaths[] {
		const committed = this.#notes.committed();
		return [...this.#deaths, ...[...this.#givenUp].filter(([offset]) => offset >= committed)];
	}
}
