/**
 * node-rdkafka's consumer with librdkafka's main thread as it is at its worst (rdkafka_assignment.c, rdkafka_partition.c; seen in the log of
 * 2.12, librdkafka#5591). That thread takes one request after the other. A partition that is given back has to stop before what is assigned
 * begins, and the caller does not wait for that. A request of the caller's for a partition that is about to begin may overtake its
 * start, which is dropped then: the partition counts as assigned, and nothing of it ever comes.
 */
import type { EventEmitter } from "eventemitter3";
import type { TopicPartition, TopicPartitionOffset } from "../../../src/core/messages/message.ts";
import { partitionName } from "../../../src/core/messages/message.ts";

interface Fetched extends TopicPartition {
	/** Next offset that is fetched; null while it does not begin. */
	position: number | null;
	hasMetEnd: boolean;
}

/** Plays the calls of a ConsumerClient's `raw`. */
export class OvertakingConsumer {
	readonly #end: number;
	readonly #raw: EventEmitter;
	readonly #waits: () => Promise<void>;
	/** What the main thread still has to do. */
	readonly #requests: (() => void)[] = [];
	readonly #assigned = new Map<string, Fetched>();
	readonly #paused = new Set<string>();
	#stopping = 0;
	#pending: TopicPartitionOffset[] = [];
	/** The next so many pauses and resumes are overtaken by others, and dropped. */
	dropped = 0;

	/** `end`: where each partition's log ends. `waits`: the time that each poll takes. */
	constructor(raw: unknown, end: number, waits: () => Promise<void>) {
		this.#raw = raw as EventEmitter;
		this.#end = end;
		this.#waits = waits;
		const calls = ["assign", "unassign", "incrementalAssign", "incrementalUnassign", "pause", "resume", "subscription", "consume"] as const;
		for (const call of calls) Object.assign(raw as object, { [call]: this[call].bind(this) });
		Object.assign(raw as object, { setDefaultConsumeTimeout: () => {} });
	}

	assign(partitions: readonly TopicPartitionOffset[]): void {
		this.#request(() => {
			this.#remove([...this.#assigned.values()]);
			this.#add(partitions);
		});
	}

	unassign(): void {
		this.#request(() => this.#remove([...this.#assigned.values()]));
	}

	incrementalAssign(partitions: readonly TopicPartitionOffset[]): void {
		this.#request(() => this.#add(partitions));
	}

	incrementalUnassign(partitions: readonly TopicPartition[]): void {
		this.#request(() => this.#remove(partitions));
	}

	pause(partitions: readonly TopicPartition[]): void {
		for (const each of partitions) this.#overtake(each, () => this.#paused.add(partitionName(each)));
	}

	resume(partitions: readonly TopicPartition[]): void {
		for (const each of partitions) {
			if (this.#paused.has(partitionName(each))) this.#overtake(each, () => this.#paused.delete(partitionName(each)));
		}
	}

	subscription(): string[] {
		this.#request(() => {});
		return [];
	}

	/** One message of each partition, or its end. */
	consume(_: number, done: (error: null, messages: unknown[]) => void): void {
		while (this.#requests.length > 0) this.#requests.shift()?.();
		const messages: unknown[] = [];
		for (const [name, fetched] of this.#assigned) {
			const { topic, partition, position } = fetched;
			if (position === null || this.#paused.has(name)) continue;
			if (position < this.#end) {
				messages.push({ topic, partition, offset: position, timestamp: 1, key: null, value: null, size: 0 });
				fetched.position = position + 1;
			} else if (!fetched.hasMetEnd) {
				fetched.hasMetEnd = true;
				this.#raw.emit("partition.eof", { topic, partition, offset: position });
			}
		}
		void this.#waits().then(() => done(null, messages));
	}

	/** The caller waits until the main thread has done this, and what came before. */
	#request(act: () => void): void {
		let isDone = false;
		this.#requests.push(() => {
			act();
			isDone = true;
		});
		while (!isDone) this.#requests.shift()?.();
	}

	#overtake(partition: TopicPartition, act: () => void): void {
		if (this.dropped > 0) {
			this.dropped--;
			return;
		}
		this.#pending = this.#pending.filter((each) => partitionName(each) !== partitionName(partition));
		act();
	}

	#remove(partitions: readonly TopicPartition[]): void {
		for (const each of partitions) {
			this.#assigned.delete(partitionName(each));
			this.#stopping++;
			// It stops with the next request, and tells so with one behind that.
			this.#requests.push(() => this.#requests.push(() => this.#stopped()));
		}
	}

	#stopped(): void {
		this.#stopping--;
		if (this.#stopping === 0) this.#begin();
	}

	#add(partitions: readonly TopicPartitionOffset[]): void {
		for (const { topic, partition } of partitions) {
			this.#assigned.set(partitionName({ topic, partition }), { topic, partition, position: null, hasMetEnd: false });
		}
		this.#pending.push(...partitions);
		if (this.#stopping === 0) this.#begin();
	}

	#begin(): void {
		for (const each of this.#pending.splice(0)) {
			const fetched = this.#assigned.get(partitionName(each));
			if (fetched) fetched.position = each.offset;
		}
	}
}
