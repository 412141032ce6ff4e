/**
 * Records one by one, by a client of their own: which of a batch does the broker refuse, and is a topic there again, that may be written
 * to? A record whose fate is not known in time rejects, and may have been taken all the same.
 */
import type { Config } from "../../config/config.ts";
import { recordAt, sourceHeaders } from "../../core/messages/records.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import { Producer, type ProducerRecord } from "../producer.ts";
import { missingWriteRight } from "../watches/rights.ts";
import type { Part } from "./record-lane.ts";
import type { SingleRecords } from "./record-producer-parts.ts";

const CONNECT_TIMEOUT_MS = 5_000;
const DELIVERY_TIMEOUT_MS = 5_000;
const LARGE_BYTES = 2 ** 20;
const LARGE_DELIVERY_TIMEOUT_MS = 120_000;
const MESSAGE_TIMED_OUT = -192;

/** `bytes`: how large the first record is. */
export async function connectSingleRecords(kafka: Config["kafka"], bytes: number): Promise<SingleRecords> {
	const deliveryTimeoutMs = bytes > LARGE_BYTES ? LARGE_DELIVERY_TIMEOUT_MS : DELIVERY_TIMEOUT_MS;
	const producer = await Producer.connect(kafka, { timeoutMs: CONNECT_TIMEOUT_MS, deliveryTimeoutMs });
	return {
		async produce(part) {
			const record = recordOf(part, kafka.group);
			try {
				await producer.produce(record);
			} catch (error) {
				throw await explained(producer, record.topic, error);
			}
		},
		close: () => producer.close(0),
	};
}

/** What mends an error at a topic; null where nothing is known. */
export function produceHint(kafka: Config["kafka"], error: KafkaError, topic: string): string | null {
	if (isMissing(error.kafkaCode)) return `make it: pockaffe topic create ${topic} -p N`;
	return missingWriteRight(kafka, error.kafkaCode, topic);
}

/** Of a topic that is not there the client only says that the time is over. */
async function explained(producer: Producer, topic: string, error: unknown): Promise<unknown> {
	if (!(error instanceof KafkaError) || error.kafkaCode !== MESSAGE_TIMED_OUT) return error;
	const topics = await producer.topics().catch(() => null);
	if (!topics || topics.has(topic)) return error;
	return new KafkaError("the topic does not exist", kafkaErrors.unknownTopicOrPartition, { cause: error });
}

function isMissing(code: number): boolean {
	return code === kafkaErrors.unknownTopicOrPartition || code === kafkaErrors.unknownTopic;
}

function recordOf({ parcel: { source, block }, from }: Part, group: string): ProducerRecord {
	const { key, value, headers } = recordAt(block, from);
	const partition = block.partitions[from] as number;
	const timestamp = block.timestamps[from] as number;
	return {
		topic: block.topic,
		key,
		value,
		...(partition < 0 ? {} : { partition }),
		...(timestamp < 0 ? {} : { timestamp }),
		headers: [...headers, ...sourceHeaders(source, block, from, group)].map(([name, content]) => [name, content ?? ""] as const),
	};
}
