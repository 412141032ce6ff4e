/**
 * High watermarks of partitions that are paused for long: by a person, because they are parked, or because rows wait. librdkafka learns
 * a watermark only by fetching, so their lag would stand still however many messages come.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";

/** Short pauses (back-pressure) cost no request. */
const ASK_EVERY_MS = 5_000;

interface Resting extends TopicPartition {
	/** Monotonic time. */
	readonly since: number;
	high: number | null;
}

/** Asks for the high watermarks of paused partitions every five seconds, one after the other. */
export class RestingWatermarks {
	readonly #clock: Clock;
	readonly #ask: (partition: TopicPartition) => Promise<{ readonly high: number }>;
	readonly #resting = new Map<string, Resting>();
	#timer: Timer | null = null;
	#isAsking = false;
	#isEnded = false;

	/** `ask` rejects if the broker does not answer; then the last answer holds. */
	constructor(clock: Clock, ask: (partition: TopicPartition) => Promise<{ readonly high: number }>) {
		this.#clock = clock;
		this.#ask = ask;
	}

	paused(partitions: readonly TopicPartition[]): void {
		for (const { topic, partition } of partitions) {
			const name = partitionName({ topic, partition });
			if (!this.#resting.has(name)) this.#resting.set(name, { topic, partition, since: this.#clock.monotonic(), high: null });
		}
		this.#askLater();
	}

	/** These are fetched again, or given away. */
	over(partitions: readonly TopicPartition[]): void {
		for (const each of partitions) this.#resting.delete(partitionName(each));
	}

	/** The last answer about a paused partition; null if there is none. */
	of(partition: TopicPartition): number | null {
		return this.#resting.get(partitionName(partition))?.high ?? null;
	}

	/** Asks nothing more. Idempotent. */
	end(): void {
		this.#isEnded = true;
		this.#timer?.cancel();
	}

	#askLater(): void {
		if (this.#isEnded || this.#isAsking || this.#timer || this.#resting.size === 0) return;
		this.#timer = this.#clock.after(ASK_EVERY_MS, () => {
			this.#timer = null;
			void this.#askAll();
		});
	}

	async #askAll(): Promise<void> {
		this.#isAsking = true;
		const long = [...this.#resting.values()].filter(({ since }) => this.#clock.monotonic() - since >= ASK_EVERY_MS);
		for (const each of long) {
			if (this.#isEnded) break;
			const answer = await this.#ask({ topic: each.topic, partition: each.partition }).catch(() => null);
			if (answer) each.high = answer.high;
		}
		this.#isAsking = false;
		this.#askLater();
	}
}
