/**
 * What is noted about a group's way through a log, beside its offset: where it began, how far it certainly came, and what it passed over
 * unread. Kept in the database, whatever store the offsets are in.
 */
import type { HandNote } from "../messages/hand-note.ts";
import type { TopicPartition } from "../messages/message.ts";
import type { LogId, LogIdentity, Witness } from "./log-identity.ts";

/** Why offsets were passed over unread. */
export type SkipReason = "log_begins_after" | "log_ends_before" | "offsets_set";

/** Offsets `from` (included) to `to` (excluded) that the group passed over without reading them. */
export interface SkippedStretch {
	readonly from: number;
	readonly to: number;
	readonly reason: SkipReason;
}

/**
 * The database is older than the group's offset: at a start the note said `from`, and the group had committed `to`. Rows of the messages in
 * between may be missing.
 */
export interface RestoredStretch {
	readonly from: number;
	readonly to: number;
}

/** The note about a partition in the database, whatever store the offsets are in. */
export interface PositionNote {
	/** Where the group began in this log. */
	readonly start: number;
	/** True if the group had committed before its first note: PocKaffe does not know what happened before. */
	readonly assumed: boolean;
	readonly log: LogIdentity;
	/** Everything before this offset that had to be read is finished. Never behind Kafka's committed offset; null if this was not noted. */
	readonly reached: number | null;
	/** In ascending order, not adjacent. */
	readonly skipped: readonly SkippedStretch[];
	/** Absent if nothing is known to be missing. Kept until the group's offset is set back, or set by `pockaffe offsets set`. */
	readonly restored?: RestoredStretch;
	/** Who has the partition, and what was in hand if it had to be careful; absent if nothing is noted about that. */
	readonly hand?: HandNote;
}

/** Code of the error that the database refuses notes. Waiting does not help. */
export const NOTES_REFUSED = "notes_refused";

/** A note as it was read. `version` identifies this state of it: when it was written, by the server's clock (µs). */
export interface StoredNote {
	readonly note: PositionNote;
	readonly version: string | null;
}

/** A note to store in place of the one that was read; `replaces` is null if there was none. */
export interface NoteChange extends TopicPartition {
	readonly note: PositionNote;
	readonly replaces: StoredNote | null;
}

/**
 * What the current assignment notes about the messages in hand; `by` identifies the assignment. Null: it ended properly, and leaves nothing
 * behind.
 */
export interface HandChange extends TopicPartition {
	readonly by: string;
	readonly hand: HandNote | null;
}

/** How far a partition came: everything before `offset` is finished. With its log and a record of it, as far as known. */
export interface ReachedPosition extends TopicPartition {
	readonly offset: number;
	readonly logId?: LogId;
	readonly witness?: Witness | null;
}

/**
 * The offsets whose rows may be missing if the group goes on at `offset`, its committed offset: those that were noted as missing before it,
 * and those that the group committed beyond the note.
 */
export function restoredAt(former: PositionNote | null, offset: number): { readonly restored?: RestoredStretch } {
	const known = former?.restored;
	const left = known && known.from < offset ? { from: known.from, to: Math.min(known.to, offset) } : undefined;
	const reached = former?.reached ?? null;
	if (reached === null || reached >= offset) return left ? { restored: left } : {};
	return { restored: { from: Math.min(reached, left?.from ?? reached), to: offset } };
}

/** Explains a database that is older than the group's offset, and what to do. */
export function restoredWords({ topic, partition }: TopicPartition, { from, to }: RestoredStretch): string {
	const command = (offset: number) => `\`pockaffe offsets set --topic ${topic} --partition ${partition} --to ${offset}\``;
	return (
		`the database is older than the group's offset: its notes end at offset ${from}, but the group had committed ${to}. ` +
		"It was restored to an earlier time (a backup, a fail-over to a server that lagged), or another tool set the group's offset forward. " +
		`Rows of offsets ${from} to ${to - 1} may be missing. To read them again: ${command(from)}; if nothing is missing: ${command(to)}. ` +
		"The command asks a running daemon (http.admin: true; --url), or else needs the group's daemons to be stopped"
	);
}

/** Adds a stretch. Stretches that meet are merged, with the later reason. */
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

/** The parts of the stretches before `offset`: what comes after is read again. */
export function stretchesBefore(stretches: readonly SkippedStretch[], offset: number): SkippedStretch[] {
	return stretches.flatMap((stretch) => (stretch.from < offset ? { ...stretch, to: Math.min(stretch.to, offset) } : []));
}
