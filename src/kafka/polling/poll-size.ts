/**
 * Decides how many messages to ask node-rdkafka's `consume` for, and sorts the result by partition. Pure.
 *
 * `consume(n)` waits its timeout for each message, so a lone message of a quiet topic would wait. Therefore it is asked for one message
 * while the topic is quiet, and for up to a thousand, without waiting, while there is a backlog.
 *
 * But `consume` waits a little even then. Once a poll has met the end of a partition after messages, node-rdkafka waits a millisecond for
 * each further message (`KafkaConsumerConsumeNum::Execute`). If they are produced faster than that, the poll goes on until it has as many
 * as requested (a bare client saw 10,000 a second after 11 ms instead of 1, medians). So after such a poll no more are requested than
 * arrive in two milliseconds. A full poll without an end waited for nothing. Several of these in a row are a backlog, and double the size.
 * One is not enough: messages that gathered during a short pause fill one poll as well.
 *
 * Step 1 of a message's way (docs/architecture.md).
 */
import type { ReceivedMessage, TopicPartition } from "../../core/messages/message.ts";
import { sizeOfMessage } from "../../core/messages/message-codec.ts";
import { POLL_BYTES, POLL_COUNT } from "./message-polls.ts";

/** A backlog arrives faster than this, messages per ms; slower messages are being produced just now. */
const BACKLOG_PER_MS = 50;
/** How long a poll may last while messages are being produced, ms. */
const PRODUCED_MS = 2;
/** Minimum messages of a poll. */
const LEAST_COUNT = 32;
/** Full polls in a row, without a partition's end, that count as a backlog. */
const BACKLOG_POLLS = 4;

/** The next poll's size, adapted to what the last ones brought. */
export class PollSize {
	#quiet = true;
	#averageBytes = 0;
	#fitting = POLL_COUNT;
	/** Full polls in a row without an end, since the size last changed. */
	#full = 0;

	get count(): number {
		if (this.#quiet) return 1;
		return Math.max(1, Math.min(this.#fitting, Math.floor(POLL_BYTES / Math.max(1, this.#averageBytes))));
	}

	/** The last poll brought these messages within `tookMs`; `metEnd`: it also reached a partition's end. */
	received(messages: readonly ReceivedMessage[], { tookMs, metEnd }: { tookMs: number; metEnd: boolean }): void {
		const isFull = messages.length >= this.count;
		if (!this.#quiet && messages.length > 0) this.#adapt(messages.length / tookMs, isFull, metEnd);
		this.#quiet = !isFull;
		if (messages.length === 0) return;
		let bytes = 0;
		for (const message of messages) bytes += sizeOfMessage(message);
		this.#averageBytes = bytes / messages.length;
	}

	#adapt(perMs: number, isFull: boolean, metEnd: boolean): void {
		if (metEnd && perMs < BACKLOG_PER_MS) {
			this.#fitting = Math.max(LEAST_COUNT, Math.min(this.#fitting, Math.ceil(perMs * PRODUCED_MS)));
			this.#full = 0;
		} else if (!isFull) this.#full = 0;
		else if (!metEnd && ++this.#full === BACKLOG_POLLS) {
			this.#fitting = Math.min(POLL_COUNT, 2 * this.#fitting);
			this.#full = 0;
		}
	}
}

/** Messages by partition, each partition's in the order received. */
export function groupMessages(messages: readonly ReceivedMessage[]): [TopicPartition, ReceivedMessage[]][] {
	const groups = new Map<string, Map<number, ReceivedMessage[]>>();
	const result: [TopicPartition, ReceivedMessage[]][] = [];
	let last: ReceivedMessage[] = [];
	for (const message of messages) {
		const [previous] = last;
		if (previous && previous.partition === message.partition && previous.topic === message.topic) {
			last.push(message);
			continue;
		}
		const partitions = groups.get(message.topic) ?? new Map<number, ReceivedMessage[]>();
		groups.set(message.topic, partitions);
		let group = partitions.get(message.partition);
		if (!group) {
			group = [];
			partitions.set(message.partition, group);
			result.push([{ topic: message.topic, partition: message.partition }, group]);
		}
		group.push(message);
		last = group;
	}
	return result;
}
