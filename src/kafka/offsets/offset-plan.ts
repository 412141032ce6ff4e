/**
 * What setting a group's offset of a partition means: what is read again or passed over, and what has to be noted so that the next start
 * takes it neither for a group that Kafka forgot nor for a restored table. Pure.
 */

import type { TopicPartition } from "../../core/messages/message.ts";
import { compareLogIds, type LogId } from "../../core/offsets/log-identity.ts";
import { type PositionNote, stretchesBefore, withStretch } from "../../core/offsets/position-note.ts";
import type { LogBounds } from "../starts/start-decision.ts";

/** The target: the log's beginning or end, the first message with at least this time (ms), or an offset. */
export type SetTo =
	| { readonly kind: "earliest" | "latest" }
	| { readonly kind: "time"; readonly timestampMs: number }
	| { readonly kind: "offset"; readonly offset: number };

/** What is known about the partition. */
export interface SetPartition extends TopicPartition {
	readonly kept: number | null;
	readonly keptIn: "kafka" | "table";
	readonly noted: PositionNote | null;
	readonly logId: LogId;
	readonly log: LogBounds;
}

/** The plan. `again` and `passedOver` count offsets: compacted or transactional topics have fewer messages. */
export interface OffsetPlan extends TopicPartition {
	readonly log: LogBounds;
	readonly kept: number | null;
	readonly to: number;
	readonly again: number;
	readonly passedOver: number;
	readonly note: PositionNote;
}

/** `to` must be in the log. A position stored for another log counts as none. */
export function planOffset({ topic, partition, kept, keptIn, noted, logId, log }: SetPartition, to: number): OffsetPlan {
	const former = noted && compareLogIds(noted.log.id, logId) !== "other" ? noted : null;
	const isOtherLog = noted !== null && former === null;
	const finished = isOtherLog ? null : lowest(kept, former?.reached ?? null);
	const note = {
		start: Math.min(former?.start ?? finished ?? to, to),
		assumed: former?.assumed ?? finished !== null,
		log: { id: logId ?? former?.log.id ?? null, witness: former?.log.witness ?? null },
		reached: keptIn === "table" ? null : to,
		skipped: skippedBy(former, finished, to),
	};
	const [from, end] = [Math.max(finished ?? to, log.low), Math.min(finished ?? to, log.high)];
	const again = Math.max(0, end - to);
	return { topic, partition, log, kept: isOtherLog ? null : kept, to, again, passedOver: Math.max(0, to - from), note };
}

function skippedBy(former: PositionNote | null, finished: number | null, to: number): PositionNote["skipped"] {
	const before = stretchesBefore(former?.skipped ?? [], Math.min(finished ?? to, to));
	return finished === null ? before : withStretch(before, { from: finished, to, reason: "offsets_set" });
}

/** Everything before this offset is certainly finished. */
function lowest(kept: number | null, reached: number | null): number | null {
	if (kept === null || reached === null) return kept ?? reached;
	return Math.min(kept, reached);
}
