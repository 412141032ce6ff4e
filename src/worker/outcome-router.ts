/**
 * What becomes of a handled batch: rows to the row sink, rejected and refused messages to the dead letters, and a message finished
 * when nothing of it is outstanding any more. Knows nothing of threads and attempts.
 *
 * Step 6 of a message's way (README).
 */
import type { Clock } from "../core/clock.ts";
import type { DeadLetter } from "../core/dead-letter.ts";
import type { TopicPartition } from "../core/message.ts";
import type { RowBlock, RowFault } from "../core/rows.ts";
import type { BatchOutcome } from "./handler-thread.ts";
import type { HeldBatch, MessageQueue } from "./message-queue.ts";
import type { DeadLetterSink, RowSink, RowSubmission } from "./ports.ts";
import { keyAt, messageAt } from "./thread-codec.ts";

/** What the router needs of its worker's parts. */
export interface RouterParts {
	readonly partition: TopicPartition;
	readonly settings: { readonly futureLimits: ReadonlyMap<string, number> };
	readonly rows: RowSink;
	readonly deadLetters: DeadLetterSink;
	readonly clock: Clock;
	readonly listener: {
		deadLettered(letter: DeadLetter): void;
		skipped(partition: TopicPartition, offset: number): void;
	};
	readonly finished: (offset: number) => void;
}

type LetterCause = Pick<DeadLetter, "reason" | "error"> & Partial<Pick<DeadLetter, "stack" | "sqlstate" | "table" | "rowId" | "attempts">>;

/** See the file's header. */
export class OutcomeRouter {
	readonly #parts: RouterParts;
	readonly #queue: MessageQueue;
	readonly #moved: () => void;
	readonly #ended = new AbortController();

	/** `moved` is called whenever a message was finished. */
	constructor(parts: RouterParts, queue: MessageQueue, moved: () => void) {
		this.#parts = parts;
		this.#queue = queue;
		this.#moved = moved;
	}

	/** Routes what the handler made of messages `outcome.from` to `outcome.to` of `held`, which are taken from the queue. */
	route(held: HeldBatch, outcome: BatchOutcome): void {
		const dropped = this.#dropFuture(held, outcome.blocks);
		const blocks = dropped.size === 0 ? outcome.blocks : outcome.blocks.map((block) => withoutMessages(block, dropped));
		for (const block of blocks) for (const message of block.messages) this.#queue.opened(held, message);
		this.#leaveUnconfirmed(held, outcome);
		for (const { message, fault } of outcome.faults) if (!dropped.has(message)) this.#letter(held, message, refusal(fault));
		for (const { message, why } of outcome.rejected) this.#letter(held, message, { reason: "rejected", error: why });
		if (blocks.some((block) => block.length > 0)) this.#parts.rows.write(this.#submission(held, blocks));
		for (let message = outcome.from; message < outcome.to; message++) {
			if (this.#queue.closed(held, message)) this.#finished(held, message);
		}
		this.#moved();
	}

	/** A poison message is dead-lettered. */
	poison(
		held: HeldBatch,
		message: number,
		poison: { kind: string; error: { message: string; stack: string | null }; attempts: number },
	): void {
		const { kind, error, attempts } = poison;
		const reason = kind === "timeout" ? "timeout" : "poison";
		this.#letter(held, message, { reason, error: error.message, stack: error.stack, attempts });
		this.#close(held, message);
	}

	/** A poison message is passed over, as configured. */
	skip(held: HeldBatch, message: number): void {
		this.#parts.listener.skipped(this.#parts.partition, held.batch.offsets[message] as number);
		if (this.#queue.closed(held, message)) this.#finished(held, message);
		this.#moved();
	}

	/** The key of a message, for reports. */
	keyOf(held: HeldBatch, message: number): Buffer | null {
		return keyAt(held.batch, message);
	}

	get disposed(): boolean {
		return this.#ended.signal.aborted;
	}

	/** What still comes back is ignored from here on, and dead letters that wait for their target are given up. Idempotent. */
	dispose(): void {
		this.#ended.abort(new Error("the partition was released"));
	}

	#submission(held: HeldBatch, blocks: readonly RowBlock[]): RowSubmission {
		const { topic, partition } = this.#parts.partition;
		return {
			topic,
			partition,
			batch: held.batch,
			blocks,
			settled: (message) => this.#close(held, message),
			refused: (message, fault) => {
				this.#letter(held, message, refusal(fault));
				this.#close(held, message);
			},
		};
	}

	#leaveUnconfirmed(held: HeldBatch, { from, to, finishedTo }: BatchOutcome): void {
		if (finishedTo === undefined) return;
		const last = finishedTo ?? -1;
		this.#queue.confirm(last, (earlier, message) => this.#close(earlier, message));
		for (let message = from; message < to; message++) {
			if ((held.batch.offsets[message] as number) > last) this.#queue.leftUnconfirmed(held, message);
		}
	}

