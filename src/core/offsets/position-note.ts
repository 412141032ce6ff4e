/**
 * What is noted of a group's way through a log, beside its offset: where it began, how far it came for certain, and what it passed over
 * unread. Kept in the database, whatever store the offsets are in.
 */
import type { HandNote } from "../messages/hand-note.ts";
import type { TopicPartition } from "../messages/message.ts";
import type { LogId, LogIdentity, Witness } from "./log-identity.ts";

/** Why offsets were passed over unread. */
export type SkipReason = "log_begins_after" | "log_ends_before" | "offsets_set";

/** Offsets `from` (included) to `to` (excluded) that the group went past without reading them. */
export interface SkippedStretch {
	readonly from: number;
	readonly to: number;
	readonly reason: SkipReason;
}

/**
 * A database that is older than the group's offset: when a start was resolved the note said `from`, and the group had committed `to`.
 * Rows of the messages between may be missing.
 */
export interface RestoredStretch {
	readonly from: number;
	readonly to: number;
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
	/** Absent where nothing is missing, as far as is known. Until the group's offset is set back, or set by `pockaffe offsets set`. */
	readonly restored?: RestoredStretch;
	/** Who has the partition, and what was in hand where it had to be careful; absent where nothing is noted of that. */
	readonly hand?: HandNote;
}

/** The code of an error that no time mends: what keeps the notes refuses. */
export const NOTES_REFUSED = "notes_refused";

/** A note as it was read; `version` names this very state of it: when it was written, by the server's clock (µs). */
export interface StoredNote {
	readonly note: PositionNote;
	readonly version: string | null;
}

/** A note to be stored in place of the one that was read; `replaces` is null where there was none. */
export interface NoteChange extends TopicPartition {
	readonly note: PositionNote;
	readonly replaces: StoredNote | null;
}

/**
 * What an assignment that is under way notes of the messages in hand; `by` names it. Null: it is over, in order, and leaves nothing behind.
 */
export interface HandChange extends TopicPartition {
	readonly by: string;
	readonly hand: HandNote | null;
}

/** How far a partition came: everything before `offset` is finished. Which log it is in, and a record of that log, as far as is known. */
export interface ReachedPosition extends TopicPartition {
	readonly offset: number;
	readonly logId?: LogId;
	readonly witness?: Witness | null;
}

/**
 * What is missing where the group goes on at `offset`, which it had committed: what was noted as missing and is not read again from there,
 * and what was committed though the note doesn't know it.
 */
export function restoredAt(former: PositionNote | null, offset: number): { readonly restored?: RestoredStretch } {
	const known = former?.restored;
	const left = known && known.from < offset ? { from: known.from, to: Math.min(known.to, offset) } : undefined;
	const reached = former?.reached ?? null;
	if (reached === null || reached >= offset) return left ? { restored: left } : {};
	return { restored: { from: Math.min(reached, left?.from ?? reached), to: offset } };
}

/** Tells people what a database that is older than the group's offset means, and what there is to do. */
export function restoredWords({ topic, partition }: TopicPartition, { from, to }: RestoredStretch): string {
	const command = (offset: number) => `\`pockaffe offsets set --topic ${topic} --partition ${partition} --to ${offset}\``;
	return (
		`the database is older than the group's offset: it knows what was done up to offset ${from}, and the group had committed ${to}. ` +
		"It was put back to another time (a backup, a fail-over to a server that was behind), or another tool set the group's offset forward. " +
		`Rows of offsets ${from} to ${to - 1} may be missing. A running daemon has them read again (http.admin: true; --url), else stop the ` +
		`group's daemons before: ${command(from)}; where nothing is missing, ${command(to)}`
	);
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
