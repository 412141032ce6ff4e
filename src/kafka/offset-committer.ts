/**
 * Commits what the ledger says is due: by interval, and at once on drain and for start positions. One commit is under way at a time,
 * so that an older one can't land after a newer one. A failed commit changes nothing; the next one covers it.
 *
 * Step 10 of a message's way (README).
 */
import { EventEmitter } from "eventemitter3";
import type { Clock, Timer } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { TopicPartition, TopicPartitionOffset } from "../core/message.ts";
import { KafkaError, kafkaErrors } from "./kafka-error.ts";
import type { OffsetLedger } from "./offset-ledger.ts";
import type { OffsetStore } from "./offset-store.ts";

/** Past facts of the committer. */
export interface CommitterEvents {
	"offsets:committed": (fact: { offsets: readonly TopicPartitionOffset[]; durationMs: number }) => void;
	"offsets:commit_failed": (fact: { offsets: readonly TopicPartitionOffset[]; message: string; code: string | number | null }) => void;
}

/** `refused`: nothing that the next moment changes. */
type CommitResult = "stored" | "failed" | "refused";

const RETRY_MS = 100;
/**
 * Refusals of Kafka that pass: with the end of a rebalance, with the coordinator's move, and a deleted topic's when `RemadeLogs` has
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

/** See the file's header. `intervalMs` is `offsets.commitIntervalMs`. */
export class OffsetCommitter extends EventEmitter<CommitterEvents> {
	readonly #ledger: OffsetLedger;
	readonly #store: Pick<OffsetStore, "commit" | "refuseVanished">;
	readonly #clock: Clock;
	readonly #intervalMs: number;
	#timer: Timer | null = null;
	#last: Promise<unknown> = Promise.resolve();
	#disposed = false;

	constructor(parts: { ledger: OffsetLedger; store: Pick<OffsetStore, "commit" | "refuseVanished">; clock: Clock; intervalMs: number }) {
		super();
		this.#ledger = parts.ledger;
		this.#store = parts.store;
		this.#clock = parts.clock;
		this.#intervalMs = parts.intervalMs;
	}

	/** Begins to commit by interval. */
	start(): void {
		this.#timer ??= this.#clock.after(this.#intervalMs, () => {
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
		const timer = this.#clock.after(timeoutMs, () => over.abort(new Error("no time left")));
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
			await this.#clock.sleep(RETRY_MS, signal).catch(() => {});
			if (signal.aborted) return false;
		}
	}

	#commitNext(partitions?: readonly TopicPartition[]): Promise<CommitResult> {
		const next = this.#last.then(() => this.#commitDue(partitions));
		this.#last = next;
		return next;
	}

	async #commitDue(partitions?: readonly TopicPartition[]): Promise<CommitResult> {
		const startedAt = this.#clock.monotonic();
		let due = this.#ledger.due(partitions);
		if (due.length === 0) return "stored";
		try {
			await this.#store.refuseVanished(due);
			// What was lost meanwhile is not ours to commit any more.
			due = this.#ledger.due(partitions);
			if (due.length > 0) await this.#store.commit(due);
		} catch (error) {
			const code = (error as { code?: string | number }).code ?? null;
			this.emit("offsets:commit_failed", { offsets: due, message: messageOf(error), code });
			return error instanceof KafkaError && !MOMENTARY.includes(error.kafkaCode) ? "refused" : "failed";
		}
		this.#ledger.committed(due);
		this.emit("offsets:committed", { offsets: due, durationMs: this.#clock.monotonic() - startedAt });
		return "stored";
	}
}
