/**
 * Commits what the ledger says is due: by interval, and at once on drain. One commit is under way at a time, so that an older one can't
 * land after a newer one. A failed commit changes nothing; the next one covers it.
 *
 *   is it still the same log? -> note how far it came, durably -> commit
 *
 * Step 10 of a message's way (README).
 */
import { EventEmitter } from "eventemitter3";
import type { Clock, Timer } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../core/message.ts";
import { NOTES_REFUSED } from "../core/position-note.ts";
import { KafkaError, kafkaErrors } from "./kafka-error.ts";
import type { LogWatch } from "./log-watch.ts";
import type { DueOffset, OffsetLedger } from "./offset-ledger.ts";
import type { OffsetStore } from "./offset-store.ts";

/** Past facts of the committer. */
export interface CommitterEvents {
	"offsets:committed": (fact: { offsets: readonly TopicPartitionOffset[]; durationMs: number }) => void;
	"offsets:commit_failed": (fact: { offsets: readonly TopicPartitionOffset[]; message: string; code: string | number | null }) => void;
}

/** What the committer is made of. `intervalMs` is `offsets.commitIntervalMs`. */
export interface OffsetCommitterParts {
	readonly ledger: OffsetLedger;
	readonly store: Pick<OffsetStore, "note" | "commit">;
	/** Drops from the ledger what is of another log by now. */
	readonly logs: Pick<LogWatch, "check">;
	readonly clock: Clock;
	readonly intervalMs: number;
}

/** `refused`: nothing that the next moment changes. */
type CommitResult = "stored" | "failed" | "refused";

const RETRY_MS = 100;
/** A note that took so long is no moment: the log may be another one by then. */
const LONG_NOTE_MS = 1_000;
/**
 * Refusals of Kafka that pass: with the end of a rebalance, with the coordinator's move, and a deleted topic's when `LogWatch` has
 * looked, behind which its offsets aren't due any more. For a coordinator that is away the client has waited for six seconds itself, and
 * its close waits for a commit under way.
 */
const MOMENTARY: readonly number[] = [
	kafkaErrors.coordinatorLoadInProgress,
	kafkaErrors.coordinatorNotAvailable,
	kafkaErrors.notCoordinator,
	kafkaErrors.illegalGeneration,
	kafkaErrors.rebalanceInProgress,
	kafkaErrors.unknownTopicOrPartition,
];

/** See the file's header. */
export class OffsetCommitter extends EventEmitter<CommitterEvents> {
	readonly #parts: OffsetCommitterParts;
	#timer: Timer | null = null;
	#last: Promise<unknown> = Promise.resolve();
	#disposed = false;

	constructor(parts: OffsetCommitterParts) {
		super();
		this.#parts = parts;
	}

	/** Begins to commit by interval. */
	start(): void {
		this.#timer ??= this.#parts.clock.after(this.#parts.intervalMs, () => {
			this.#timer = null;
			void this.commit().finally(() => {
				if (!this.#disposed) this.start();
			});
		});
	}

	/**
	 * Commits what is due now, of all partitions or of those given, after a commit that is under way.
	 * Resolves to true when all of it is stored (or nothing was due), false when it failed; never rejects.
	 */
	async commit(partitions?: readonly TopicPartition[]): Promise<boolean> {
		return (await this.#commitNext(partitions)) === "stored";
	}

	/**
	 * The same for partitions that are given away: tried again until it works, is refused for more than a moment, or `timeoutMs` have passed. A commit
	 * that meets the end of a rebalance names the generation before it, and only the next one is taken.
	 */
	async commitWithin(timeoutMs: number, partitions: readonly TopicPartition[]): Promise<boolean> {
		const over = new AbortController();
		const timer = this.#parts.clock.after(timeoutMs, () => over.abort(new Error("no time left")));
		const timedOut = new Promise<false>((resolve) => over.signal.addEventListener("abort", () => resolve(false), { once: true }));
		const isStored = await Promise.race([this.#commitUntil(over.signal, partitions), timedOut]);
		timer.cancel();
		return isStored;
	}

	/** Stops the interval; a commit under way goes on. Idempotent. */
	dispose(): void {
		this.#disposed = true;
		this.#timer?.cancel();
		this.#timer = null;
	}

	async #commitUntil(signal: AbortSignal, partitions: readonly TopicPartition[]): Promise<boolean> {
		for (;;) {
			const result = await this.#commitNext(partitions);
			if (result === "stored") return true;
			if (result === "refused" || signal.aborted) return false;
			await this.#parts.clock.sleep(RETRY_MS, signal).catch(() => {});
			if (signal.aborted) return false;
		}
	}

	#commitNext(partitions?: readonly TopicPartition[]): Promise<CommitResult> {
		const next = this.#last.then(() => this.#commitDue(partitions));
		this.#last = next;
		return next;
	}

	async #commitDue(partitions?: readonly TopicPartition[]): Promise<CommitResult> {
		const { ledger, store, clock } = this.#parts;
		const startedAt = clock.monotonic();
		let due = ledger.due(partitions);
		if (due.length === 0) return "stored";
		try {
			due = await this.#prepared(due);
			if (due.length > 0) await store.commit(due);
		} catch (error) {
			const code = (error as { code?: string | number }).code ?? null;
			this.emit("offsets:commit_failed", { offsets: due, message: messageOf(error), code });
			return isRefused(error) ? "refused" : "failed";
		}
		ledger.committed(due);
		if (due.length > 0) this.emit("offsets:committed", { offsets: due, durationMs: clock.monotonic() - startedAt });
		return "stored";
	}

	/** Looked at and noted. What was lost meanwhile, or is of another log, is not ours to commit any more. */
	async #prepared(due: readonly DueOffset[]): Promise<DueOffset[]> {
		const { ledger, store, logs, clock } = this.#parts;
		await logs.check(due);
		const left = ledger.current(due);
		if (left.length === 0) return [];
		const askedAt = clock.monotonic();
		const others = new Set((await store.note(left)).map(partitionName));
		const noted = ledger.current(left).filter((each) => !others.has(partitionName(each)));
		if (clock.monotonic() - askedAt < LONG_NOTE_MS) return noted;
		await logs.check(noted);
		return ledger.current(noted);
	}
}

function isRefused(error: unknown): boolean {
	if (error instanceof KafkaError) return !MOMENTARY.includes(error.kafkaCode);
	return (error as { code?: unknown }).code === NOTES_REFUSED;
}
