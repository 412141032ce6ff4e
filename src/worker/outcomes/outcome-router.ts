/**
 * Routes the outcomes of a handled batch: rows to the row sink, records to the record sink, rejected and refused messages to the dead
 * letters. A message is finished when nothing of it is outstanding. Knows nothing of threads and attempts.
 *
 * Step 6 of a message's way (docs/architecture.md).
 */

import type { Clock } from "../../core/clock.ts";
import type { DeadLetter } from "../../core/dead-letters/dead-letter.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { RecordBlock } from "../../core/messages/records.ts";
import { withoutRecordsOf } from "../../core/messages/records.ts";
import type { LogId } from "../../core/offsets/log-identity.ts";
import { type RowBlock, withoutMessages } from "../../core/rows/rows.ts";
import { withoutValues } from "../../core/text/without-values.ts";
import { lifetime } from "../../core/waiting/lifetime.ts";
import { type HeldBatch, type HeldMessage, LETTERED, type MessageQueue, PASSED, type Run } from "../message-queue.ts";
import type { DeadLetterSink, RecordSink, RecordSubmission, RowSink, RowSubmission } from "../ports.ts";
import { type BatchOutcome, countHandled } from "../thread/handler-thread.ts";
import { Breaker, type BreakerLimits } from "./breaker.ts";
import { FinishedTogether } from "./finished-together.ts";
import { type LetterCause, MessageLetters, refusal } from "./message-letters.ts";
import { withRefusedTogether } from "./refused-together.ts";

/** What the router needs from its worker. */
export interface RouterParts {
	readonly partition: TopicPartition;
	/** The log that the messages are from: Kafka's topic id, or null if it is not known. */
	readonly logId: LogId;
	readonly settings: {
		readonly futureLimits: ReadonlyMap<string, number>;
		/** Tables whose rows of one message are refused together. */
		readonly atomic: ReadonlySet<string>;
		readonly breaker: BreakerLimits;
		readonly module: string;
	};
	readonly rows: RowSink;
	readonly records: RecordSink;
	readonly deadLetters: DeadLetterSink;
	/** Returns null before it is known. */
	readonly handlerVersion?: () => string | null;
	readonly clock: Clock;
	readonly listener: {
		deadLettered(letter: DeadLetter): void;
		skipped(partition: TopicPartition, offset: number, why: string | null): void;
		breakerClosed?(partition: TopicPartition, offset: number): void;
	};
	readonly finished: (offset: number) => void;
}

/** Why a message is poison. */
interface Poison {
	readonly kind: string;
	readonly error: { readonly message: string; readonly stack: string | null };
	readonly attempts: number;
}

/** Sends outcomes to the row sink or the dead letters, and finishes messages. */
export class OutcomeRouter {
	readonly #parts: RouterParts;
	readonly #queue: MessageQueue;
	readonly #moved: () => void;
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
	readonly #ended = lifetime();
	/** Number of records not settled yet. */
	#openRecords = 0;

