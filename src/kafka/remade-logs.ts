/**
 * Finds partitions whose topic was deleted and made again under the member: Kafka forgets a group's offsets with the topic, so what this
 * member has stored is gone. Neither node-rdkafka nor the messages tell one log from the other by themselves.
 *
 * Looked at all the time, and at once when the client says that a topic or partition is unknown: a commit behind that would be taken for
 * one of the new log.
 */
import type { Clock, Timer } from "../core/clock.ts";
import type { TopicPartition } from "../core/message.ts";

/** What is asked and told. */
export interface RemadeLogsParts {
	readonly clock: Clock;
	/** Assigned partitions of which Kafka had an offset of this group; rejects where Kafka can't be asked. */
	readonly vanished: () => Promise<readonly TopicPartition[]>;
	readonly remade: (partitions: readonly TopicPartition[]) => Promise<void>;
}

const LOOK_EVERY_MS = 2_000;

/** See the file's header. Idempotent to dispose. */
export class RemadeLogs {
	readonly #parts: RemadeLogsParts;
	#timer: Timer | null = null;
	#looking: Promise<void> | null = null;
	#disposed = false;

	constructor(parts: RemadeLogsParts) {
		this.#parts = parts;
	}

	start(): void {
		if (this.#disposed) return;
		this.#timer = this.#parts.clock.after(LOOK_EVERY_MS, () => void this.look().finally(() => this.start()));
	}

	/** Looks once; one look at a time. Never rejects. */
	look(): Promise<void> {
		this.#looking ??= this.#look()
			.catch(() => {})
			.finally(() => {
				this.#looking = null;
			});
		return this.#looking;
	}

	dispose(): void {
		this.#disposed = true;
		this.#timer?.cancel();
	}

	async #look(): Promise<void> {
		const vanished = await this.#parts.vanished();
		if (vanished.length > 0 && !this.#disposed) await this.#parts.remade(vanished);
	}
}
