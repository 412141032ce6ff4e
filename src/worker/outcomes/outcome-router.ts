/**
 * Routes the outcomes of a handled batch: rows to the row sink, records to the record sink, rejected and refused messages to the dead
 * letters. A message is finished when nothing of it is outstanding. Knows nothing of threads and attempts.
 *
 * Step 6 of a message's way (docs/architecture.md).
 */

import type { Clock } from "../../core/clock.ts";
import type { DeadLetter } from "../../core/dead-letters/dead-letter.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { RecordBlock } from "../../core/messages/records.ts";
import { withoutRecordsOf } from "../../core/messages/records.ts";
import type { LogId } from "../../core/offsets/log-identity.ts";
import { type RowBlock, withoutMessages } from "../../core/rows/rows.ts";
import { lifetime } from "../../core/waiting/lifetime.ts";
import type { HeldBatch, MessageQueue } from "../message-queue.ts";
import type { DeadLetterSink, RecordSink, RecordSubmission, RowSink, RowSubmission } from "../ports.ts";
import { type BatchOutcome, countHandled } from "../thread/handler-thread.ts";
import type { BreakerLimits } from "./breaker.ts";
import { FinishedTogether } from "./finished-together.ts";
import { futureMessages } from "./future-messages.ts";
import { LetterGate } from "./letter-gate.ts";
import { type LetterCause, refusal } from "./message-letters.ts";
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

/** A failed attempt of a message, the `attempt`th. */
export interface FailedAttempt {
	readonly attempt: number;
	readonly error: Poison["error"];
}

/** Sends outcomes to the row sink or the dead letters, and finishes messages. */
export class OutcomeRouter {
	readonly #parts: RouterParts;
	readonly #queue: MessageQueue;
	readonly #moved: () => void;
	readonly #letters: LetterGate;
	readonly #ended = lifetime();
	/** Number of records not settled yet. */
	#openRecords = 0;

	/** `moved` is called whenever a message is finished. */
	constructor(parts: RouterParts, queue: MessageQueue, moved: () => void) {
		this.#parts = parts;
		this.#queue = queue;
		this.#moved = moved;
		this.#letters = new LetterGate({
			...parts,
			queue,
			signal: this.#ended.signal,
			closed: ({ held, message }) => this.#close(held, message),
		});
	}

	/** Routes the outcome of messages `handled.from` to `handled.to` (excluded) of `held`. They must be taken from the queue. */
	route(held: HeldBatch, handled: BatchOutcome): void {
		const outcome = withRefusedTogether(handled, this.#parts.settings.atomic);
		const { clock, settings } = this.#parts;
		const future = futureMessages(held.batch, outcome.blocks, settings.futureLimits, clock.now());
		const blocks =
			future.size === 0 ? outcome.blocks : outcome.blocks.map((block) => withoutMessages(block, future)).filter(({ length }) => length > 0);
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
		this.#letters.tellPassed();
		this.#moved();
	}

	/** Makes a dead letter of a poison message. */
	poison(held: HeldBatch, message: number, poison: Poison): void {
		this.#letters.begin(held, [message]);
		this.#letters.passedBefore(held, message);
		this.#letters.make(held, message, causeOf(poison));
		this.#givenUp(held, message);
	}

	/** Skips a poison message, as configured: its letter is not open, and the breaker does not count it. */
	skip(held: HeldBatch, message: number, poison: Poison): void {
		const { partition, listener } = this.#parts;
		this.#letters.makeSkipped(held, message, causeOf(poison), ({ offset }) => listener.skipped(partition, offset, null));
		this.#givenUp(held, message);
	}

	/** Finishes the message without an outcome. */
	pass(held: HeldBatch, message: number): void {
		this.#givenUp(held, message);
	}

	/**
	 * Skips a message because a person asked for it, whatever the message is. `failed`: its last attempt, if it had failed before. `stored` is
	 * called once its letter is durable.
	 */
	skipByHand(held: HeldBatch, message: number, why: string, failed: FailedAttempt | null, stored: () => void): void {
		const { partition, listener } = this.#parts;
		const cause = failed
			? { error: `${why}; before, it failed: ${failed.error.message}`, stack: failed.error.stack, attempts: failed.attempt }
			: { error: why, attempts: 0 };
		this.#letters.makeSkipped(held, message, { reason: "skipped", ...cause }, ({ offset }) => {
			listener.skipped(partition, offset, why);
			stored();
		});
		this.#givenUp(held, message);
	}

	/** Decides which dead letters may be made; asked why the partition has to wait, and to try again. */
	get letters(): Pick<LetterGate, "reason" | "onTrial" | "onTrialNext" | "tryAgain"> {
		return this.#letters;
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
				if (!isRenewed) this.#letters.make(held, message, refusal(fault), together?.with(message));
				this.#close(held, message);
				together?.settled(message);
				if (this.#letters.isShut) this.#moved();
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
			this.#letters.passedBefore(held, message);
			// A rejected message has no rows, so it holds no other message's rows.
			this.#letters.make(held, message, cause, cause.reason === "rejected" ? [] : together?.with(message));
		}
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
		if (this.#letters.finished(held, message, offset)) this.#moved();
	}
}

const noRecords: readonly RecordBlock[] = [];

function causeOf({ kind, error, attempts }: Poison): LetterCause {
	const reason = kind === "timeout" ? "timeout" : kind === "process" ? "process_died" : "poison";
	return { reason, error: error.message, stack: error.stack, attempts };
}