	/** `moved` is called whenever a message is finished. */
	constructor(parts: RouterParts, queue: MessageQueue, moved: () => void) {
		this.#parts = parts;
		this.#queue = queue;
		this.#moved = moved;
		this.#breaker = new Breaker(parts.settings.breaker);
		this.#letters = new MessageLetters({
			...parts,
			signal: this.#ended.signal,
			opened: ({ held, message }) => queue.opened(held, message),
			closed: ({ held, message }) => this.#close(held, message),
		});
	}

	/** Routes the outcome of messages `handled.from` to `handled.to` (excluded) of `held`. They must be taken from the queue. */
	route(held: HeldBatch, handled: BatchOutcome): void {
		const outcome = withRefusedTogether(handled, this.#parts.settings.atomic);
		const future = this.#futureMessages(held, outcome.blocks);
		const blocks = future.size === 0 ? outcome.blocks : withoutFuture(outcome.blocks, future);
		for (const { messages } of blocks) {
			this.#letters.begin(held, messages);
			for (const message of messages) this.#queue.opened(held, message);
		}
		const records = outcome.records ? this.#openedRecords(held, outcome.records.blocks, future) : noRecords;
		const together = this.#finishTogether(held, outcome, blocks, records);
		this.#makeLetters(held, outcome, future, together);
		if (blocks.some((block) => block.length > 0)) this.#parts.rows.write(this.#submission(held, blocks, together));
		if (records.length > 0) this.#parts.records.produce(this.#recordSubmission(held, records, together));
		together?.routed();
		const count = countHandled(outcome);
		for (let i = 0; i < count; i++) this.#answered(held, outcome.handled?.[i] ?? outcome.from + i);
		this.#tellPassed();
		this.#moved();
	}

	/** Makes a dead letter of a poison message. */
	poison(held: HeldBatch, message: number, poison: Poison): void {
		this.#letters.begin(held, [message]);
		this.#passedBefore(held, message);
		this.#letter(held, message, causeOf(poison));
		this.#givenUp(held, message);
	}

	/** Skips a poison message, as configured: its letter is not open, and the breaker does not count it. */
	skip(held: HeldBatch, message: number, poison: Poison): void {
		const { partition, listener } = this.#parts;
		held.told[message] = LETTERED;
		this.#letters.begin(held, [message]);
		this.#letters.make(held, message, causeOf(poison), "skipped", ({ offset }) => listener.skipped(partition, offset, null));
		this.#givenUp(held, message);
	}

	/** Finishes the message without an outcome. */
	pass(held: HeldBatch, message: number): void {
		this.#givenUp(held, message);
	}

	/** Skips a message because a person asked for it, whatever the message is. `stored` is called once its letter is durable. */
	skipByHand(held: HeldBatch, message: number, why: string, stored: () => void): void {
		const { partition, listener } = this.#parts;
		held.told[message] = LETTERED;
		this.#letters.begin(held, [message]);
		this.#letters.make(held, message, { reason: "skipped", error: why, attempts: 0 }, "skipped", ({ offset }) => {
			listener.skipped(partition, offset, why);
			stored();
		});
		this.#givenUp(held, message);
	}

	/** Why dead letters are withheld and the partition has to wait, and what ends that; null while none are withheld. */
	get breakerReason(): string | null {
		const { reason } = this.#breaker;
		if (reason === null) return null;
		const { topic, partition } = this.#parts.partition;
		const resume = `pockaffe resume ${topic} ${partition}`;
		return `${reason}, the last ${this.#withheldFirst}; correct the cause, then save the handler's file or \`${resume}\`: then one message decides`;
	}

	/** True while one message decides whether dead letters may be created again. */
	get onTrial(): boolean {
		return this.#breaker.onTrial;
	}

	/** Queues the withheld messages again; the first of them decides. */
	tryAgain(): void {
		this.#tellPassed();
		this.#trial.clear();
		this.#queue.requeueWithheld();
		this.#breaker.tryAgain();
	}

	/** During a trial messages are handed over one by one: returns the first of `run`. */
	onTrialNext({ held, from }: Run): Run {
		// Earlier results of this message do not decide.
		held.told[from] = 0;
		this.#trial.add(held.batch.offsets[from] as number);
		return { held, from, to: from + 1 };
	}

	/** True if the partition should not hand over more: the broker is slow, and does not have this partition's records yet. */
	get waitsForBroker(): boolean {
		return this.#openRecords > 0 && this.#parts.records.isFull;
	}

	get disposed(): boolean {
		return this.#ended.signal.aborted;
	}

	/** Ignores all later reports, and gives up dead letters that wait for their target. Idempotent. */
	dispose(): void {
		this.#ended.abort(new Error("the partition was released"));
	}

	#submission(held: HeldBatch, blocks: readonly RowBlock[], together: FinishedTogether | null): RowSubmission {
		const { topic, partition } = this.#parts.partition;
		const { signal } = this.#ended;
		return {
			topic,
			partition,
			batch: held.batch,
			blocks,
			get released() {
				return signal.aborted;
			},
			settled: (message) => {
				this.#close(held, message);
				together?.settled(message);
			},
			settledAll: (messages) => {
				if (signal.aborted) return;
				for (let row = 0; row < messages.length; row++) {
					const message = messages[row] as number;
					if (this.#queue.closed(held, message)) this.#finished(held, message);
					together?.settled(message);
				}
				if (this.#queue.underway === 0) this.#moved();
			},
			refused: (message, fault) => {
				if (signal.aborted) return;
				// A message has one letter, and the breaker counts it once.
				const isRenewed = this.#letters.refuse(held, message, fault);
				if (!isRenewed) this.#letter(held, message, refusal(fault), together?.with(message));
				this.#close(held, message);
				together?.settled(message);
				if (this.#breaker.reason !== null) this.#moved();
			},
		};
	}

	/** Each record keeps its message open. Messages from the future (`future`) produce none. */
	#openedRecords(held: HeldBatch, all: readonly RecordBlock[], future: ReadonlyMap<number, LetterCause>): readonly RecordBlock[] {
		const blocks = future.size === 0 ? all : all.map((block) => withoutRecordsOf(block, future)).filter(({ length }) => length > 0);
		for (const { messages } of blocks) {
			this.#letters.begin(held, messages);
			for (const message of messages) this.#queue.opened(held, message);
			this.#openRecords += messages.length;
		}
		return blocks;
	}

	#recordSubmission(held: HeldBatch, blocks: readonly RecordBlock[], together: FinishedTogether | null): RecordSubmission {
		const { settledAll, refused } = this.#submission(held, [], together);
		const { topic, partition } = this.#parts.partition;
		const { signal } = this.#ended;
		return {
			...{ topic, partition, batch: held.batch, blocks, receivedAtMs: held.receivedAtMs },
			get released() {
				return signal.aborted;
			},
			settledAll: (messages) => {
				settledAll(messages);
				this.#recordsClosed(messages.length);
			},
			refused: (message, fault) => {
				refused(message, fault);
				this.#recordsClosed(1);
			},
		};
	}

	/** Once its last record is settled the partition no longer waits for the broker, whatever other partitions have there. */
	#recordsClosed(count: number): void {
		this.#openRecords -= count;
		if (this.#openRecords === 0 && !this.disposed) this.#moved();
	}

	/**
	 * Finishes what `finishedTo` covers: messages that earlier answers left unfinished, and messages of this run. The others stay unfinished.
	 */
	#finishTogether(
		held: HeldBatch,
		{ to, finished }: BatchOutcome,
		blocks: readonly RowBlock[],
		records: readonly RecordBlock[],
	): FinishedTogether | null {
		if (!finished) return null;
		const last = finished.to ?? -1;
		const messages = [...this.#queue.confirm(last)];
		for (let message = finished.from; message < to; message++) {
			if ((held.batch.offsets[message] as number) > last) this.#queue.leftUnconfirmed(held, message);
			else {
				this.#queue.opened(held, message);
				messages.push({ held, message });
			}
		}
		let rows = 0;
		for (const block of [...blocks, ...records]) for (const message of block.messages) if (message >= finished.from) rows++;
		return new FinishedTogether({ from: finished.from, rows, messages, close: (each) => this.#close(each.held, each.message) });
	}

	/** Makes the letters of a run in the order of its messages, so that the breaker sees them in that order. */
	#makeLetters(
		held: HeldBatch,
		{ faults, rejected }: BatchOutcome,
		future: ReadonlyMap<number, LetterCause>,
		together: FinishedTogether | null,
	): void {
		const causes = new Map(future);
		for (const { message, why } of rejected) causes.set(message, { reason: "rejected", error: why });
		for (const { message, fault } of faults) if (!causes.has(message)) causes.set(message, refusal(fault));
		this.#letters.begin(held, causes.keys());
		for (const { message, fault } of faults) if (causes.get(message)?.reason === "row_fault") this.#letters.refuse(held, message, fault);
		for (const message of [...causes.keys()].sort((left, right) => left - right)) {
			const cause = causes.get(message) as LetterCause;
			this.#passedBefore(held, message);
			// A rejected message has no rows, so it holds no other message's rows.
			this.#letter(held, message, cause, cause.reason === "rejected" ? [] : together?.with(message));
		}
	}

	/**
	 * The messages whose timestamp is too far ahead for a table with `cas.version: timestamp`. They become dead letters, and none of their
	 * rows is written.
	 */
	#futureMessages(held: HeldBatch, blocks: readonly RowBlock[]): ReadonlyMap<number, LetterCause> {
		const future = new Map<number, LetterCause>();
		const now = this.#parts.clock.now();
		for (const { table, messages } of blocks) {
			const maxFutureMs = this.#parts.settings.futureLimits.get(table);
			if (maxFutureMs === undefined) continue;
			const latest = now + maxFutureMs;
			for (const message of messages) {
				const timestamp = held.batch.timestamps[message] as number;
				if (timestamp <= latest || future.has(message)) continue;
				const ahead = Math.round((timestamp - now) / 1000);
				const error = `the message's timestamp is ${ahead} s ahead of this machine's clock, more than cas.maxFutureMs allows`;
				future.set(message, { reason: "future_timestamp", error });
			}
		}
		return future;
	}

	/**
	 * Stores a dead letter, or withholds it. The message stays open until the letter is durable. If the letter is withheld, `others` stay
	 * open too: what is made of them was in this message's rows.
	 */
	#letter(held: HeldBatch, message: number, cause: LetterCause, others: readonly HeldMessage[] = []): void {
		if (this.#ended.signal.aborted) return;
		this.#tellPassed();
		const offset = held.batch.offsets[message] as number;
		const wasOpen = this.#breaker.reason !== null;
		if (!this.#decides(offset) || !this.#breaker.admits(this.#parts.clock.monotonic())) {
			if (!wasOpen && this.#breaker.reason !== null) this.#withheldFirst = this.#nameOf(offset, cause);
			for (const each of [...others, { held, message }]) this.#queue.withhold(each.held, each.message);
			return;
		}
		held.told[message] = LETTERED;
		this.#letters.make(held, message, cause, "open", (letter) => this.#parts.listener.deadLettered(letter));
	}

	/**
	 * When a letter is made for a message in the thread, the messages before it were handled well. Tells the breaker so, without waiting
	 * until the database has their rows: otherwise the letters of a backlog would look consecutive when they are not.
	 */
	#passedBefore(held: HeldBatch, message: number): void {
		if (this.#breaker.onTrial || this.#breaker.reason !== null) return;
		for (let before = message - 1; before >= 0 && held.told[before] === 0; before--) {
			held.told[before] = PASSED;
			this.#passed++;
		}
	}

	#nameOf(offset: number, { reason, sqlstate, table, error }: LetterCause): string {
		const { partition, settings } = this.#parts;
		const at = `at ${partitionName(partition)} offset ${offset}: ${reason}`;
		if (reason === "row_fault" && sqlstate?.startsWith("kafka_")) return `${at}, ${table} refuses its record with ${sqlstate}`;
		if (reason === "row_fault") return `${at}, ${table} refuses its row with SQLSTATE ${sqlstate}`;
		if (reason === "rejected") return `${at} by ${settings.module}`;
		return reason === "future_timestamp" ? `${at}: ${error}` : `${at}, ${settings.module}: ${withoutValues(error)}`;
	}

	#close(held: HeldBatch, message: number): void {
		if (this.#ended.signal.aborted) return;
		if (this.#queue.closed(held, message)) this.#finished(held, message);
		this.#movedIfDone();
	}

	/** The hand-over of the message is over. */
	#answered(held: HeldBatch, message: number): void {
		if (this.#queue.answered(held, message)) this.#finished(held, message);
	}

	#givenUp(held: HeldBatch, message: number): void {
		if (this.#ended.signal.aborted) return;
		this.#answered(held, message);
		this.#movedIfDone();
	}

	#movedIfDone(): void {
		if (this.#queue.underway === 0) this.#moved();
	}

	#finished(held: HeldBatch, message: number): void {
		const offset = held.batch.offsets[message] as number;
		this.#parts.finished(offset);
		if (held.told[message] !== 0 || !this.#decides(offset)) return;
		held.told[message] = PASSED;
		this.#passed++;
		if (this.#breaker.onTrial) this.#pass(offset);
	}

	/** False if a trial is under way and this message is not part of it. */
	#decides(offset: number): boolean {
		return !this.#breaker.onTrial || this.#trial.has(offset);
	}

	/**
	 * The trial message at `offset` went through, so the breaker closes. Letters of earlier messages were withheld meanwhile: those messages are handled
	 * again.
	 */
	#pass(offset: number): void {
		this.#tellPassed();
		this.#parts.listener.breakerClosed?.(this.#parts.partition, offset);
		this.#queue.requeueWithheld();
		this.#moved();
	}

	/** Messages are counted one by one and reported to the breaker in bulk, because this runs for every message. */
	#tellPassed(): void {
		this.#breaker.passed(this.#passed, this.#parts.clock.monotonic());
		this.#passed = 0;
	}
}

const noRecords: readonly RecordBlock[] = [];

function withoutFuture(blocks: readonly RowBlock[], future: ReadonlyMap<number, unknown>): RowBlock[] {
	return blocks.map((block) => withoutMessages(block, future)).filter(({ length }) => length > 0);
}

function causeOf({ kind, error, attempts }: Poison): LetterCause {
	const reason = kind === "timeout" ? "timeout" : kind === "process" ? "process_died" : "poison";
	return { reason, error: error.message, stack: error.stack, attempts };
}
