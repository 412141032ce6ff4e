/**
 * Stores the dead letters of a partition's messages. A message has one letter. If more of its rows are refused while the letter is being
 * stored, it is stored once more, so that in the end it names every refused row.
 *
 * Step 6 of a message's way (docs/architecture.md).
 */
import type { DeadLetter, LetterRow } from "../../core/dead-letters/dead-letter.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import { messageAt } from "../../core/messages/message-codec.ts";
import type { LogId } from "../../core/offsets/log-identity.ts";
import { REFUSED_TOGETHER, type RowFault } from "../../core/rows/rows.ts";
import type { HeldBatch, HeldMessage } from "../message-queue.ts";
import type { DeadLetterSink } from "../ports.ts";

/** The cause of a dead letter. */
export type LetterCause = Pick<DeadLetter, "reason" | "error"> &
	Partial<Pick<DeadLetter, "stack" | "sqlstate" | "table" | "rowId" | "attempts">>;

/** What making and storing letters needs. */
export interface MessageLettersParts {
	readonly partition: TopicPartition;
	readonly logId: LogId;
	readonly deadLetters: DeadLetterSink;
	/** Returns null before it is known. */
	readonly handlerVersion?: () => string | null;
	/** Aborted when letters that are not stored yet have to be given up. */
	readonly signal: AbortSignal;
	/** The store of the message's letter begins: the message stays open until `closed`. */
	readonly opened: (message: HeldMessage) => void;
	readonly closed: (message: HeldMessage) => void;
}

/** The state of a message's letter during one hand-over. */
interface Progress {
	readonly rows: LetterRow[];
	/** Null while no letter was made. */
	cause: LetterCause | null;
	isStoring: boolean;
	isRenewed: boolean;
}

/** Stores the letters of a partition's messages, one letter per message. */
export class MessageLetters {
	readonly #parts: MessageLettersParts;
	readonly #progress = new WeakMap<HeldBatch, Map<number, Progress>>();

	constructor(parts: MessageLettersParts) {
		this.#parts = parts;
	}

	/** These messages were handed over: rows refused in an earlier hand-over no longer count. */
	begin(held: HeldBatch, messages: Iterable<number>): void {
		const ofBatch = this.#progress.get(held);
		if (ofBatch) for (const message of messages) ofBatch.delete(message);
	}

	/** A row of the message can't be written. True if its letter was made already; it is then stored again with this row. */
	refuse(held: HeldBatch, message: number, fault: RowFault): boolean {
		const progress = this.#of(held, message);
		progress.rows.push([fault.table, fault.rowId, fault.sqlstate]);
		if (progress.cause === null) return false;
		if (fault.sqlstate !== REFUSED_TOGETHER) progress.cause = refusal(fault);
		if (progress.isStoring) progress.isRenewed = true;
		else this.#store({ held, message }, progress, "open", () => {});
		return true;
	}

	/** Makes the letter. `stored` is called once it is durable. */
	make(held: HeldBatch, message: number, cause: LetterCause, state: DeadLetter["state"], stored: (letter: DeadLetter) => void): void {
		const progress = this.#of(held, message);
		progress.cause = cause;
		this.#store({ held, message }, progress, state, stored);
	}

	#store(of: HeldMessage, progress: Progress, state: DeadLetter["state"], stored: (letter: DeadLetter) => void): void {
		const { deadLetters, signal, opened, closed } = this.#parts;
		opened(of);
		progress.isStoring = true;
		progress.isRenewed = false;
		const letter = this.#letter(of, progress, state);
		deadLetters.store(letter, signal).then(
			() => {
				progress.isStoring = false;
				stored(letter);
				if (progress.isRenewed) this.#store(of, progress, state, () => {});
				closed(of);
			},
			// Only the signal ends a store: the partition was released, and its next owner receives the message again.
			() => {},
		);
	}

	#letter({ held, message }: HeldMessage, { cause, rows }: Progress, state: DeadLetter["state"]): DeadLetter {
		return {
			...this.#parts.partition,
			...messageAt(held.batch, message),
			topicId: this.#parts.logId,
			receivedAtMs: held.receivedAtMs,
			omitted: {},
			stack: null,
			sqlstate: null,
			table: null,
			rowId: null,
			// Rows refused until the letter is sent are included.
			refusedRows: rows,
			rowsLeftOut: 0,
			attempts: 1,
			handlerVersion: this.#parts.handlerVersion?.() ?? null,
			state,
			...(cause as LetterCause),
		};
	}

	#of(held: HeldBatch, message: number): Progress {
		let ofBatch = this.#progress.get(held);
		if (!ofBatch) {
			ofBatch = new Map();
			this.#progress.set(held, ofBatch);
		}
		let progress = ofBatch.get(message);
		if (!progress) {
			progress = { rows: [], cause: null, isStoring: false, isRenewed: false };
			ofBatch.set(message, progress);
		}
		return progress;
	}
}

/** The letter's cause if the database, or the thread in its place, refuses a row. */
export function refusal(fault: RowFault): LetterCause {
	return { reason: "row_fault", error: fault.message, sqlstate: fault.sqlstate, table: fault.table, rowId: fault.rowId };
}
