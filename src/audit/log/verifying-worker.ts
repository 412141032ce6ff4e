/**
 * Runs the handler over one partition's log with the daemon's own partition worker, so that each message has the same result as in the
 * daemon. Stores no dead letters, and gives the rows to the caller. Each message has one attempt here; second-attempts.ts makes the second
 * one in another thread. If the handler keeps messages open in its state (`finishedTo`), no other thread has that state: then each message
 * has two attempts here.
 */
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import type { DeadLetter } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import type { HeldOffsets, Suspicion } from "../../core/messages/hand-note.ts";
import type { ReceivedMessage, TopicPartition } from "../../core/messages/message.ts";
import { packMessages } from "../../core/messages/message-codec.ts";
import type { Random } from "../../core/random.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import { Turn } from "../../core/waiting/turn.ts";
import type { FailureKind } from "../../worker/failures/crash-report.ts";
import { PartitionWorker } from "../../worker/partition-worker.ts";
import type { RowSubmission } from "../../worker/ports.ts";
import { noRecords } from "../../worker/ports.ts";
import { countHandled, type ThreadLease } from "../../worker/thread/handler-thread.ts";
import type { RestartReason } from "../../worker/worker-parts.ts";
import { auditSettings, listenerOf, unlimitedRestarts } from "../audit-worker.ts";

/** What a verifying worker needs. */
export interface VerifyingWorkerParts {
	readonly config: Config;
	readonly layouts: readonly TableLayout[];
	readonly partition: TopicPartition;
	readonly threads: ThreadLease;
	readonly clock: Clock;
	readonly random: Random;
	/** Rows of handled messages, in the order of the log. */
	readonly rows: (submission: RowSubmission) => void;
	/** A message that the handler rejects, fails at, or makes an impossible row of. `isFinal`: another thread would show nothing more. */
	readonly failed: (letter: DeadLetter, isFinal: boolean) => void;
	/** As `LogPassParts.inHand`. */
	readonly inHand?: ((partition: TopicPartition, held: HeldOffsets | null) => void) | undefined;
	/** Called when `pending` may have changed. */
	readonly moved: () => void;
	/** Maximum ends of the thread in a row. Default: 2 × `supervisor.maxRestarts`. */
	readonly maxDeaths?: number;
	/** What exceeding it means, for the error. Default: nothing can be verified. */
	readonly inVain?: string;
}

/** Attempts of a message; also used for the default of `maxDeaths`. */
const ATTEMPTS = 2;
/** Every run is short and reported before it begins; no message has to run alone. */
const everyRun: Suspicion = { held: null, deaths: [], until: Number.POSITIVE_INFINITY };
/** Restarts because the thread died or did not answer. */
const deaths: ReadonlySet<RestartReason> = new Set(["exit", "timeout", "out_of_memory", "exception"]);

/** Runs the handler on one partition's log, without dead letters. */
export class VerifyingWorker {
	readonly #worker: PartitionWorker;
	readonly #maxDeaths: number;
	readonly #inVain: string;
	#deathsInARow = 0;
	/** The handler left messages unfinished at some time. */
	#keepsOpen = false;
	#isStateful = false;
	#recordsLeftOut = false;
	#failure: Error | null = null;

	constructor({ config, layouts, partition, threads, clock, random, rows, failed, inHand, moved, ...more }: VerifyingWorkerParts) {
		const { maxDeaths, inVain = "nothing can be verified" } = more;
		this.#inVain = inVain;
		this.#maxDeaths = maxDeaths ?? ATTEMPTS * config.supervisor.maxRestarts;
		const attempts = () => (this.#keepsOpen ? ATTEMPTS : 1);
		this.#worker = new PartitionWorker({
			partition,
			logId: null,
			settings: {
				...auditSettings(config, layouts),
				get maxAttempts() {
					return attempts();
				},
				// A message that was too far in the future is a dead letter by now, or is no longer in the future.
				futureLimits: new Map(),
			},
			threads,
			rows: {
				write: (submission) => {
					rows(submission);
					for (const { messages } of submission.blocks) for (const message of messages) submission.settled(message);
				},
				flush: () => {},
			},
			records: noRecords,
			deadLetters: { store: async (letter) => failed(letter, this.#keepsOpen) },
			intensity: unlimitedRestarts(),
			hand: inHand ? { suspicion: everyRun, committed: () => -1, note: async ({ held }) => inHand(partition, held) } : null,
			turn: new Turn(),
			clock,
			random,
			finished: moved,
			isFull: () => false,
			listener: {
				...listenerOf(moved),
				handled: (_, outcome) => {
					if (countHandled(outcome) > 0) this.#deathsInARow = 0;
					if (outcome.finished) this.#isStateful = true;
					if (outcome.recordsLeftOut) this.#recordsLeftOut = true;
					if (this.#worker.queue.unconfirmed > 0) this.#keepsOpen = true;
					moved();
				},
				restarted: (_, reason) => {
					if (deaths.has(reason)) this.#deathsInARow++;
				},
				crashed: ({ kind, error }) => {
					this.#crashed(kind, error.message);
					moved();
				},
			},
		});
	}

	/** Messages that are not handled yet; those left unfinished by `finishedTo` count as handled. Throws if the handler can't be loaded. */
	get pending(): number {
		if (this.#failure) throw this.#failure;
		const { queued, handed, unconfirmed } = this.#worker.queue;
		return queued + handed - unconfirmed;
	}

	/** Messages that the handler left unfinished so far. */
	get leftOpen(): number {
		return this.#worker.queue.unconfirmed;
	}

	/** True if the handler ever answered with `finishedTo`: then its rows depend on earlier messages too. */
	get isStateful(): boolean {
		return this.#isStateful;
	}

	/** True if the handler ever gave records: nothing is produced here. */
	get recordsLeftOut(): boolean {
		return this.#recordsLeftOut;
	}

	/** Offset of the first message that the handler left unfinished; null if there is none. */
	get firstOpen(): number | null {
		return this.#worker.queue.firstUnconfirmed;
	}

	/** Bytes of the messages it holds. */
	get bytes(): number {
		return this.#worker.queue.bytes;
	}

	/** Takes messages of its partition, in offset order. */
	deliver(messages: readonly ReceivedMessage[]): void {
		this.#worker.deliver(packMessages(messages));
	}

	/** A message whose thread dies counts as failed. If every message does, this gives up: the log would take a timeout per message. */
	#crashed(kind: FailureKind, message: string): void {
		if (kind === "load" || kind === "init") this.#failure ??= this.#endOf(message);
		if (this.#deathsInARow <= this.#maxDeaths) return;
		const what = `the handler's thread ended ${this.#deathsInARow} times in a row without handling a message (${ATTEMPTS} × supervisor.maxRestarts)`;
		this.#failure ??= this.#endOf(`${what}: ${message}`);
	}

	#endOf(why: string): ExitError {
		return new ExitError(exitCodes.found, "handler", `${this.#inVain}: ${why.replaceAll(/\s+/g, " ")}`);
	}

	/** `atOnce`: without waiting for the handler. */
	async stop(atOnce = false): Promise<void> {
		await (this.#failure || atOnce ? this.#worker.kill() : this.#worker.stop("shutdown"));
	}
}
