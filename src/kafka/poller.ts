/**
 * The polls of one client, as long as it is the consumer's: hands on what comes, messages by partition and then the ends that were met.
 * Goes on whatever happens, because every callback and every commit's result arrives through it.
 *
 * Step 1 of a message's way (docs/architecture.md).
 */
import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import { partitionName, type ReceivedMessage, type TopicPartitionOffset } from "../core/message.ts";
import type { GroupClient } from "./group-client.ts";
import type { GroupMember } from "./group-member.ts";
import { KafkaError } from "./kafka-error.ts";
import { waitForRoom } from "./poll-pace.ts";
import { groupMessages, PollSize } from "./poll-size.ts";

/** What it polls, for whom, and whom it tells. */
export interface PollerParts {
	readonly client: Pick<GroupClient, "consume" | "on">;
	readonly member: Pick<GroupMember, "isCrowded" | "messagesReceived" | "endOfPartition">;
	readonly clock: Clock;
	readonly ended: AbortSignal;
	/** False once another client took its place: what comes then is nobody's. */
	readonly isCurrent: () => boolean;
	readonly listener: {
		/** A poll begins. */
		polling(): void;
		/** A poll brought so many messages, which took `busyMs` to hand on. */
		polled(fact: { messages: number; busyMs: number }): void;
		failed(fact: { message: string; code: number }): void;
	};
}

/** An error that comes back sooner must not become a busy loop; one that took its time needs no wait. */
const LEAST_MS = 100;

/** See the file's header. */
export class Poller {
	readonly #parts: PollerParts;
	readonly #size = new PollSize();
	readonly #ends: TopicPartitionOffset[] = [];
	#isPolling = false;
	/** What is to happen behind the poll that is under way, and before the next. */
	#between: (() => void)[] = [];

	constructor(parts: PollerParts) {
		this.#parts = parts;
		parts.client.on("endOfPartition", (end) => {
			if (parts.isCurrent()) this.#ends.push(end);
		});
	}

	/** Calls it while no poll is under way: at once, or when what the one that is brought has been handed on. */
	betweenPolls<T>(act: () => T): Promise<T> {
		return new Promise((resolve, reject) => {
			const call = () => {
				try {
					resolve(act());
				} catch (error) {
					reject(error);
				}
			};
			if (this.#isPolling) this.#between.push(call);
			else call();
		});
	}

	/** Polls until the consumer ends or the client isn't its own any more. Never rejects. */
	async run(): Promise<void> {
		const { clock, ended, isCurrent, listener } = this.#parts;
		while (!ended.aborted && isCurrent()) {
			const startedAt = clock.monotonic();
			listener.polling();
			try {
				await this.#poll();
				this.#polled();
			} catch (error) {
				this.#deliver([]);
				this.#polled();
				listener.failed({ message: messageOf(error), code: error instanceof KafkaError ? error.kafkaCode : -1 });
				if (clock.monotonic() - startedAt < LEAST_MS) await clock.sleep(LEAST_MS, ended).catch(() => {});
			}
		}
	}

	#polled(): void {
		this.#isPolling = false;
		for (const act of this.#between.splice(0)) act();
	}

	async #poll(): Promise<void> {
		const { client, member, clock, ended, isCurrent, listener } = this.#parts;
		const isCrowded = await waitForRoom(() => member.isCrowded, clock, ended);
		const askedAt = clock.monotonic();
		this.#isPolling = true;
		const messages = await (isCrowded ? client.consume(1, 0) : client.consume(this.#size.count, this.#size.timeoutMs));
		const receivedAt = clock.monotonic();
		if (!isCrowded) this.#size.received(messages, { tookMs: receivedAt - askedAt, metEnd: this.#ends.length > 0 });
		if (isCurrent()) this.#deliver(messages);
		listener.polled({ messages: messages.length, busyMs: clock.monotonic() - receivedAt });
	}

	/**
	 * node-rdkafka tells the ends it met beside the messages: one that messages of the same poll lie behind was the end no more when they
	 * came, and where offsets have gaps it would look as if the log had gone back.
	 */
	#deliver(messages: readonly ReceivedMessage[]): void {
		const { member } = this.#parts;
		const nextOffsets = new Map<string, number>();
		for (const [partition, group] of groupMessages(messages)) {
			nextOffsets.set(partitionName(partition), (group.at(-1) as ReceivedMessage).offset + 1);
			this.#handOn(() => member.messagesReceived(partition, group));
		}
		for (const { topic, partition, offset } of this.#ends.splice(0)) {
			const nextOffset = nextOffsets.get(partitionName({ topic, partition })) ?? 0;
			if (offset >= nextOffset) this.#handOn(() => member.endOfPartition({ topic, partition }, offset));
		}
	}

	/** What one partition comes to grief with is none of the others' business: what the poll brought of them would be gone. */
	#handOn(take: () => void): void {
		try {
			take();
		} catch (error) {
			this.#parts.listener.failed({ message: messageOf(error), code: -1 });
		}
	}
}
