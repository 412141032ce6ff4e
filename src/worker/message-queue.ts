/**
 * The messages of one partition from receipt until they are finished: which is handed to the thread next, which are still open and
 * why. Pure bookkeeping; packed batches are kept whole until every message in them is finished, because a retry or a dead letter
 * needs the bytes again.
 *
 * Step 3 of a message's way (docs/architecture.md).
 */
import type { PackedBatch } from "../core/messages/packed-batch.ts";

const QUEUED = 0;
/** In the thread: no answer has named it yet. */
const HANDED = 1;
/** Handled, or given up; something that came of it is still open. */
const ANSWERED = 2;
const FINISHED = 3;

/**
 * What a message waits for that doesn't come by itself (bits): a later `finishedTo`; a person or a changed handler, for its dead letter.
 */
const UNCONFIRMED = 1;
const WITHHELD = 2;

/**
 * A received batch and the state of its messages. `open[i]` counts what message i waits for: its hand-over, rows, a dead letter, a
 * `finishedTo`.
 */
export interface HeldBatch {
	readonly batch: PackedBatch;
	/** By the monotonic clock. */
	readonly receivedAtMs: number;
	readonly state: Uint8Array;
	readonly open: Int32Array;
	/** Of `open`, what doesn't come by itself. */
	readonly waits: Uint8Array;
	/** What the breaker knows of each message: nothing (0), a dead letter (LETTERED), one that went through (PASSED). */
	readonly told: Uint8Array;
	unfinished: number;
}

/** See HeldBatch.told. */
export const [LETTERED, PASSED] = [1, 2];

/** A run of consecutive messages of one batch; `to` is excluded. */
export interface Run {
	readonly held: HeldBatch;
	readonly from: number;
	readonly to: number;
}

/** One message of a batch. */
export interface HeldMessage {
	readonly held: HeldBatch;
	readonly message: number;
}

/** The queue of one partition. */
export class MessageQueue {
	#batches: HeldBatch[] = [];
	/** Where `next` looks: index in #batches, index in that batch. Everything before is handed or finished. */
	#batchIndex = 0;
	#messageIndex = 0;
	#queued = 0;
	#handed = 0;
	#bytes = 0;
	/** Of #handed, those of which nothing comes by itself. */
	#stuck = 0;
	/** Messages that the handler left unfinished by `finishedTo`, in offset order. */
	#unconfirmed: HeldMessage[] = [];
	/** Messages whose dead letter may not be made for now. */
	#withheld: HeldMessage[] = [];
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

	/** The offset of the first of them; null where there is none. */
	get firstUnconfirmed(): number | null {
		const [first] = this.#unconfirmed;
		return first ? offsetOf(first) : null;
	}

	/** Messages given to the thread of which something comes by itself: an answer, rows, a dead letter. */
	get underway(): number {
		return this.#handed - this.#stuck;
	}