	/** Messages whose timestamp is too far ahead for a table guarded by it: dead letters, none of their rows is written. */
	#dropFuture(held: HeldBatch, blocks: readonly RowBlock[]): ReadonlySet<number> {
		const dropped = new Set<number>();
		const now = this.#parts.clock.now();
		for (const { table, messages } of blocks) {
			const maxFutureMs = this.#parts.settings.futureLimits.get(table);
			if (maxFutureMs === undefined) continue;
			const latest = now + maxFutureMs;
			for (const message of messages) if ((held.batch.timestamps[message] as number) > latest) dropped.add(message);
		}
		for (const message of dropped) {
			const ahead = Math.round(((held.batch.timestamps[message] as number) - now) / 1000);
			this.#letter(held, message, {
				reason: "future_timestamp",
				error: `the message's timestamp is ${ahead} s ahead of this machine's clock, more than cas.maxFutureMs allows`,
			});
		}
		return dropped;
	}

	/** Stores a dead letter; the message stays open until it is durable. */
	#letter(held: HeldBatch, message: number, cause: LetterCause): void {
		if (this.#ended.signal.aborted) return;
		this.#queue.opened(held, message);
		const letter: DeadLetter = {
			...this.#parts.partition,
			...messageAt(held.batch, message),
			stack: null,
			sqlstate: null,
			table: null,
			rowId: null,
			attempts: 1,
			state: "open",
			...cause,
		};
		this.#parts.deadLetters.store(letter, this.#ended.signal).then(
			() => {
				this.#parts.listener.deadLettered(letter);
				this.#close(held, message);
			},
			// Only the signal ends a store: the partition is released, and its next owner meets the message again.
			() => {},
		);
	}

	#close(held: HeldBatch, message: number): void {
		if (this.#ended.signal.aborted) return;
		if (this.#queue.closed(held, message)) {
			this.#finished(held, message);
			if (this.#queue.handed === 0) this.#moved();
		}
	}

	#finished(held: HeldBatch, message: number): void {
		this.#parts.finished(held.batch.offsets[message] as number);
	}
}

function refusal(fault: RowFault): LetterCause {
	return { reason: "row_fault", error: fault.message, sqlstate: fault.sqlstate, table: fault.table, rowId: fault.rowId };
}

function withoutMessages(block: RowBlock, dropped: ReadonlySet<number>): RowBlock {
	const kept: number[] = [];
	for (let row = 0; row < block.length; row++) if (!dropped.has(block.messages[row] as number)) kept.push(row);
	return {
		table: block.table,
		length: kept.length,
		messages: Int32Array.from(kept, (row) => block.messages[row] as number),
		ids: kept.map((row) => block.ids[row] as string),
		deletes: Uint8Array.from(kept, (row) => block.deletes[row] as number),
		columns: block.columns.map((column) => kept.map((row) => column[row] as string | null)),
		bytes: Int32Array.from(kept, (row) => block.bytes[row] as number),
	};
}
