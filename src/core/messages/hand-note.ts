/**
 * A note of the messages that a handler has in hand, for the start after the whole process died: V8 aborted out of memory, or native code
 * crashed. Kept in the database, because a container loses its files with its process.
 *
 * A note for each call would be far too slow. So an assignment first notes only that it began. If the next assignment begins at about the
 * same offset, and the earlier one did not end properly, it is careful: it notes each run before the handler gets it. If the process dies
 * again, the messages of the noted run are only suspects (kill -9 and a power cut look the same). From then on they run alone, one at a
 * time in the whole process. Only a message that was alone in hand when the process died is charged.
 */

/** Offsets `from` (included) to `to` (excluded). */
export interface HeldOffsets {
	readonly from: number;
	readonly to: number;
}

/** How often the process died while only the message at `offset` was in hand. If it is in hand now, this time already counts. */
export type Deaths = readonly [offset: number, count: number];

/** What an assignment leaves for the next one. */
export interface Evidence {
	/** Offsets in hand now; null if there are none, or if nothing is suspected and they are not noted. */
	readonly held: HeldOffsets | null;
	readonly deaths: readonly Deaths[];
}

/** The note of one assignment. */
export interface HandNote extends Evidence {
	/** Identifies the assignment that has the partition; null if it ended properly. */
	readonly by: string | null;
	/** The offset where it began. */
	readonly began: number;
}

/** Why an assignment has to be careful. */
export interface Suspicion extends Evidence {
	/** Careful until this offset is committed. A commit is progress: a later message that kills the process is found at the next death. */
	readonly until: number;
}

/** Explains why a partition is handled carefully. */
export function suspicionWords({ held, deaths, until }: Suspicion): string {
	const noted = `until offset ${until} is committed, each run is noted before the handler gets it`;
	const offsets = [...deaths.map(([offset]) => offset), ...(held ? [held.from, held.to - 1] : [])];
	if (offsets.length === 0) {
		return `the process that had the partition ended soon after its start without giving it away: ${noted}`;
	}
	const [first, last] = [Math.min(...offsets), Math.max(...offsets)];
	const messages = first === last ? `offset ${first}` : `offsets ${first} to ${last}`;
	return `the process died with ${messages} in hand: they run one by one, and the one in hand when the process dies again is charged an attempt; ${noted}`;
}

/** Fewer offsets than this are no progress: each start may commit the few messages that it got first, and die at the same later one. */
const PROGRESS_OFFSETS = 2_000;

/** About as many offsets as a fast handler finishes between two commits. */
const CAREFUL_OFFSETS = 10_000;

/** What the former assignment's note means for one that begins at `start` of the same log; null if nothing is suspected. */
export function suspicionAt(note: HandNote | null, start: number): Suspicion | null {
	if (note === null) return null;
	const held = note.held && note.held.to > start ? { from: Math.max(start, note.held.from), to: note.held.to } : null;
	const deaths = note.deaths.filter(([offset]) => offset >= start);
	const stood = note.by !== null && start >= note.began && start - note.began < PROGRESS_OFFSETS;
	return stood || held || deaths.length > 0 ? { held, deaths, until: start + CAREFUL_OFFSETS } : null;
}
