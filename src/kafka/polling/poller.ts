/**
 * Polls one client as long as the consumer uses it: passes on messages by partition, then the ends that were reached. Never stops because
 * of an error, because every callback and every commit's result arrives through polls.
 *
 * Step 1 of a message's way (docs/architecture.md).
 */
import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { partitionName } from "../../core/messages/message.ts";
import type { GroupClient, Polled } from "../client/group-client.ts";
import { KafkaError } from "../client/kafka-error.ts";
import type { GroupMember } from "../group/group-member.ts";
import { POLL_COUNT, POLL_TIMEOUT_MS } from "./message-polls.ts";
import { waitForRoom } from "./poll-pace.ts";

/** What the poller needs. */
export interface PollerParts {
	readonly client: Pick<GroupClient, "poll" | "wake">;
	readonly member: Pick<GroupMember, "isCrowded" | "messagesReceived" | "messagesNotTaken" | "endOfPartition">;
	readonly clock: Clock;
	readonly ended: AbortSignal;
	/** False once another client replaced this one: later messages are dropped. */
	readonly isCurrent: () => boolean;
	readonly listener: {
		/** A poll begins. */
		polling(): void;
		/** A poll brought `messages` messages, which took `busyMs` to pass on. */
		polled(fact: { messages: number; busyMs: number }): void;
		failed(fact: { message: string; code: number }): void;
	};
}

/** Minimum time between two failing polls, so that an error is no busy loop; a poll that took longer needs no wait. */
const LEAST_MS = 100;

/** Polls one client and passes on what it brings. */
export class Poller {
	readonly #parts: PollerParts;
	#isPolling = false;
	/** Functions to call after the current poll and before the next. */
	#between: (() => void)[] = [];

	constructor(parts: PollerParts) {
		this.#parts = parts;
	}

	/**
	 * Calls `act` while no poll is under way: at once, or when the current poll's messages have been passed on. Ends the current poll's wait:
	 * in a rebalance nothing may come, and a partition would stand still for the poll's whole timeout.
	 */
	betweenPolls<T>(act: () => T): Promise<T> {
		return new Promise((resolve, reject) => {
			const call = () => {
				try {
					resolve(act());
				} catch (error) {
					reject(error);
				}
			};
			if (!this.#isPolling) return call();
			this.#between.push(call);
			this.#parts.client.wake();
		});
	}

	/** Polls until the consumer ends or another client replaced this one. Never rejects. */
	async run(): Promise<void> {
		const { clock, ended, isCurrent, listener } = this.#parts;
		while (!ended.aborted && isCurrent()) {
			const startedAt = clock.monotonic();
			listener.polling();
			const { batches, errors } = await this.#poll();
			this.#isPolling = false;
			for (const act of this.#between.splice(0)) act();
			for (const { message, kafkaCode: code } of errors) listener.failed({ message, code });
			const isFutile = errors.length > 0 && batches.length === 0;
			if (isFutile && clock.monotonic() - startedAt < LEAST_MS) await clock.sleep(LEAST_MS, ended).catch(() => {});
		}
	}

	async #poll(): Promise<Polled> {
		const { client, member, clock, ended, isCurrent, listener } = this.#parts;
		const isCrowded = await waitForRoom(() => member.isCrowded, clock, ended);
		this.#isPolling = true;
		const polled = await (isCrowded ? client.poll(1, 0) : client.poll(POLL_COUNT, POLL_TIMEOUT_MS)).catch(failedPoll);
		const receivedAt = clock.monotonic();
		if (isCurrent()) this.#deliver(polled);
		let messages = 0;
		for (const { batch } of polled.batches) messages += batch.length;
		if (messages > 0 || polled.errors.length === 0) listener.polled({ messages, busyMs: clock.monotonic() - receivedAt });
		return polled;
	}

	/**
	 * Delivers the messages, then the ends. Ignores an end that later messages of the same poll already passed: with offset gaps it would
	 * look as if the log had gone back.
	 */
	#deliver({ batches, notTaken, ends }: Polled): void {
		const { member } = this.#parts;
		const nextOffsets = new Map<string, number>();
		for (const { topic, partition, batch } of batches) {
			nextOffsets.set(partitionName({ topic, partition }), (batch.offsets[batch.length - 1] as number) + 1);
			this.#handOn(() => member.messagesReceived({ topic, partition }, batch));
		}
		for (const { topic, partition, reason } of notTaken) this.#handOn(() => member.messagesNotTaken({ topic, partition }, reason));
		for (const { topic, partition, offset } of ends) {
			const nextOffset = nextOffsets.get(partitionName({ topic, partition })) ?? 0;
			if (offset >= nextOffset) this.#handOn(() => member.endOfPartition({ topic, partition }, offset));
		}
	}

	/** A failure of one partition must not affect the others: their messages of this poll would be lost. */
	#handOn(take: () => void): void {
		try {
			take();
		} catch (error) {
			this.#parts.listener.failed({ message: messageOf(error), code: -1 });
		}
	}
}

/** The result of a client that can't be polled. */
function failedPoll(error: unknown): Polled {
	const failed = error instanceof KafkaError ? error : new KafkaError(messageOf(error), -1, { cause: error });
	return { batches: [], notTaken: [], ends: [], errors: [failed] };
}
