/**
 * What is noted of a group's way through a log, beside its offset: where it began, how far it came for certain, and what it passed over
 * unread. Kept in the database, whatever store the offsets are in.
 */
import type { LogId, LogIdentity, Witness } from "./log-identity.ts";
import type { TopicPartition } from "./message.ts";

/** Why offsets were passed over unread. */
export type SkipReason = "log_begins_after" | "log_ends_before" | "offsets_set";

/** Offsets `from` (included) to `to` (excluded) that the group went past without reading them. */
export interface SkippedStretch {
	readonly from: number;
	readonly to: number;
	readonly reason: SkipReason;
}

/** What is noted of a partition in the database, whatever store the offsets are in. */
export interface PositionNote {
	/** Where the group began in this log. */
	readonly start: number;
	/** True where the group had committed before it was met: what lies before was somebody else's. */
	readonly assumed: boolean;
	readonly log: LogIdentity;
	/** Everything before it is finished, as far as it was to be read. Never behind what Kafka was told; null where that was not noted. */
	readonly reached: number | null;
	/** In ascending order, apart from each other. */
	readonly skipped: readonly SkippedStretch[];
}

/** The code of an error that no time mends: what keeps the notes refuses. */
export const NOTES_REFUSED = "notes_refused";

/** A note as it was read; `version` names this very state of it. */
export interface StoredNote {
	readonly note: PositionNote;
	readonly version: string | null;
}

/** A note to be stored in place of the one that was read; `replaces` is null where there was none. */
export interface NoteChange extends TopicPartition {
	readonly note: PositionNote;
	readonly replaces: StoredNote | null;
}

/** How far a partition came: everything before `offset` is finished. Which log it is in, and a record of that log, as far as is known. */
export interface ReachedPosition extends TopicPartition {
	readonly offset: number;
	readonly logId?: LogId;
	readonly witness?: Witness | null;
}

/** The stretches with one more. Those that meet become one, by the later reason. */
export function withStretch(stretches: readonly SkippedStretch[], added: SkippedStretch): SkippedStretch[] {
	if (added.from >= added.to) return [...stretches];
	const apart = stretches.filter(({ from, to }) => to < added.from || from > added.to);
	const met = stretches.filter(({ from, to }) => to >= added.from && from <= added.to);
	const whole = {
		from: Math.min(added.from, ...met.map(({ from }) => from)),
		to: Math.max(added.to, ...met.map(({ to }) => to)),
		reason: added.reason,
	};
	return [...apart, whole].sort((left, right) => left.from - right.from);
}

/** The stretches as far as they lie before `offset`: what lies behind it is read again. */
export function stretchesBefore(stretches: readonly SkippedStretch[], offset: number): SkippedStretch[] {
	return stretches.flatMap((stretch) => (stretch.from < offset ? { ...stretch, to: Math.min(stretch.to, offset) } : []));
}
