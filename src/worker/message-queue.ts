/**
 * The messages of one partition from receipt until they are finished: which is handed to the thread next, which are still open and
 * why. Pure bookkeeping; packed batches are kept whole until every message in them is finished, because a retry or a dead letter
 * needs the bytes again.
 *
 * Step 3 of a message's way (README).
 */
import type { PackedBatch } from "../core/packed-batch.ts";

const QUEUED = 0;
const HANDED = 1;
const FINISHED = 2;

/** A received batch and the state of its messages. `open[i]` counts what message i waits for: its hand-over, rows, a dead letter, a `finishedTo`. */
export interface HeldBatch {
	readonly batch: PackedBatch;
	readonly state: Uint8Array;
	readonly open: Int32Array;
	/** 1: a dead letter was made of the message. */
	readonly lettered: Uint8Array;
	unfinished: number;
}

/** A run of consecutive messages of one batch; `to` is excluded. */
export interface Run {
	readonly held: HeldBatch;
	readonly from: number;
	readonly to: number;
}

interface Held {
	readonly held: HeldBatch;
	readonly message: number;
}

/** See the file's header. */
export class MessageQueue {
	#batches: HeldBatch[] = [];
	/** Where `next` looks: index in #batches, index in that batch. Everything before is handed or finished. */
	#batchIndex = 0;
	#messageIndex = 0;
	#queued = 0;
	#handed = 0;
	#bytes = 0;
	/** Messages that the handler left unfinished by `finishedTo`, in offset order. */
	#unconfirmed: Held[] = [];
	/** Messages whose dead letter may not be made for now. */
	#withheld: Held[] = [];
	#dropped = false;

	/** Messages received and not yet given to the thread. */
	get queued(): number {
		return this.#dropped ? 0 : this.#queued;
	}

	/** Messages given to the thread and not finished. */
	get handed(): number {
		return this.#handed;
	}

	/** Bytes of all batches held. */
	get bytes(): number {
		return this.#bytes;
	}

	/** Messages that wait for a later `finishedTo`. */
	get unconfirmed(): number {
		return this.#unconfirmed.length;
	}

	/** Messages that wait for a person or a changed handler. */
	get withheld(): number {
		return this.#withheld.length;
	}

	push(batch: PackedBatch): void {
		const held = {
			batch,
			state: new Uint8Array(batch.length),
			open: new Int32Array(batch.length),
			lettered: new Uint8Array(batch.length),
			unfinished: batch.length,
		};
		this.#batches.push(held);
		this.#queued += batch.length;
		this.#bytes += batch.bytes.byteLength;
	}

	/** The next run of at most `limit` queued messages, without taking it; null when none is queued. */
	next(limit: number): Run | null {
		if (this.#dropped || this.#queued === 0) return null;
		for (;;) {
			const held = this.#batches[this.#batchIndex];
			if (!held) return null;
			while (this.#messageIndex < held.batch.length && held.state[this.#messageIndex] !== QUEUED) this.#messageIndex++;
			if (this.#messageIndex < held.batch.length) return this.#runFrom(held, this.#messageIndex, limit);
			this.#batchIndex++;
			this.#messageIndex = 0;
		}
	}

	/**
	 * The run is given to the thread. The hand-over itself is open until it is `closed` for each message: a row of an earlier hand-over
	 * that settles meanwhile must not finish a message that is being handled again.
	 */
	take({ held, from, to }: Run): void {
		held.state.fill(HANDED, from, to);
		for (let message = from; message < to; message++) this.opened(held, message);
		this.#queued -= to - from;
		this.#handed += to - from;
	}

	/** The run, or what is left of it, was not handled: it comes next. */
	putBack({ held, from, to }: Run): void {
		held.state.fill(QUEUED, from, to);
		for (let message = from; message < to; message++) held.open[message] = (held.open[message] as number) - 1;
		this.#queued += to - from;
		this.#handed -= to - from;
		this.#lookFrom(held, from);
	}

	/** One more thing that the message waits for. */
	opened(held: HeldBatch, message: number): void {
		held.open[message] = (held.open[message] as number) + 1;
	}

	/** One thing fewer; true where it was the last and the message is now finished. */
	closed(held: HeldBatch, message: number): boolean {
		held.open[message] = (held.open[message] as number) - 1;
		if (held.state[message] !== HANDED || held.open[message] !== 0) return false;
		held.state[message] = FINISHED;
		held.unfinished--;
		this.#handed--;
		if (held.unfinished === 0) this.#remove(held);
		return true;
	}

	/** The handler left this message unfinished (`finishedTo`). */
	leftUnconfirmed(held: HeldBatch, message: number): void {
		this.opened(held, message);
		this.#unconfirmed.push({ held, message });
	}

	/** The handler finished what it had left, up to and including `offset`; calls back for each. */
	confirm(offset: number, each: (held: HeldBatch, message: number) => void): void {
		const later = this.#unconfirmed.findIndex(({ held, message }) => (held.batch.offsets[message] as number) > offset);
		const confirmed = this.#unconfirmed.splice(0, later < 0 ? this.#unconfirmed.length : later);
		for (const { held, message } of confirmed) each(held, message);
	}

	/** The worker's life ended: what it had left unfinished is queued again, in order. */
	requeueUnconfirmed(): void {
		this.#requeue(this.#unconfirmed.splice(0));
	}

	/** The message stays unfinished until `requeueWithheld`. */
	withhold(held: HeldBatch, message: number): void {
		this.opened(held, message);
		this.#withheld.push({ held, message });
	}

	/** What was withheld is queued again, in order. */
	requeueWithheld(): void {
		const offsetOf = ({ held, message }: Held) => held.batch.offsets[message] as number;
		this.#requeue(this.#withheld.splice(0).sort((left, right) => offsetOf(left) - offsetOf(right)));
	}

	/** Forgets everything that was not handed over (a drain). */
	dropQueued(): void {
		this.#dropped = true;
	}

	#requeue(messages: readonly Held[]): void {
		for (const { held, message } of messages) {
			held.open[message] = (held.open[message] as number) - 1;
			held.state[message] = QUEUED;
		}
		this.#queued += messages.length;
		this.#handed -= messages.length;
		const [first] = messages;
		if (first) this.#lookFrom(first.held, first.message);
	}

	/** `next` begins here; everything before is handed or finished. */
	#lookFrom(held: HeldBatch, message: number): void {
		this.#batchIndex = this.#batches.indexOf(held);
		this.#messageIndex = message;
	}

	#runFrom(held: HeldBatch, from: number, limit: number): Run {
		const end = Math.min(held.batch.length, from + limit);
		let to = from + 1;
		while (to < end && held.state[to] === QUEUED) to++;
		return { held, from, to };
	}

	#remove(held: HeldBatch): void {
		const index = this.#batches.indexOf(held);
		if (index < 0) return;
		this.#batches.splice(index, 1);
		this.#bytes -= held.batch.bytes.byteLength;
		if (index < this.#batchIndex) this.#batchIndex--;
		else if (index === this.#batchIndex) this.#messageIndex = 0;
	}
}