	push(batch: PackedBatch, receivedAtMs: number): HeldBatch {
		const held = {
			batch,
			receivedAtMs,
			state: new Uint8Array(batch.length),
			open: new Int32Array(batch.length),
			waits: new Uint8Array(batch.length),
			told: new Uint8Array(batch.length),
			unfinished: batch.length,
		};
		this.#batches.push(held);
		this.#queued += batch.length;
		this.#bytes += batch.bytes.byteLength;
		return held;
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
	 * Where the message at `offset` is, and whether it waits for the thread, or for nothing but its withheld letter; null where it is
	 * finished, or none of this queue's.
	 */
	find(offset: number): (HeldMessage & { readonly isQueued: boolean; readonly isWithheld: boolean }) | null {
		for (const held of this.#batches) {
			const message = held.batch.offsets.indexOf(offset);
			if (message < 0 || held.state[message] === FINISHED) continue;
			const isWithheld = held.waits[message] === WITHHELD && this.#isStuck(held, message);
			return { held, message, isQueued: held.state[message] === QUEUED, isWithheld };
		}
		return null;
	}

	/** A withheld message alone is queued again. */
	requeueOne({ held, message }: HeldMessage): void {
		this.#requeue(this.#withheld.filter((each) => each.held === held && each.message === message));
	}

	/**
	 * The run is given to the thread. The hand-over itself is open until the message is `answered` or given back: a row of an earlier
	 * hand-over that settles meanwhile must not finish a message that is being handled again.
	 */
	take({ held, from, to }: Run): void {
		for (let message = from; message < to; message++) this.opened(held, message);
		held.state.fill(HANDED, from, to);
		this.#queued -= to - from;
		this.#handed += to - from;
	}

	/** What of the run has no answer was not handled: it comes next. */
	giveBack({ held, from, to }: Run): void {
		let first = -1;
		for (let message = from; message < to; message++) {
			if (held.state[message] !== HANDED) continue;
			if (first < 0) first = message;
			held.state[message] = QUEUED;
			held.open[message] = (held.open[message] as number) - 1;
			this.#queued++;
			this.#handed--;
		}
		if (first >= 0) this.#lookFrom(held, first);
	}

	/** The message was handled, or is given up: its hand-over is over. True where nothing is open and the message is now finished. */
	answered(held: HeldBatch, message: number): boolean {
		held.state[message] = ANSWERED;
		return this.closed(held, message);
	}

	/** One more thing that the message waits for. */
	opened(held: HeldBatch, message: number): void {
		if (this.#isStuck(held, message)) this.#stuck--;
		held.open[message] = (held.open[message] as number) + 1;
	}

	/** One thing fewer; true where it was the last and the message is now finished. */
	closed(held: HeldBatch, message: number): boolean {
		held.open[message] = (held.open[message] as number) - 1;
		if (held.state[message] !== ANSWERED) return false;
		if (held.open[message] !== 0) {
			if (this.#isStuck(held, message)) this.#stuck++;
			return false;
		}
		held.state[message] = FINISHED;
		held.unfinished--;
		this.#handed--;
		if (held.unfinished === 0) this.#remove(held);
		return true;
	}

	/** The handler left this message unfinished (`finishedTo`). */
	leftUnconfirmed(held: HeldBatch, message: number): void {
		if (!this.#wait(held, message, UNCONFIRMED)) return;
		const offset = offsetOf({ held, message });
		const before = this.#unconfirmed.findLastIndex((each) => offsetOf(each) < offset);
		this.#unconfirmed.splice(before + 1, 0, { held, message });
	}

	/** The handler finished what it had left, up to and including `offset`: each of them is to be `closed` once more. */
	confirm(offset: number): readonly HeldMessage[] {
		const later = this.#unconfirmed.findIndex((each) => offsetOf(each) > offset);
		const confirmed = this.#unconfirmed.splice(0, later < 0 ? this.#unconfirmed.length : later);
		for (const { held, message } of confirmed) {
			if (this.#isStuck(held, message)) this.#stuck--;
			held.waits[message] = (held.waits[message] as number) & ~UNCONFIRMED;
		}
		return confirmed;
	}

	/**
	 * The handler's state is gone, and with it what it had left unfinished: queued again, in order. The last offset of it, null for none.
	 */
	requeueUnconfirmed(): number | null {
		const last = this.#unconfirmed.at(-1);
		this.#requeue(this.#unconfirmed.splice(0));
		return last ? offsetOf(last) : null;
	}

	/** The message stays unfinished until `requeueWithheld`. */
	withhold(held: HeldBatch, message: number): void {
		if (this.#wait(held, message, WITHHELD)) this.#withheld.push({ held, message });
	}

	/** What was withheld is queued again, in order. */
	requeueWithheld(): void {
		this.#requeue(this.#withheld.splice(0).sort((left, right) => offsetOf(left) - offsetOf(right)));
	}

	/** Forgets everything that was not handed over (a drain). */
	dropQueued(): void {
		this.#dropped = true;
	}

	/** False where it waits for that already. */
	#wait(held: HeldBatch, message: number, what: number): boolean {
		const waits = held.waits[message] as number;
		if ((waits & what) !== 0) return false;
		this.opened(held, message);
		held.waits[message] = waits | what;
		if (this.#isStuck(held, message)) this.#stuck++;
		return true;
	}

	/** True where all that the message waits for doesn't come by itself. */
	#isStuck(held: HeldBatch, message: number): boolean {
		const waits = held.waits[message] as number;
		return waits !== 0 && held.state[message] === ANSWERED && held.open[message] === countOf(waits);
	}

	/** In order. A message may wait for both, and its run may have been put back meanwhile. */
	#requeue(messages: readonly HeldMessage[]): void {
		for (const { held, message } of messages) {
			if (this.#isStuck(held, message)) this.#stuck--;
			held.open[message] = (held.open[message] as number) - countOf(held.waits[message] as number);
			held.waits[message] = 0;
			if (held.state[message] !== ANSWERED) continue;
			held.state[message] = QUEUED;
			this.#queued++;
			this.#handed--;
		}
		const [first] = messages;
		if (!first) return;
		this.#lookFrom(first.held, first.message);
		const waitsFor = (what: number) => (each: HeldMessage) => ((each.held.waits[each.message] as number) & what) !== 0;
		this.#unconfirmed = this.#unconfirmed.filter(waitsFor(UNCONFIRMED));
		this.#withheld = this.#withheld.filter(waitsFor(WITHHELD));
	}

	/** `next` begins here, or further in front; everything before is handed or finished. */
	#lookFrom(held: HeldBatch, message: number): void {
		const index = this.#batches.indexOf(held);
		if (index > this.#batchIndex || (index === this.#batchIndex && message >= this.#messageIndex)) return;
		this.#batchIndex = index;
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

function offsetOf({ held, message }: HeldMessage): number {
	return held.batch.offsets[message] as number;
}

/** So many of `open` are these waits. */
function countOf(waits: number): number {
	return (waits & UNCONFIRMED) + (waits >> 1);
}
