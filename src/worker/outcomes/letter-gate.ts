/**
 * The dead letters of a partition behind its breaker: makes them, or withholds them while too many would be made. Tells the breaker what
 * finished without one, and on trial which messages decide.
 *
 * Step 6 of a message's way (docs/architecture.md).
 */
import type { Clock } from "../../core/clock.ts";
import type { DeadLetter } from "../../core/dead-letters/dead-letter.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { RowFault } from "../../core/rows/rows.ts";
import { withoutValues } from "../../core/text/without-values.ts";
import { firstOffset, type HeldBatch, type HeldMessage, LETTERED, type MessageQueue, PASSED, type Run } from "../message-queue.ts";
import { Breaker, type BreakerLimits } from "./breaker.ts";
import { type LetterCause, MessageLetters, type MessageLettersParts } from "./message-letters.ts";

/** What the gate needs. */
export interface LetterGateParts extends Omit<MessageLettersParts, "opened" | "closed"> {
	readonly queue: MessageQueue;
	readonly settings: { readonly breaker: BreakerLimits; readonly module: string };
	readonly clock: Clock;
	readonly listener: {
		deadLettered(letter: DeadLetter): void;
		breakerClosed?(partition: TopicPartition, offset: number): void;
	};
	/** The message waits for one thing fewer: its letter is stored. */
	readonly closed: (message: HeldMessage) => void;
}

/** Makes or withholds the letters of one partition. */
export class LetterGate {
	readonly #parts: LetterGateParts;
	readonly #breaker: Breaker;
	readonly #letters: MessageLetters;
	/** Messages that finished without a dead letter and that the breaker was not told about yet. */
	#passed = 0;
	/** Offsets handed over on trial: only these decide it. Rows of messages handed over before may still be refused or written. */
	readonly #trial = new Set<number>();
	/**
	 * Describes the first letter that the breaker withheld: its message, and why it would have been made. Contains none of the handler's
	 * words.
	 */
	#withheldFirst = "";

	constructor(parts: LetterGateParts) {
		this.#parts = parts;
		this.#breaker = new Breaker(parts.settings.breaker);
		this.#letters = new MessageLetters({ ...parts, opened: ({ held, message }) => parts.queue.opened(held, message) });
	}

	/** True while letters are withheld. */
	get isShut(): boolean {
		return this.#breaker.reason !== null;
	}

	/** Why letters are withheld and the partition has to wait, and what ends that; null while none are withheld. */
	get reason(): string | null {
		const { reason } = this.#breaker;
		if (reason === null) return null;
		const { topic, partition } = this.#parts.partition;
		const resume = `pockaffe resume ${topic} ${partition}`;
		return `${reason}, the last ${this.#withheldFirst}; correct the cause, then save the handler's file or \`${resume}\`: then one message decides`;
	}

	/** True while one message decides whether letters may be made again. */
	get onTrial(): boolean {
		return this.#breaker.onTrial;
	}

	/** Queues the withheld messages again; the first of them decides. */
	tryAgain(): void {
		this.tellPassed();
		this.#trial.clear();
		this.#parts.queue.requeueWithheld();
		this.#breaker.tryAgain();
	}

	/** During a trial messages are handed over one by one: returns the first of `run`. */
	onTrialNext(run: Run): Run {
		// Earlier results of this message do not decide.
		run.held.told[run.from] = 0;
		this.#trial.add(firstOffset(run));
		return { ...run, to: run.from + 1 };
	}

	/** These messages were handed over: rows refused in an earlier hand-over no longer count. */
	begin(held: HeldBatch, messages: Iterable<number>): void {
		this.#letters.begin(held, messages);
	}

	/** A row of the message can't be written. True if its letter was made already; it is then stored again with this row. */
	refuse(held: HeldBatch, message: number, fault: RowFault): boolean {
		return this.#letters.refuse(held, message, fault);
	}

	/**
	 * Stores a dead letter, or withholds it. The message stays open until the letter is durable. If the letter is withheld, `others` stay
	 * open too: their results may be in this message's rows.
	 */
	make(held: HeldBatch, message: number, cause: LetterCause, others: readonly HeldMessage[] = []): void {
		const { signal, clock, queue, listener } = this.#parts;
		if (signal.aborted) return;
		this.tellPassed();
		const offset = held.batch.offsets[message] as number;
		const wasShut = this.isShut;
		if (!this.#decides(offset) || !this.#breaker.admits(clock.monotonic())) {
			if (!wasShut && this.isShut) this.#withheldFirst = this.#nameOf(offset, cause);
			for (const each of [...others, { held, message }]) queue.withhold(each.held, each.message);
			return;
		}
		held.told[message] = LETTERED;
		this.#letters.make(held, message, cause, "open", (letter) => listener.deadLettered(letter));
	}

	/** Makes a letter that is not open, and that the breaker does not count. `stored` is called once it is durable. */
	makeSkipped(held: HeldBatch, message: number, cause: LetterCause, stored: (letter: DeadLetter) => void): void {
		held.told[message] = LETTERED;
		this.#letters.begin(held, [message]);
		this.#letters.make(held, message, cause, "skipped", stored);
	}

	/**
	 * When a letter is made for a message in the thread, the messages before it were handled well. Tells the breaker so, without waiting
	 * until the database has their rows: otherwise the letters of a backlog would look consecutive when they are not.
	 */
	passedBefore(held: HeldBatch, message: number): void {
		if (this.#breaker.onTrial || this.isShut) return;
		for (let before = message - 1; before >= 0 && held.told[before] === 0; before--) {
			held.told[before] = PASSED;
			this.#passed++;
		}
	}

	/**
	 * The message at `offset` is finished. If it is a trial message without a letter, the breaker closes, and messages whose letters were
	 * withheld meanwhile are handled again: returns true then.
	 */
	finished(held: HeldBatch, message: number, offset: number): boolean {
		if (held.told[message] !== 0 || !this.#decides(offset)) return false;
		held.told[message] = PASSED;
		this.#passed++;
		if (!this.#breaker.onTrial) return false;
		this.tellPassed();
		this.#parts.listener.breakerClosed?.(this.#parts.partition, offset);
		this.#parts.queue.requeueWithheld();
		return true;
	}

	/** Messages are counted one by one and reported to the breaker in bulk, because this runs for every message. */
	tellPassed(): void {
		this.#breaker.passed(this.#passed, this.#parts.clock.monotonic());
		this.#passed = 0;
	}

	/** False if a trial is under way and this message is not part of it. */
	#decides(offset: number): boolean {
		return !this.#breaker.onTrial || this.#trial.has(offset);
	}

	#nameOf(offset: number, { reason, sqlstate, table, error }: LetterCause): string {
		const { partition, settings } = this.#parts;
		const at = `at ${partitionName(partition)} offset ${offset}: ${reason}`;
		if (reason === "row_fault" && sqlstate?.startsWith("kafka_")) return `${at}, ${table} refuses its record with ${sqlstate}`;
		if (reason === "row_fault") return `${at}, ${table} refuses its row with SQLSTATE ${sqlstate}`;
		if (reason === "rejected") return `${at} by ${settings.module}`;
		return reason === "future_timestamp" ? `${at}: ${error}` : `${at}, ${settings.module}: ${withoutValues(error)}`;
	}
}
