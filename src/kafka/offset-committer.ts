/**
 * Commits what the ledger says is due: by interval, and at once on drain and for start positions. One commit is under way at a time,
 * so that an older one can't land after a newer one. A failed commit changes nothing; the next one covers it.
 *
 * Step 10 of a message's way (README).
 */
import { EventEmitter } from "eventemitter3";
import { exponentialBackOff } from "../core/back-off.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { TopicPartition, TopicPartitionOffset } from "../core/message.ts";
import { KafkaError, kafkaErrors } from "./kafka-error.ts";
import type { DueOffset, OffsetLedger } from "./offset-ledger.ts";

/** Where offsets are kept. */
export interface OffsetStore {
	/** Resolves when the group's offsets are stored; rejects (with a `code` where Kafka gave one) when they are not, or may not be. */
	commit(offsets: readonly TopicPartitionOffset[]): Promise<void>;
}

/** Past facts of the committer. */
export interface CommitterEvents {
	"offsets:committed": (fact: { offsets: readonly TopicPartitionOffset[]; durationMs: number }) => void;
	"offsets:commit_failed": (fact: { offsets: readonly TopicPartitionOffset[]; message: string; code: string | number | null }) => void;
}

/** The group is on its way to its next generation, which this member learns of in a moment; the commit can be repeated then. */
const BETWEEN_GENERATIONS: readonly number[] = [kafkaErrors.illegalGeneration, kafkaErrors.rebalanceInProgress];
/** 100 + 200 + 400 + 800 ms: a generation is made in some milliseconds, or a member is missing and waiting longer won't help. */
const LAST_COMMIT_TRIES = 5;
const LAST_COMMIT_BACK_OFF = { minMs: 100, maxMs: 800 };

type CommitResult = "stored" | "between generations" | "failed";

/** See the file's header. `intervalMs` is `offsets.commitIntervalMs`. */
export class OffsetCommitter extends EventEmitter<CommitterEvents> {
	readonly #ledger: OffsetLedger;
	readonly #store: OffsetStore;
	readonly #clock: Clock;
	readonly #intervalMs: number;
	#timer: Timer | null = null;
	#last: Promise<unknown> = Promise.resolve();
	#disposed = false;

	constructor(parts: { ledger: OffsetLedger; store: OffsetStore; clock: Clock; intervalMs: number }) {
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
		return (await this.#commit(partitions)) === "stored";
	}

	/**
	 * Commits before partitions are given away: no later commit covers this one, so what is refused because the group changes just now
	 * (one daemon stops while another joins) is tried again, and not handled a second time by the next owner. Resolves like `commit`.
	 */
	async commitLast(partitions: readonly TopicPartition[]): Promise<boolean> {
		for (let tries = 1; ; tries++) {
			const result = await this.#commit(partitions);
			if (result !== "between generations" || tries >= LAST_COMMIT_TRIES) return result === "stored";
			await this.#clock.sleep(exponentialBackOff(tries, LAST_COMMIT_BACK_OFF));
		}
	}

	#commit(partitions?: readonly TopicPartition[]): Promise<CommitResult> {
		const next = this.#last.then(() => this.#commitDue(this.#ledger.due(partitions)));
		this.#last = next;
		return next;
	}

	/** Stops the interval; a commit under way goes on. Idempotent. */
	dispose(): void {
		this.#disposed = true;
		this.#timer?.cancel();
		this.#timer = null;
	}

	async #commitDue(due: readonly DueOffset[]): Promise<CommitResult> {
		if (due.length === 0) return "stored";
		const startedAt = this.#clock.monotonic();
		try {
			await this.#store.commit(due);
		} catch (error) {
			const code = (error as { code?: string | number }).code ?? null;
			this.emit("offsets:commit_failed", { offsets: due, message: messageOf(error), code });
			return error instanceof KafkaError && BETWEEN_GENERATIONS.includes(error.kafkaCode) ? "between generations" : "failed";
		}
		this.#ledger.committed(due);
		this.emit("offsets:committed", { offsets: due, durationMs: this.#clock.monotonic() - startedAt });
		return "stored";
	}
}
