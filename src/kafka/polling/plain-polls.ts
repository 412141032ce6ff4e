/**
 * Polls with node-rdkafka's own `consume` if there is no addon: one object per message, packed here. What node-rdkafka doesn't pass on is
 * lost: a timestamp's type, that a header's value is null (it arrives empty), a header named `__proto__`, and an error after messages. See
 * message-polls.ts.
 *
 * Step 1 of a message's way (docs/architecture.md).
 */
import type { LibrdKafkaError, Message, KafkaConsumer as RawConsumer } from "node-rdkafka";
import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import type { Header, ReceivedMessage, TimestampType, TopicPartitionOffset } from "../../core/messages/message.ts";
import { packMessages } from "../../core/messages/message-codec.ts";
import type { NotTaken, Polled, PolledBatch } from "../client/group-client.ts";
import type { KafkaError } from "../client/kafka-error.ts";
import type { MessagePolls } from "./message-polls.ts";
import { groupMessages, PollSize } from "./poll-size.ts";

/** What goes with the client. */
export interface PlainPollsParts {
	/** Type of timestamps, as configured. */
	readonly timestampType: TimestampType;
	/** Converts the client's error. */
	readonly errorOf: (error: LibrdKafkaError) => KafkaError;
	readonly clock: Clock;
}

/** Polls with node-rdkafka's own call. */
export class PlainPolls implements MessagePolls {
	readonly #raw: RawConsumer;
	readonly #parts: PlainPollsParts;
	readonly #size = new PollSize();
	readonly #ends: TopicPartitionOffset[] = [];

	constructor(raw: RawConsumer, parts: PlainPollsParts) {
		this.#raw = raw;
		this.#parts = parts;
		raw.on("partition.eof", ({ topic, partition, offset }) => this.#ends.push({ topic, partition, offset }));
	}

	async poll(count: number, timeoutMs: number): Promise<Polled> {
		const wanted = Math.min(count, this.#size.count);
		const askedAt = this.#parts.clock.monotonic();
		const { messages, errors } = await this.#consume(wanted, wanted > 1 ? 0 : timeoutMs);
		const ends = this.#ends.splice(0);
		if (count > 1) this.#size.received(messages, { tookMs: this.#parts.clock.monotonic() - askedAt, metEnd: ends.length > 0 });
		return { ...packedByPartition(messages), ends, errors };
	}

	/** node-rdkafka can't do that: a poll waits its full time. */
	wake(): void {}

	end(): void {}

	/** node-rdkafka's timeout applies to each message. */
	#consume(count: number, timeoutMs: number): Promise<{ messages: readonly ReceivedMessage[]; errors: readonly KafkaError[] }> {
		this.#raw.setDefaultConsumeTimeout(timeoutMs);
		return new Promise((resolve) => {
			this.#raw.consume(count, (error, messages) => {
				if (error) resolve({ messages: [], errors: [this.#parts.errorOf(error)] });
				else resolve({ messages: messages.map((message) => received(message, this.#parts.timestampType)), errors: [] });
			});
		});
	}
}

const noHeaders: readonly Header[] = [];

/** Converts the client's message in place: one object per message is expensive enough. */
function received(raw: Message, timestampType: TimestampType): ReceivedMessage {
	const message = raw as unknown as { headers: readonly Header[]; timestampType: TimestampType };
	message.headers = raw.headers
		? raw.headers.flatMap((header) => Object.entries(header).map(([name, value]): Header => [name, toBuffer(value)]))
		: noHeaders;
	message.timestampType = timestampType;
	return message as unknown as ReceivedMessage;
}

function toBuffer(value: unknown): Buffer | null {
	if (value === null || value === undefined) return null;
	return Buffer.isBuffer(value) ? value : Buffer.from(String(value));
}

/** Packs messages by partition, each in the order received. A message that can't be packed affects only its partition. */
export function packedByPartition(messages: readonly ReceivedMessage[]): Pick<Polled, "batches" | "notTaken"> {
	const batches: PolledBatch[] = [];
	const notTaken: NotTaken[] = [];
	for (const [{ topic, partition }, group] of groupMessages(messages)) {
		try {
			batches.push({ topic, partition, batch: packMessages(group) });
		} catch (error) {
			notTaken.push({ topic, partition, reason: `messages from offset ${group[0]?.offset} on can't be packed: ${messageOf(error)}` });
		}
	}
	return { batches, notTaken };
}
