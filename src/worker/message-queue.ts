/**
 * The messages of one partition from receipt until they are finished: which one goes to the thread next, which are unfinished, and what
 * each of those waits for. Pure bookkeeping. A packed batch is kept whole until every message in it is finished, because a retry or a dead
 * letter needs the bytes again.
 *
 * Step 3 of a message's way (docs/architecture.md).
 */
import type { PackedBatch } from "../core/messages/packed-batch.ts";

const QUEUED = 0;
/** Given to the thread; no answer has included it yet. */
const HANDED = 1;
/** Handled or given up, but not finished: a row, record or dead letter of it is outstanding. */
const ANSWERED = 2;
const FINISHED = 3;

/**
 * Waits of a message that do not end by themselves (bits). UNCONFIRMED: a later `finishedTo`. WITHHELD: its dead letter, until a person or
 * a changed handler lets it be made.
 */
const UNCONFIRMED = 1;
const WITHHELD = 2;

/**
 * A received batch and the state of its messages. `open[i]` counts what message i still waits for: its hand-over, its rows, its dead
 * letter, a `finishedTo`.
 */
export interface HeldBatch {
	readonly batch: PackedBatch;
	/** Monotonic clock, ms. */
	readonly receivedAtMs: number;
	readonly state: Uint8Array;
	readonly open: Int32Array;
	/** Per message: the waits counted in `open` that do not end by themselves (bits). */
	readonly waits: Uint8Array;
	/** What the breaker was told about each message: nothing yet (0), LETTERED, or PASSED (it finished without a dead letter). */
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
	/** Where `next` looks: the index in #batches, and the index in that batch. Every message before it is handed over or finished. */
	#batchIndex = 0;
	#messageIndex = 0;
	#queued = 0;
	#handed = 0;
	#handedTo = 0;
	#bytes = 0;
	/** How many of #handed only wait for what does not end by itself. */
	#stuck = 0;
	/** Messages that the handler left unfinished by `finishedTo`, in offset order. */
	#unconfirmed: HeldMessage[] = [];
	/** Messages whose dead letter the breaker withholds. */
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

	/** The offset after the last message that the handler had or may have had, also if it is queued again; 0 before the first. */
	get handedTo(): number {
		return this.#handedTo;
	}

	/** Bytes of all batches held. */
	get bytes(): number {
		return this.#bytes;
	}

	/** Messages that wait for a later `finishedTo`. */
	get unconfirmed(): number {
		return this.#unconfirmed.length;
	}

	/** The offset of the first of these messages; null if there is none. */
	get firstUnconfirmed(): number | null {
		const [first] = this.#unconfirmed;
		return first ? offsetOf(first) : null;
	}

	/** Messages given to the thread that will go on by themselves: an answer, rows or a dead letter is on its way. */
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
	 * Finds the message at `offset`. `isQueued`: it waits for the thread. `isWithheld`: it waits only for its withheld dead letter. Null if
	 * it is finished or not in this queue.
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

	/** Queues one withheld message again, and no other. */
	requeueOne({ held, message }: HeldMessage): void {
		this.#requeue(this.#withheld.filter((each) => each.held === held && each.message === message));
	}

	/**
	 * Marks the run as given to the thread. The hand-over itself counts as open until the message is `answered` or given back. So a row of an
	 * earlier hand-over that settles meanwhile can't finish a message that is being handled again.
	 */
	take({ held, from, to }: Run): void {
		for (let message = from; message < to; message++) this.opened(held, message);
		held.state.fill(HANDED, from, to);
		this.#queued -= to - from;
		this.#handed += to - from;
	}

	/** The handler had, or may have had, the messages of the run, also those that come back without an answer. Called for parts of a run. */
	begun({ held, to }: Run): void {
		this.#handedTo = Math.max(this.#handedTo, (held.batch.offsets[to - 1] as number) + 1);
	}

	/** The messages of the run without an answer were not handled: they come next. */
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

	/** The message was handled or given up, so its hand-over is over. True if nothing else is open and the message is now finished. */
	answered(held: HeldBatch, message: number): boolean {
		held.state[message] = ANSWERED;
		return this.closed(held, message);
	}

	/** The message waits for one more thing. */
	opened(held: HeldBatch, message: number): void {
		if (this.#isStuck(held, message)) this.#stuck--;
		held.open[message] = (held.open[message] as number) + 1;
	}

	/** The message waits for one thing fewer. True if that was the last one and the message is now finished. */
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

	/**
	 * The handler finished the messages it had left unfinished, up to and including `offset`. The caller has to close each returned message
	 * once more.
	 */
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
	 * The handler's state is gone, so the messages that it had left unfinished are queued again, in order. Returns the last offset among
	 * them, or null if there are none.
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

	/** Queues all withheld messages again, in order. */
	requeueWithheld(): void {
		this.#requeue(this.#withheld.splice(0).sort((left, right) => offsetOf(left) - offsetOf(right)));
	}

	/** Forgets everything that was not handed over (a drain). */
	dropQueued(): void {
		this.#dropped = true;
	}

	/** Returns false if the message waits for that already. */
	#wait(held: HeldBatch, message: number, what: number): boolean {
		const waits = held.waits[message] as number;
		if ((waits & what) !== 0) return false;
		this.opened(held, message);
		held.waits[message] = waits | what;
		if (this.#isStuck(held, message)) this.#stuck++;
		return true;
	}

	/** True if nothing that the message waits for comes by itself. */
	#isStuck(held: HeldBatch, message: number): boolean {
		const waits = held.waits[message] as number;
		return waits !== 0 && held.state[message] === ANSWERED && held.open[message] === countOf(waits);
	}

	/** Queues messages again, in order. A message may be in both lists, and its run may have been put back meanwhile. */
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

	/** Makes `next` begin here, or earlier if it already does. */
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

/** Offset of the run's first message. */
export function firstOffset({ held, from }: Run): number {
	return held.batch.offsets[from] as number;
}

/** How many entries of `open` these waits stand for. */
function countOf(waits: number): number {
	return (waits & UNCONFIRMED) + (waits >> 1);
}
