/**
 * Polls packed messages: the addon takes them from librdkafka on a pool thread, directly into the memory that goes to the handler's
 * threads. No object is created per message. See message-polls.ts.
 *
 * Step 1 of a message's way (docs/architecture.md).
 */
import { batchOver } from "../../core/messages/packed-batch.ts";
import type { Polled } from "../client/group-client.ts";
import type { KafkaError } from "../client/kafka-error.ts";
import type { ConsumerQueue } from "../native.ts";
import { type MessagePolls, POLL_BYTES } from "./message-polls.ts";

/** Polls with the addon. */
export class PackedPolls implements MessagePolls {
	readonly #queue: ConsumerQueue;
	readonly #errorOf: (error: { message: string; code: number }) => KafkaError;

	/** `errorOf` converts the client's error. */
	constructor(queue: ConsumerQueue, errorOf: (error: { message: string; code: number }) => KafkaError) {
		this.#queue = queue;
		this.#errorOf = errorOf;
	}

	async poll(count: number, timeoutMs: number): Promise<Polled> {
		const { partitions, ends, errors } = await this.#queue.poll(count, timeoutMs, POLL_BYTES);
		const batches = partitions.map(({ topic, partition, length, arrays, bytes }) => ({
			topic,
			partition,
			batch: batchOver(length, arrays, bytes),
		}));
		return { batches, notTaken: [], ends, errors: errors.map(this.#errorOf) };
	}

	wake(): void {
		this.#queue.wake();
	}

	end(): void {
		this.#queue.release();
	}
}
