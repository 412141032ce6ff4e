/**
 * Commits of a node-rdkafka consumer. A commit's result comes as an event during a poll, and only its offsets tell which commit it belongs
 * to. So commits go one at a time. If no result comes, the outcome is unknown.
 */
import type { LibrdKafkaError, KafkaConsumer as RawConsumer, TopicPartition as RawPartition } from "node-rdkafka";
import type { Clock } from "../../core/clock.ts";
import type { TopicPartitionOffset } from "../../core/messages/message.ts";
import { KafkaError } from "./kafka-error.ts";

const TIMEOUT_MS = 30_000;

interface PendingCommit {
	readonly offsets: string;
	settle(error: KafkaError | null): void;
}

/** Commits offsets, one request at a time. Promises reject with KafkaError. */
export class ClientCommits {
	readonly #raw: RawConsumer;
	readonly #clock: Clock;
	readonly #errorOf: (error: LibrdKafkaError) => KafkaError;
	#pending: PendingCommit | null = null;
	#last: Promise<void> = Promise.resolve();
	#unanswered = 0;

	/** `errorOf` converts the client's errors. */
	constructor(raw: RawConsumer, clock: Clock, errorOf: (error: LibrdKafkaError) => KafkaError) {
		this.#raw = raw;
		this.#clock = clock;
		this.#errorOf = errorOf;
		raw.on("offset.commit", (error, offsets) => this.#answered(error, offsets));
	}

	/** Commits passed to librdkafka without a result yet. */
	get unanswered(): number {
		return this.#unanswered;
	}

	/** Commits after the commit that is under way. Every partition must have an offset: node-rdkafka commits 0 for a missing one. */
	commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		const commit = this.#last.then(() => this.#commit(offsets));
		this.#last = commit.catch(() => {});
		return commit;
	}

	#commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		const list = offsets.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
		return new Promise((resolve, reject) => {
			const timer = this.#clock.after(TIMEOUT_MS, () =>
				this.#pending?.settle(new KafkaError(`no answer to the commit within ${TIMEOUT_MS} ms`, -1)),
			);
			this.#pending = {
				offsets: identityOf(list),
				settle: (error) => {
					timer.cancel();
					this.#pending = null;
					if (error) reject(error);
					else resolve();
				},
			};
			try {
				this.#raw.commit(list);
				this.#unanswered++;
			} catch (error) {
				this.#pending.settle(this.#errorOf(error as LibrdKafkaError));
			}
		});
	}

	#answered(error: LibrdKafkaError | null, offsets: RawPartition[]): void {
		this.#unanswered = Math.max(0, this.#unanswered - 1);
		const failed = error ? this.#errorOf(error) : null;
		if (this.#pending?.offsets === identityOf(offsets as TopicPartitionOffset[])) this.#pending.settle(failed);
	}
}

function identityOf(offsets: readonly TopicPartitionOffset[]): string {
	return offsets
		.map(({ topic, partition, offset }) => `${topic}/${partition}@${offset}`)
		.sort()
		.join();
}
