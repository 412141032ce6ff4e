/**
 * Assigns, pauses, resumes and moves the partitions that a node-rdkafka consumer fetches, so that no request overtakes the start of a
 * partition. librdkafka's main thread first stops the partitions that were given back, and starts the new ones with its next request. If a
 * pause or resume overtakes that start, the partition never starts (librdkafka#5591).
 */
import type { KafkaConsumer as RawConsumer, TopicPartition as RawPartition } from "node-rdkafka";
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../../core/messages/message.ts";

/** Changes what one consumer fetches. */
export class FetchedPartitions {
	readonly #raw: RawConsumer;
	/** Names of partitions that are paused. */
	readonly #paused = new Set<string>();
	#isEnding = false;

	constructor(raw: RawConsumer) {
		this.#raw = raw;
	}

	/** A close was requested: from now on pauses and resumes don't call the client. */
	end(): void {
		this.#isEnding = true;
	}

	assign(partitions: readonly TopicPartitionOffset[], incremental: boolean): void {
		// librdkafka keeps a partition paused even if it was given away meanwhile. A resume after the assignment may overtake the start.
		this.resume(partitions.filter((each) => this.#paused.has(partitionName(each))));
		const list = partitions.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
		if (incremental) this.#raw.incrementalAssign(list);
		else this.#raw.assign(list);
		if (partitions.length > 0) this.#untilBegun();
	}

	/** Assigns with the committed offset, or `auto.offset.reset` if there is none. For readers without start positions of their own. */
	assignStored(partitions: readonly TopicPartition[]): void {
		this.#raw.assign(rawOf(partitions));
	}

	/**
	 * Answers a revocation. While closing, the client may have forgotten its protocol, so the other call is tried too (node-rdkafka#1144).
	 */
	unassign(partitions: readonly TopicPartition[], incremental: boolean): void {
		const calls = [() => this.#raw.incrementalUnassign(rawOf(partitions)), () => this.#raw.unassign()];
		if (!incremental) calls.reverse();
		try {
			calls[0]?.();
		} catch {
			calls[1]?.();
		}
	}

	/** A real seek is refused if fetching has stopped, so the partition is unassigned and assigned again. */
	seek({ topic, partition, offset }: TopicPartitionOffset): void {
		this.#raw.incrementalUnassign(rawOf([{ topic, partition }]));
		this.#raw.incrementalAssign([{ topic, partition, offset }]);
		this.#untilBegun();
	}

	pause(partitions: readonly TopicPartition[]): void {
		for (const each of partitions) this.#paused.add(partitionName(each));
		if (!this.#isEnding) this.#raw.pause(rawOf(partitions));
	}

	/**
	 * Asks twice: librdkafka silently drops a request that one of its own overtakes, as in a rebalance. If the first request was carried out,
	 * the second changes nothing.
	 */
	resume(partitions: readonly TopicPartition[]): void {
		if (partitions.length === 0) return;
		for (const each of partitions) this.#paused.delete(partitionName(each));
		for (let times = 0; times < 2 && !this.#isEnding; times++) this.#raw.resume(rawOf(partitions));
	}

	/**
	 * Waits until the assigned partitions have started: makes two requests that go through the main thread, the cheapest that there are. (If
	 * a commit under way still delays the start, the stall detector has the partition fetched again.)
	 */
	#untilBegun(): void {
		try {
			for (let requests = 0; requests < 2; requests++) this.#raw.subscription();
		} catch {
			// The client closes: it fetches nothing any more.
		}
	}
}

/** Partitions without an offset, as the client takes them although its types ask for one. */
function rawOf(partitions: readonly TopicPartition[]): RawPartition[] {
	return partitions.map(({ topic, partition }) => ({ topic, partition })) as RawPartition[];
}
