/**
 * Makes the worker's thread ready, hands it one run, and says what became of that. After a death of the process it hands over carefully
 * (failures/careful-hand.ts). Decides nothing about failures; the worker does.
 *
 * Step 4 of a message's way (docs/architecture.md).
 */
import { suspicionWords } from "../core/messages/hand-note.ts";
import { CarefulHand } from "./failures/careful-hand.ts";
import { firstOffset, type HeldBatch, type MessageQueue, type Run } from "./message-queue.ts";
import {
	type BatchOutcome,
	countHandled,
	deathOf,
	type HandlerFailure,
	type RunReply,
	type ThreadDeath,
	type ThreadProgress,
} from "./thread/handler-thread.ts";
import type { ThreadSlot } from "./thread/thread-slot.ts";
import type { WorkerParts } from "./worker-parts.ts";
import type { WorkerWaits } from "./worker-waits.ts";

/** What became of a hand-over. */
export type HandedOver =
	/** The thread is ready, or the run was handled as far as it went. */
	| { readonly what: "done" }
	/** The run was handled, but the thread holds too much memory: `heldMb` MiB. */
	| { readonly what: "holds-too-much"; readonly heldMb: number }
	/** Nothing was handed over: something else goes first. */
	| { readonly what: "not-now" }
	/** A suspect is next, and the run would make a new state while the suspect is in hand: the state has to be renewed first. */
	| { readonly what: "needs-new-state" }
	/** The module did not load or its init failed, and the thread is discarded. `run` comes next. */
	| { readonly what: "start-failed"; readonly run: Run; readonly failure: HandlerFailure }
	/** The messages of `run` failed together. `batched`: the size of a batch handler's run; null for other handlers. */
	| { readonly what: "failed"; readonly run: Run; readonly failure: HandlerFailure; readonly batched: number | null }
	/** The thread died. `progress`: what it was doing; null if it had no message. */
	| { readonly what: "died"; readonly run: Run; readonly death: ThreadDeath; readonly progress: ThreadProgress | null };

/** What handing over needs from its worker. */
export interface HandOverParts {
	readonly slot: ThreadSlot;
	readonly queue: MessageQueue;
	readonly waits: WorkerWaits;
	/** Takes the outcome of a part of a run, or of the rest of it. `last`: its last offset. False if the run should end early. */
	readonly handled: (held: HeldBatch, outcome: BatchOutcome, last: number) => boolean;
	/** Aborted as soon as no more messages may be handed over. */
	readonly signal: AbortSignal;
}

/** Hands the messages of one partition to its thread, one run at a time. */
export class HandOver {
	readonly #parts: WorkerParts;
	readonly #with: HandOverParts;
	#careful: CarefulHand | null;
	#isCarefulTold = false;

	constructor(parts: WorkerParts, own: HandOverParts) {
		this.#parts = parts;
		this.#with = own;
		this.#careful = parts.hand ? new CarefulHand(parts.hand, parts) : null;
	}

	/** Null if no message is suspected. */
	get careful(): CarefulHand | null {
		return this.#careful;
	}

	/** Starts the thread if there is none. Call it only while the thread is not ready. `run` comes next. */
	async start(run: Run): Promise<HandedOver> {
		const { slot, waits } = this.#with;
		try {
			const failure = await this.#makeReady();
			if (failure === "not now") return { what: "not-now" };
			if (!failure) return { what: "done" };
			await slot.discard();
			return { what: "start-failed", run, failure };
		} catch (error) {
			const death = deathOf(error);
			if (death.reason !== "shared") return waits.anew.has("admin") ? { what: "not-now" } : { what: "died", run, death, progress: null };
			// The share only waited for its turn to start: it had no state to lose yet.
			await slot.discard();
			return { what: "not-now" };
		}
	}

