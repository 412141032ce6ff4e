/**
 * The client that sends a daemon's records: idempotent, in order, without a delivery timeout. If the broker refuses a record, the client
 * gives up instead of sending the records after it (`enable.gapless.guarantee`); another client then sends them in order.
 */
import rdkafka, { type LibrdKafkaError } from "node-rdkafka";
import type { Config } from "../../config/config.ts";
import { recordAt, sourceHeaders } from "../../core/messages/records.ts";
import { kafkaClientSettings } from "../client/client-settings.ts";
import { fatalError } from "../client/error-words.ts";
import { type KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import { type ClusterMetadata, connectOrExplain, withoutThread } from "../connecting/connect.ts";
import { withNative } from "../native.ts";
import { bufferOf, producerError } from "../producer.ts";
import type { Part } from "./record-lane.ts";

/** Called for each delivery report. `number` is the record's, `error` is null if the broker has it. */
export type Reported = (topic: string, number: number, error: KafkaError | null) => void;

/** A connected client, as the record producer uses it. */
export interface RecordClient {
	/** Hands over records; returns how many were taken: fewer if the queue is full (`error` null), or if the next one is refused (`error`). */
	produce(part: Part): { readonly taken: number; readonly error: KafkaError | null };
	/**
	 * Asks how many partitions the topic has (0: it is missing, or this user may not see it), and which of them have no leader. Rejects if no
	 * broker answers within 5 s.
	 */
	partitions(topic: string): Promise<{ readonly count: number; readonly leaderless: readonly number[] }>;
	/** Reports nothing more. The broker may or may not have the records without a report. */
	close(): Promise<void>;
	/** Why the client gave up, once its log has said so (delivery reports only say that it did); null before. */
	readonly gaveUp: KafkaError | null;
}

const CONNECT_TIMEOUT_MS = 5_000;
const QUERY_TIMEOUT_MS = 5_000;
/** How often delivery reports are fetched. */
const POLL_MS = 5;
/** Too many to be reached: the record producer hands over far fewer. */
const MOST_QUEUED = 10_000_000;

/** Connects within 5 s, or rejects (code `kafka_connect`) with what to look at. */
export async function connectRecordClient(kafka: Config["kafka"], reported: Reported): Promise<RecordClient> {
	const settings = {
		"compression.codec": "lz4",
		"linger.ms": 5,
		...kafkaClientSettings(kafka),
		"enable.idempotence": true,
		"enable.gapless.guarantee": true,
		acks: "all",
		"message.timeout.ms": 0,
		"queue.buffering.max.messages": MOST_QUEUED,
		// The broker and the topic decide what is too large.
		"message.max.bytes": 1_000_000_000,
		dr_cb: true,
	};
	const raw = new rdkafka.Producer(withNative(settings) as never, { partitioner: "murmur2_random" } as never);
	raw.setPollInterval(POLL_MS);
	let isOpen = true;
	let gaveUp: KafkaError | null = null;
	raw.on("event.log", (log) => {
		const { fac, message } = log as { fac: string; message: string };
		if (fac === "FATAL") gaveUp ??= fatalError(withoutThread(message));
	});
	raw.on("delivery-report", (error: LibrdKafkaError | null, report) => {
		const { topic, opaque } = report as unknown as { topic: string; opaque: number };
		if (isOpen) reported(topic, opaque, error ? producerError(error) : null);
	});
	await connectOrExplain(raw, kafka, CONNECT_TIMEOUT_MS);
	return {
		get gaveUp() {
			return gaveUp;
		},
		produce(part) {
			const { from, to } = part;
			for (let index = from; index < to; index++) {
				const error = produceOne(raw, part, index, kafka.group);
				if (error) return { taken: index - from, error: error.kafkaCode === kafkaErrors.queueFull ? null : error };
			}
			return { taken: to - from, error: null };
		},
		partitions: (topic) =>
			new Promise((resolve, reject) => {
				raw.getMetadata({ topic, timeout: QUERY_TIMEOUT_MS } as never, (error, metadata) => {
					if (error) reject(producerError(error));
					else resolve(partitionsOf(metadata as ClusterMetadata, topic));
				});
			}),
		async close() {
			isOpen = false;
			// Another thread frees the client. If node-rdkafka polled it meanwhile, the process would crash.
			raw.setPollInterval(0);
			await new Promise<void>((resolve) => raw.disconnect(0, () => resolve()));
		},
	};
}

function partitionsOf({ topics }: ClusterMetadata, topic: string): { count: number; leaderless: number[] } {
	const partitions = topics.find(({ name }) => name === topic)?.partitions ?? [];
	return { count: partitions.length, leaderless: partitions.filter(({ leader }) => leader < 0).map(({ id }) => id) };
}

function produceOne(raw: rdkafka.Producer, { parcel: { source, block, first } }: Part, index: number, group: string): KafkaError | null {
	const { key, value, headers } = recordAt(block, index);
	const all = [...headers, ...sourceHeaders(source, block, index, group)].map(([name, content]) => ({ [name]: content ?? "" }));
	const partition = block.partitions[index] as number;
	const timestamp = block.timestamps[index] as number;
	try {
		raw.produce(
			block.topic,
			partition < 0 ? null : partition,
			bufferOf(value),
			bufferOf(key),
			timestamp < 0 ? Date.now() : timestamp,
			first + index,
			all as never,
		);
		return null;
	} catch (error) {
		return producerError(error as LibrdKafkaError);
	}
}
