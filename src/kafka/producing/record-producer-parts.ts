/** What the record producer is made of, and what it tells. */
import type { Clock } from "../../core/clock.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { Random } from "../../core/random.ts";
import type { KafkaError } from "../client/kafka-error.ts";
import type { RecordClient, Reported } from "./record-client.ts";
import type { Part } from "./record-lane.ts";

/** What became of some records of a topic. */
export interface ProducedFact {
	readonly topic: string;
	/** `resent`: a client gave itself up before it reported them. */
	readonly result: "acknowledged" | "refused" | "resent";
	readonly records: number;
	readonly bytes: number;
	/** From when their messages were received, ms; of what is acknowledged, an entry each. */
	readonly agesMs: ArrayLike<number>;
}

/** What it tells. */
export interface RecordProducerEvents {
	"records:produced": (fact: ProducedFact) => void;
	/** The client gave itself up; another is made. */
	"client:replaced": (fact: { message: string; records: number }) => void;
	/** The broker never takes a record. */
	"record:refused": (fact: { topic: string; source: TopicPartition & { offset: number }; index: number; message: string }) => void;
	/** A topic is blocked, or not any more: whoever waits for it looks again. */
	changed: () => void;
}

/** A record by itself. */
export interface SingleRecords {
	/** Rejects with KafkaError. */
	produce(part: Part): Promise<void>;
	/** What is not reported by then is rejected. */
	close(): Promise<void>;
}

/** What it is made of. */
export interface RecordProducerParts {
	readonly clock: Clock;
	readonly random: Random;
	/** Bytes that may wait for the broker, or a little more. */
	readonly mostBytes: number;
	readonly connect: (reported: Reported) => Promise<RecordClient>;
	/** A client for records one by one. `bytes`: how large the first of them is. */
	readonly connectSingle: (bytes: number) => Promise<SingleRecords>;
	/** What mends an error at a topic; null where nothing is known. */
	readonly hint: (error: KafkaError, topic: string) => string | null;
}

/** What does not go now is tried again so often. */
export const RETRY = { minMs: 200, maxMs: 5_000 };
