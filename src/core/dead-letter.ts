/** What is kept of a message that could not be handled or written: everything needed to look at it and to replay it. */
import type { Header, TopicPartition } from "./message.ts";

/** Why a message became a dead letter; the `reason` column. */
export type DeadLetterReason = "rejected" | "poison" | "timeout" | "row_fault" | "future_timestamp";

/** A dead letter; its primary key is the consumer group (known to the store) with topic, partition and offset. */
export interface DeadLetter extends TopicPartition {
	readonly offset: number;
	/** Record timestamp in ms, -1 where there is none. */
	readonly timestamp: number;
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: readonly Header[];
	readonly reason: DeadLetterReason;
	/** Says what was wrong; may be the handler's own words. */
	readonly error: string;
	readonly stack: string | null;
	readonly sqlstate: string | null;
	readonly table: string | null;
	readonly rowId: string | null;
	/** Attempts made, at least 1. */
	readonly attempts: number;
	/** `skipped`: onPoison skip keeps no letter; reserved for stores that record it. */
	readonly state: "open" | "skipped";
}
