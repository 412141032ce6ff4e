/** What the record producer is made of, and its events. */
import type { Clock } from "../../core/clock.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { Random } from "../../core/random.ts";
import type { KafkaError } from "../client/kafka-error.ts";
import type { RecordClient, Reported } from "./record-client.ts";
import type { Part } from "./record-lane.ts";

/** What became of some records of a topic. */
export interface ProducedFact {
	readonly topic: string;
	/** `resent`: a client gave up or was replaced before it reported them; the next sends them again. */
	readonly result: "acknowledged" | "refused" | "resent";
	readonly records: number;
	readonly bytes: number;
	/** For each acknowledged record, ms from when its message was received until now; else empty. */
	readonly agesMs: ArrayLike<number>;
}

/** Events of the record producer. */
export interface RecordProducerEvents {
	/** Records of a topic were acknowledged, refused or sent again. Many in one event. */
	"records:produced": (fact: ProducedFact) => void;
	/** The client gave up, and another is made. `records`: how many are sent again. */
	"client:replaced": (fact: { message: string; records: number }) => void;
	/** The broker will never take this record. `source`: its message; `index`: which of the message's records. */
	"record:refused": (fact: { topic: string; source: TopicPartition & { offset: number }; index: number; message: string }) => void;
	/** A topic or the client is blocked, or a topic is no longer: `problems` has changed. */
	changed: () => void;
}

/** A client that produces records one by one. */
export interface SingleRecords {
	/** Resolves when the broker has the part's first record; rejects with KafkaError, or PocKaffeError `header_nul` or `producer_closed`. */
	produce(part: Part): Promise<void>;
	/** Rejects what is not reported yet. */
	close(): Promise<void>;
}

/** What the record producer is made of. */
export interface RecordProducerParts {
	readonly clock: Clock;
	readonly random: Random;
	/** The producer is full when so many bytes wait for the broker. The last submission may exceed it. */
	readonly mostBytes: number;
	readonly connect: (reported: Reported) => Promise<RecordClient>;
	/** Connects a client for records one by one. `bytes`: size of the first. */
	readonly connectSingle: (bytes: number) => Promise<SingleRecords>;
	/** What to do about an error of a topic; null if nothing is known. */
	readonly hint: (error: KafkaError, topic: string) => string | null;
}
