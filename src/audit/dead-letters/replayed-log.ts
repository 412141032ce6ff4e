/**
 * Replays the letters of one log with the daemon's own partition worker and writer, in the log's order, one attempt each. Reports each
 * letter's result; a handler may leave letters unfinished (`finishedTo`) until later ones come.
 */
import type { Config } from "../../config/config.ts";
import { tableLayouts } from "../../config/table-layouts.ts";
import type { Clock } from "../../core/clock.ts";
import type { DeadLetter, StoredLetter } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import type { HeldOffsets } from "../../core/messages/hand-note.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { packMessages } from "../../core/messages/message-codec.ts";
import type { LogId } from "../../core/offsets/log-identity.ts";
import type { Random } from "../../core/random.ts";
import { splitTexts } from "../../core/rows/joined-texts.ts";
import { Turn } from "../../core/waiting/turn.ts";
import type { HandNotes } from "../../worker/failures/careful-hand.ts";
import { PartitionWorker } from "../../worker/partition-worker.ts";
import type { RecordSink, RowSink, RowSubmission } from "../../worker/ports.ts";
import type { ThreadLease } from "../../worker/thread/handler-thread.ts";
import { auditSettings, listenerOf, unlimitedRestarts } from "../audit-worker.ts";

/** What replaying a log needs. */
export interface ReplayedLogParts {
	readonly config: Config;
	readonly clock: Clock;
	readonly random: Random;
	readonly threads: ThreadLease;
	readonly rows: RowSink;
	readonly records: RecordSink;
	/** Called with the letter that the handler gets next, and with null when it has none: if the process dies, the listener knows which. */
	readonly inHand: ((partition: TopicPartition, held: HeldOffsets | null) => void) | null;
	/** A letter is finished. */
	readonly finished: (outcome: ReplayOutcome) => void;
	/** The replay can't go on. */
	readonly failed: (error: ExitError) => void;
}

/** A letter's result, with the rows that it made. */
export interface ReplayOutcome {
	readonly letter: StoredLetter;
	readonly failure: DeadLetter | null;
	readonly rows: readonly WrittenRow[];
}

/** A row that was given to the writer. */
export interface WrittenRow {
	readonly table: string;
	readonly id: string;
}

/** The queue may hold at least this: one letter may be larger than the daemon's queue. */
const LEAST_QUEUE_BYTES = 512 * 2 ** 20;

/** Replays letters of one log. `end` or `kill` it. */
export class ReplayedLog {
	readonly #parts: ReplayedLogParts;
	readonly #partition: TopicPartition;
	readonly #worker: PartitionWorker;
	/** Letters handed over and not finished, by offset. */
	readonly #letters = new Map<number, StoredLetter>();
	readonly #failures = new Map<number, DeadLetter>();
	readonly #rows = new Map<number, WrittenRow[]>();
	#lastOffset = -1;
	#bytes = 0;
	#rest: () => void = () => {};

	constructor({ topic, partition }: TopicPartition, logId: LogId, parts: ReplayedLogParts) {
		this.#parts = parts;
		this.#partition = { topic, partition };
		this.#worker = this.#makeWorker(logId);
	}

	/** Offset of the last letter handed over; -1 before the first. */
	get lastOffset(): number {
		return this.#lastOffset;
	}

	/** Letters that the handler left unfinished, for later ones to finish them. */
	get left(): readonly StoredLetter[] {
		return [...this.#letters.values()];
	}

	/** Hands over the next letters; resolves when each of them is finished, or left unfinished. */
	async take(letters: readonly StoredLetter[]): Promise<void> {
		for (const letter of letters) this.#letters.set(letter.offset, letter);
		this.#lastOffset = letters.at(-1)?.offset ?? this.#lastOffset;
		this.#bytes = sizeOf(this.#letters.values());
		const rested = new Promise<void>((resolve) => (this.#rest = resolve));
		// A letter doesn't contain the type of its timestamp.
		const timestampType = this.#parts.config.kafka.timestampType || "undefined";
		this.#worker.deliver(packMessages(letters.map((letter) => ({ ...letter, timestampType }))));
		await rested;
		this.#parts.inHand?.(this.#partition, null);
	}

	/** Stops the worker; letters that are still unfinished stay so. */
	async end(): Promise<void> {
		await this.#worker.stop("shutdown");
	}

	async kill(): Promise<void> {
		await this.#worker.kill();
	}

	#makeWorker(logId: LogId): PartitionWorker {
		const { config, threads, inHand, clock, random } = this.#parts;
		return new PartitionWorker({
			partition: this.#partition,
			logId,
			settings: {
				// A message too far in the future is refused again.
				...auditSettings(config, tableLayouts(config)),
				maxAttempts: 1,
			},
			threads,
			rows: { write: (submission) => this.#write(submission), flush: () => this.#parts.rows.flush() },
			records: this.#parts.records,
			deadLetters: { store: async (letter: DeadLetter) => void this.#failures.set(letter.offset, letter) },
			intensity: unlimitedRestarts(),
			hand: inHand ? oneByOne((held) => inHand(this.#partition, held)) : null,
			turn: new Turn(),
			clock,
			random,
			finished: (offset) => this.#finished(offset),
			isFull: () => this.#isFull(),
			listener: {
				...listenerOf(() => {}),
				crashed: ({ kind, error }) => {
					if (kind === "load" || kind === "init") this.#parts.failed(new ExitError(exitCodes.found, "handler", error.message));
				},
			},
		});
	}

	#write(submission: RowSubmission): void {
		for (const { table, ids, length, messages, separators } of submission.blocks) {
			for (const [index, id] of splitTexts(ids, length, separators).entries()) {
				const offset = submission.batch.offsets[messages[index] as number] as number;
				this.#rows.set(offset, [...(this.#rows.get(offset) ?? []), { table, id: id as string }]);
			}
		}
		this.#parts.rows.write(submission);
	}

	#finished(offset: number): void {
		const letter = this.#letters.get(offset) as StoredLetter;
		this.#parts.finished({ letter, failure: this.#failures.get(offset) ?? null, rows: this.#rows.get(offset) ?? [] });
		for (const kept of [this.#letters, this.#failures, this.#rows]) kept.delete(offset);
		if (this.#letters.size === 0) this.#rest();
	}

	/** Asked when nothing is under way and the unfinished letters wait for later ones. */
	#isFull(): boolean {
		const { maxQueuedMessages, maxQueuedBytes } = this.#parts.config.workers;
		if (this.#letters.size > maxQueuedMessages || this.#bytes > Math.max(maxQueuedBytes, LEAST_QUEUE_BYTES)) {
			const limits = "workers.maxQueuedMessages, maxQueuedBytes";
			const why = `the handler left ${this.#letters.size} letters of ${partitionName(this.#partition)} unfinished by finishedTo: more than the queue may hold (${limits})`;
			this.#parts.failed(new ExitError(exitCodes.found, "handler", why));
		}
		this.#rest();
		return false;
	}
}

function sizeOf(letters: Iterable<StoredLetter>): number {
	let bytes = 0;
	for (const { value } of letters) bytes += value?.length ?? 0;
	return bytes;
}

/** Runs letters one by one: each may end the process, and then the user must learn which one did. */
function oneByOne(inHand: (held: HeldOffsets | null) => void): HandNotes {
	return {
		suspicion: { held: null, deaths: [], until: Number.POSITIVE_INFINITY },
		maxRun: 1,
		committed: () => -1,
		note: async ({ held }) => inHand(held),
	};
}
