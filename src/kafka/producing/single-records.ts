/**
 * A client that produces records one by one. It answers two questions: which record of a batch does the broker refuse, and does it take
 * records for this topic again? If the answer to a record takes too long, `produce` rejects; the broker may have the record all the same.
 */
import type { Config } from "../../config/config.ts";
import { recordAt, sourceHeaders } from "../../core/messages/records.ts";
import { missingTopicHint } from "../../core/text/missing-topic.ts";
import { KafkaError, kafkaCodeOf, kafkaErrors } from "../client/kafka-error.ts";
import { Producer, type ProducerRecord } from "../producer.ts";
import { missingWriteRight } from "../watches/rights.ts";
import type { Part } from "./record-lane.ts";
import type { SingleRecords } from "./record-producer-parts.ts";

const CONNECT_TIMEOUT_MS = 5_000;
const DELIVERY_TIMEOUT_MS = 5_000;
/** If the first record is larger than this, each may take `LARGE_DELIVERY_TIMEOUT_MS`. */
const LARGE_BYTES = 2 ** 20;
const LARGE_DELIVERY_TIMEOUT_MS = 120_000;
/** Connects within 5 s, or rejects with `kafka_connect`. `bytes`: size of the first record, which decides how long each may take. */
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

/** What to do about this error of a topic, e.g. how to create it; null if nothing is known. */
export function produceHint(kafka: Config["kafka"], error: KafkaError, topic: string): string | null {
	if (isMissing(error.kafkaCode)) return missingTopicHint(topic);
	return missingWriteRight(kafka, error.kafkaCode, topic);
}

/** If the topic is missing, the client only says that the time is over: asks the broker, and says it. */
async function explained(producer: Producer, topic: string, error: unknown): Promise<unknown> {
	if (kafkaCodeOf(error) !== kafkaErrors.messageTimedOut) return error;
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
