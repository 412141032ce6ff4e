/**
 * Runs the handler on a part of the log, and passes on the rows of each message. A message that fails is tried once more in another thread
 * before it is reported.
 */
import { availableParallelism } from "node:os";
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import type { DeadLetter } from "../../core/dead-letters/dead-letter.ts";
import type { HeldOffsets } from "../../core/messages/hand-note.ts";
import { partitionName, type ReceivedMessage, type TopicPartition } from "../../core/messages/message.ts";
import type { Random } from "../../core/random.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import { knownSecrets, maskedFailure } from "../../core/text/secret-mask.ts";
import { threadOptions } from "../../daemon/daemon-parts.ts";
import type { LogRange, LogReader } from "../../kafka/log-reader.ts";
import type { RowSubmission } from "../../worker/ports.ts";
import { createHandlerThreads } from "../../worker/thread/worker-thread.ts";
import { SecondAttempts } from "./second-attempts.ts";
import { VerifyingWorker, type VerifyingWorkerParts } from "./verifying-worker.ts";

/** Saves the progress of a pass. */
export interface Checkpoint {
	/** Asked between two messages. */
	readonly isDue: () => boolean;
	/** Called when every message that was read is handled. `open`: the first message that each partition's handler left unfinished. */
	readonly take: (open: ReadonlyMap<string, number>) => Promise<void>;
}

/** What a pass needs. */
export interface LogPassParts {
	readonly config: Config;
	readonly clock: Clock;
	readonly random: Random;
	readonly layouts: readonly TableLayout[];
	/** The purpose that the handler's `init` gets. */
	readonly purpose: "verify" | "reprocess";
	readonly signal: AbortSignal;
	/** Called before each hand-over with its offsets; null: nothing is in hand. If the process dies, the listener knows what was in hand. */
	readonly inHand?: ((partition: TopicPartition, held: HeldOffsets | null) => void) | undefined;
	/** Gets messages as they are read; returns those that the handler should handle. */
	readonly read: (partition: TopicPartition, messages: readonly ReceivedMessage[]) => readonly ReceivedMessage[];
	readonly rows: (submission: RowSubmission) => void;
	/** Makes room for rows before more of them come. */
	readonly relieve: () => Promise<void>;
	/** Saves the progress, so that an interrupted pass can go on later. */
	readonly checkpoint?: Checkpoint | undefined;
	/** True if a failure of this message does not matter. */
	readonly mayFail: (letter: DeadLetter) => boolean;
	/** Called if the handler failed at the message in two threads. */
	readonly failed: (letter: DeadLetter) => void;
}

/** Messages read and not handled yet, in all partitions, and their bytes. */
const MAX_PENDING = { messages: 4_000, bytes: 16 * 1024 * 1024 };
/** Maximum threads at a time: more would only share the processors. */
const MAX_THREADS = Math.min(4, availableParallelism());

/** Runs the handler on a part of the log. */
export class LogPass {
	readonly #parts: LogPassParts;
	readonly #second: SecondAttempts;
	#wake: () => void = () => {};
	#isStateful = false;
	#recordsLeftOut = false;

	constructor(parts: LogPassParts) {
		this.#parts = parts;
		parts.signal.addEventListener("abort", () => this.#wake(), { once: true });
		this.#second = new SecondAttempts({
			createWorker: (partition, over) => this.#createWorker(partition, over),
			until: (holds) => this.#until(holds),
			isAborted: () => parts.signal.aborted,
			failed: (letter) => parts.failed(maskedFailure(letter, knownSecrets.mask)),
		});
	}

	/** True if the handler ever answered with `finishedTo`: then its rows depend on earlier messages too. */
	get isStateful(): boolean {
		return this.#isStateful;
	}

	/** True if the handler ever gave records: nothing is produced here. */
	get recordsLeftOut(): boolean {
		return this.#recordsLeftOut;
	}

	/** Reads these ranges. Rejects with the reader's error, with ExitError if the handler can't be run, or with the signal's reason. */
	async run(reader: LogReader, ranges: readonly LogRange[]): Promise<void> {
		const open = ranges.filter(({ from, to }) => from < to);
		for (let at = 0; at < open.length; at += MAX_THREADS) await this.#handle(reader, open.slice(at, at + MAX_THREADS));
	}

	/** Handles each partition in a thread of its own. */
	async #handle(reader: LogReader, ranges: readonly LogRange[]): Promise<void> {
		const workers = new Map(ranges.map((range) => [partitionName(range), this.#createWorker(range)]));
		const sum = (figure: (worker: VerifyingWorker) => number) => [...workers.values()].reduce((total, worker) => total + figure(worker), 0);
		const pending = () => sum((worker) => worker.pending);
		const bytes = () => sum((worker) => worker.bytes);
		try {
			for await (const [partition, messages] of reader.read(ranges)) {
				const wanted = this.#parts.read(partition, messages);
				if (wanted.length > 0) workers.get(partitionName(partition))?.deliver(wanted);
				await this.#until(() => pending() === 0 || (pending() < MAX_PENDING.messages && bytes() < MAX_PENDING.bytes));
				const isDue = this.#parts.checkpoint?.isDue() === true;
				if (this.#second.isFull || isDue) {
					await this.#until(() => pending() === 0);
					await this.#second.run();
				}
				if (isDue) await this.#parts.checkpoint?.take(firstOpen(workers));
				await this.#parts.relieve();
			}
			await this.#until(() => pending() === 0);
			await this.#second.run();
			await this.#parts.relieve();
		} finally {
			this.#isStateful ||= [...workers.values()].some(({ isStateful }) => isStateful);
			this.#recordsLeftOut ||= [...workers.values()].some(({ recordsLeftOut }) => recordsLeftOut);
			const { aborted } = this.#parts.signal;
			const stopped = Promise.all([...workers.values()].map((worker) => worker.stop(aborted)));
			// Nobody waits for a handler after Ctrl-C.
			if (!aborted) await stopped;
		}
	}

	#createWorker({ topic, partition }: TopicPartition, over: Partial<VerifyingWorkerParts> = {}): VerifyingWorker {
		const { config, clock, random, layouts, purpose, rows, inHand, mayFail, failed } = this.#parts;
		return new VerifyingWorker({
			config,
			layouts,
			partition: { topic, partition },
			threads: createHandlerThreads({ ...threadOptions(config, layouts), purpose, printed: () => {} }).lease({
				topic,
				partition,
			}),
			clock,
			random,
			rows,
			failed: (letter, isFinal) => {
				if (mayFail(letter)) return;
				const told = maskedFailure(letter, knownSecrets.mask);
				if (isFinal) failed(told);
				else this.#second.add(told);
			},
			inHand,
			...(purpose === "reprocess" && { inVain: "nothing was changed" }),
			moved: () => this.#wake(),
			...over,
		});
	}

	/** Waits for the workers; throws if one can't go on, or if somebody ended the pass. */
	async #until(holds: () => boolean): Promise<void> {
		const { signal } = this.#parts;
		for (;;) {
			signal.throwIfAborted();
			if (holds()) return;
			await new Promise<void>((resolve) => {
				this.#wake = resolve;
			});
		}
	}
}

function firstOpen(workers: ReadonlyMap<string, VerifyingWorker>): Map<string, number> {
	return new Map([...workers].flatMap(([name, worker]) => (worker.firstOpen === null ? [] : [[name, worker.firstOpen] as const])));
}
