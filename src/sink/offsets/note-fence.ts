/**
 * The group's notes (start-table.ts) as one member writes them. It remembers what it noted last. If the stored note says less, or is older,
 * the database was restored together with the rows (a backup, a fail-over to a server that lagged). Then the note is left as it is: the
 * next start compares it with the group's offset.
 */

import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { DisplacedOffset } from "../../core/offsets/displaced-offset.ts";
import { compareLogIds, type LogId } from "../../core/offsets/log-identity.ts";
import type { HandChange, NoteChange, PositionNote, ReachedPosition, StoredNote } from "../../core/offsets/position-note.ts";
import type { NotedReach, NotesKept, StartTable } from "./start-table.ts";

/** Partitions whose position could not be noted. */
export interface NotReached {
	/** Their notes belong to another log by now. */
	readonly others: readonly TopicPartition[];
	/** Their notes differ from what this member noted last. */
	readonly displaced: readonly DisplacedOffset[];
}

type Notes = ReadonlyMap<string, StoredNote>;
type Noted = PositionNote & NotedReach;

/**
 * Writes one member's notes, and detects notes that another member or a restored backup changed. Promises reject with the database's error.
 */
export class NoteFence {
	readonly #table: StartTable;
	/** The last note of each partition that the database confirmed. */
	readonly #noted = new Map<string, Noted>();

	constructor(table: StartTable) {
		this.#table = table;
	}

	get name(): string {
		return this.#table.name;
	}

	prepare(): Promise<NotesKept> {
		return this.#table.prepare();
	}

	read(): Promise<Notes> {
		return this.#table.read();
	}

	forget(partitions: readonly TopicPartition[]): Promise<void> {
		return this.#table.forget(partitions);
	}

	hold(changes: readonly HandChange[]): Promise<void> {
		return this.#table.hold(changes);
	}

	/** Stores notes in place of those that were read. Returns partitions whose note somebody else changed meanwhile. */
	async change(changes: readonly NoteChange[]): Promise<TopicPartition[]> {
		const stale = await this.#table.change(changes);
		const names = new Set(stale.map(partitionName));
		const isWhole = await this.#table.keepsNotes();
		for (const { note, replaces, ...partition } of changes) {
			const name = partitionName(partition);
			if (names.has(name)) continue;
			// It was written later than the note that it replaced.
			const writtenAt = replaces?.version ? Number(replaces.version) + 1 : 0;
			if (isWhole && note.reached !== null) this.#noted.set(name, { ...note, reached: note.reached, writtenAt });
			else this.#noted.delete(name);
		}
		return stale;
	}

	/** Notes how far partitions came, never backwards. A partition without a note counts as begun here. */
	async reach(positions: readonly ReachedPosition[]): Promise<NotReached> {
		const noted = new Map(this.#noted);
		const left = await this.#raise(positions);
		if (left.length === 0 || !(await this.#table.keepsNotes())) return { others: [], displaced: [] };
		const notes = await this.read();
		const isOther = (position: ReachedPosition) => isOfOtherLog(notes.get(partitionName(position)), position.logId ?? null);
		const displaced = await this.#displaced(
			left.filter((position) => !isOther(position)),
			notes,
			noted,
		);
		const names = new Set(displaced.map(partitionName));
		const fresh = left.filter((position) => !isOther(position) && !names.has(partitionName(position)));
		await this.change(fresh.filter((position) => !notes.has(partitionName(position))).map(beginningAt));
		return { others: [...left.filter(isOther), ...(await this.#raise(fresh))], displaced };
	}

	/**
	 * Returns partitions whose note differs from what this member noted last. The other notes are written again, so that an older state of
	 * them can't pass for the present one later.
	 */
	async compare(partitions: readonly TopicPartition[]): Promise<DisplacedOffset[]> {
		const noted = new Map(this.#noted);
		const known = partitions.flatMap(({ topic, partition }): ReachedPosition[] => {
			const last = noted.get(partitionName({ topic, partition }));
			return last ? [{ topic, partition, offset: last.reached, logId: last.log.id }] : [];
		});
		if (known.length === 0) {
			// If nothing was consumed yet, no other call finds out that the database can't be asked.
			if (partitions.length > 0) await this.read();
			return [];
		}
		if (!(await this.#table.keepsNotes())) return [];
		const left = await this.#raise(known);
		if (left.length === 0) return [];
		const notes = await this.read();
		const ofThisLog = left.filter((each) => !isOfOtherLog(notes.get(partitionName(each)), each.logId ?? null));
		return this.#displaced(ofThisLog, notes, noted);
	}

	/** Raises the notes. Returns positions whose note can't be raised or is missing. */
	async #raise(positions: readonly ReachedPosition[]): Promise<ReachedPosition[]> {
		const before = new Map(this.#noted);
		const reached = await this.#table.reach(positions.map((each) => ({ ...each, least: before.get(partitionName(each)) ?? null })));
		for (const position of positions) {
			const name = partitionName(position);
			const [last, found] = [before.get(name), reached.get(name)];
			// A newer note may have been written meanwhile.
			if (found && this.#noted.get(name) === last) this.#noted.set(name, { ...(last ?? beginningAt(position).note), ...found });
		}
		return positions.filter((position) => !reached.has(partitionName(position)));
	}

	/**
	 * Finds displaced notes. If a note is gone, only the group's beginning is noted again, so that the next start sees that something is
	 * missing. `before`: the notes known before `notes` were read.
	 */
	async #displaced(partitions: readonly TopicPartition[], notes: Notes, before: ReadonlyMap<string, Noted>): Promise<DisplacedOffset[]> {
		const displaced: DisplacedOffset[] = [];
		for (const { topic, partition } of partitions) {
			const name = partitionName({ topic, partition });
			const [last, noted, stored] = [before.get(name), this.#noted.get(name), notes.get(name)];
			// Less than before: this member began anew meanwhile, further back.
			if (last === undefined || noted === undefined || noted.reached < last.reached) continue;
			const { reached: expected, writtenAt } = last;
			const found = stored ? stored.note.reached : null;
			const isOlder = Number(stored?.version ?? 0) < writtenAt;
			if (!stored) {
				displaced.push({ topic, partition, kind: "gone", expected, found });
				const { restored: _, ...note } = { ...noted, reached: noted.start, skipped: [] };
				await this.#table.change([{ topic, partition, note, replaces: null }]);
			} else if (found !== null && (found < expected || isOlder)) {
				displaced.push({ topic, partition, kind: "changed", expected, found });
			}
		}
		return displaced;
	}
}

function beginningAt({ topic, partition, offset, logId = null, witness = null }: ReachedPosition): NoteChange {
	const note = { start: offset, assumed: true, log: { id: logId, witness }, reached: offset, skipped: [] };
	return { topic, partition, note, replaces: null };
}

function isOfOtherLog(stored: StoredNote | undefined, logId: LogId): boolean {
	return stored !== undefined && logId !== null && compareLogIds(stored.note.log.id, logId) === "other";
}