	async #makeReady(): Promise<HandlerFailure | "not now" | null> {
		const { slot, waits, signal } = this.#with;
		const endTurn = await this.#parts.turn.together(signal);
		try {
			return endTurn && !waits.isInterrupted ? await slot.makeReady() : "not now";
		} finally {
			endTurn?.();
		}
	}

	/** Hands over as much of `run` as may be handed over. Call it only while the thread is ready. */
	async hand(run: Run): Promise<HandedOver> {
		const { slot, signal } = this.#with;
		if (this.#careful?.isOver) this.#endCare(this.#careful);
		const careful = this.#careful;
		const isSuspect = careful?.isSuspect(firstOffset(run)) === true;
		// A suspect runs alone: no init, another partition's or its own, may end the process meanwhile.
		if (isSuspect && slot.renews) return { what: "needs-new-state" };
		const isWithInit = !isSuspect && (slot.renews || slot.mayRenew);
		const endTurn = isWithInit ? await this.#parts.turn.together(signal) : () => {};
		if (!endTurn) return { what: "not-now" };
		const handed = await (careful ? this.#handCarefully(careful, run, endTurn) : this.#handIfNext(run, endTurn));
		endTurn();
		return handed;
	}

	async #handCarefully(careful: CarefulHand, run: Run, initsOver: () => void): Promise<HandedOver> {
		const { partition, hand, listener } = this.#parts;
		if (hand && !this.#isCarefulTold) listener.carefulBegan(partition, suspicionWords(hand.suspicion));
		this.#isCarefulTold = true;
		const next = careful.cut(run);
		const isReady = await careful.ready(next, this.#with.signal);
		const handed: HandedOver = isReady ? await this.#handIfNext(next, initsOver) : { what: "not-now" };
		careful.letGo();
		return handed;
	}

	#endCare(careful: CarefulHand): void {
		careful.end(this.#with.signal);
		this.#careful = null;
		if (this.#isCarefulTold) this.#parts.listener.carefulEnded(this.#parts.partition);
	}

	/** Requests that came while it waited go first: another message may be next now, or none. */
	async #handIfNext(run: Run, initsOver: () => void): Promise<HandedOver> {
		const { queue, slot, waits } = this.#with;
		const next = queue.next(1);
		const isNext = next?.held === run.held && next.from === run.from;
		return isNext && slot.ready && !waits.isInterrupted ? this.#hand(run, initsOver) : { what: "not-now" };
	}

	/** Hands the run over. Calls `initsOver`, perhaps more than once, when the run makes no more handler states. */
	async #hand(run: Run, initsOver: () => void): Promise<HandedOver> {
		const { queue, slot, waits } = this.#with;
		waits.state = { name: "running" };
		queue.take(run);
		let reply: RunReply;
		try {
			reply = await slot.run(run, queue.unconfirmed > 0, (part) => {
				if (!slot.mayRenew) initsOver();
				if (!this.#handled(run, part)) slot.cutShort();
			});
		} catch (error) {
			const progress = slot.progress();
			queue.begun(run);
			this.#over(run, initsOver);
			return waits.anew.has("admin") ? { what: "not-now" } : { what: "died", run, death: deathOf(error), progress };
		}
		this.#handled(run, reply.outcome);
		this.#over(run, initsOver);
		if (reply.ok) {
			const { calledTo = 0, heldMb } = reply;
			if (calledTo > run.from) queue.begun({ ...run, to: calledTo });
			return heldMb === undefined ? { what: "done" } : { what: "holds-too-much", heldMb };
		}
		const { failed, together = 1, failure, batched } = reply;
		const offenders = { ...run, from: failed, to: failed + together };
		// Calls that overlap, and the parts of a batch, may have been begun in any order.
		queue.begun(batched || reply.outcome.handled ? run : offenders);
		if (failure.kind !== "init") return { what: "failed", run: offenders, failure, batched: batched ? run.to - run.from : null };
		await slot.discard();
		return { what: "start-failed", run: offenders, failure };
	}

	#over(run: Run, initsOver: () => void): void {
		initsOver();
		this.#careful?.letGo();
		this.#with.queue.giveBack(run);
	}

	#handled({ held }: Run, outcome: BatchOutcome): boolean {
		if (countHandled(outcome) === 0) return true;
		this.#with.queue.begun({ held, from: outcome.from, to: outcome.to });
		const last = held.batch.offsets[outcome.to - 1] as number;
		const goesOn = this.#with.handled(held, outcome, last);
		this.#careful?.handled(last);
		return goesOn;
	}
}
