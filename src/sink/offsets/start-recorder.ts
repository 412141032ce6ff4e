/**
 * Keeps the group's notes (note-fence.ts) for a running daemon, and decides what a failure of the database means for whoever notes
 * something.
 *
 * Database down: the caller waits and tries again. Table or columns missing, and they can't be created: there is no note that could get
 * outdated, so the daemon works without notes and says so once. Table with notes that refuses a new one: the caller waits too, because
 * Kafka's offset must not get ahead of the notes. A later start would take that for a restored database.
 */
import { randomUUID } from "node:crypto";
import { PocKaffeError } from "../../core/errors.ts";
import type { HandNote } from "../../core/messages/hand-note.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { DisplacedOffset } from "../../core/offsets/displaced-offset.ts";
import {
	type HandChange,
	NOTES_REFUSED,
	type NoteChange,
	type ReachedPosition,
	type StoredNote,
} from "../../core/offsets/position-note.ts";
import { hintFor, mayPass, problemOf } from "../database/sql-faults.ts";
import type { NoteFence, NotReached } from "./note-fence.ts";

/** What the recorder needs. */
export interface StartRecorderParts {
	readonly table: Pick<NoteFence, "name" | "prepare" | "read" | "change" | "reach" | "compare" | "forget" | "hold">;
	/** Positions can't be noted, or only in part. Called once. */
	readonly notRecorded: (message: string) => void;
	/**
	 * True for a daemon: the table is created before it is first used. A missing one would look like a table that can't be created, and
	 * nothing would be noted. Default: false.
	 */
	readonly preparesFirst?: boolean;
}

/** Keeps the group's notes for a running daemon, and decides what a failure of the database means for them. */
export class StartRecorder {
	/** Identifies this process in the notes. */
	readonly owner: string = randomUUID();
	readonly #parts: StartRecorderParts;
	/** What this process last noted of its handlers, by partition, whether or not that reached the table. */
	readonly #hands = new Map<string, HandNote | null>();
	#isTold = false;
	#isPrepared = false;

	constructor(parts: StartRecorderParts) {
		this.#parts = parts;
	}

	/** Creates the table if it is missing. Rejects only if the database can't be asked. */
	async prepare(): Promise<void> {
		const { table } = this.#parts;
		if ((await table.prepare()) !== "notes") this.#tellOnce(`${table.name} can't be created, or lacks columns (pockaffe schema prints it)`);
		this.#isPrepared = true;
	}

	/**
	 * All notes of the group, by partition name; empty if they can't be kept. For its own handlers this process takes what it noted last,
	 * even if that never reached the table. A partition may be lost while the database is away: the message in hand then must not be charged,
	 * because the process did not die.
	 */
	async read(): Promise<ReadonlyMap<string, StoredNote>> {
		const notes = new Map(await this.#insist(() => this.#parts.table.read(), new Map<string, StoredNote>()));
		for (const [name, hand] of this.#hands) {
			const stored = notes.get(name);
			if (stored?.note.hand?.by !== this.owner) continue;
			const { hand: _, ...note } = stored.note;
			notes.set(name, { ...stored, note: hand === null ? note : { ...note, hand } });
		}
		return notes;
	}

	/** Stores notes of partitions that begin. Also rejects if somebody else changed one since it was read. */
	async begin(changes: readonly NoteChange[]): Promise<void> {
		if (changes.length === 0) return;
		const [stale] = await this.#insist(() => this.#parts.table.change(changes), []);
		if (!stale) {
			for (const { note, ...partition } of changes) this.#hands.set(partitionName(partition), note.hand ?? null);
			return;
		}
		throw new PocKaffeError("note_changed", `the note of ${stale.topic}/${stale.partition} was changed by another member meanwhile`);
	}

	/** Notes durably how far partitions came. Returns partitions that could not be noted: commit nothing more for them. */
	async reach(positions: readonly ReachedPosition[]): Promise<NotReached> {
		const nothing = { others: [], displaced: [] };
		return positions.length === 0 ? nothing : await this.#insist(() => this.#parts.table.reach(positions), nothing);
	}

	/** Returns those of these partitions whose note differs from what was noted last. */
	compare(partitions: readonly TopicPartition[]): Promise<readonly DisplacedOffset[]> {
		return this.#insist(() => this.#parts.table.compare(partitions), []);
	}

	/** Notes what the handler has in hand. Changes nothing for partitions that another assignment has. */
	hold(changes: readonly HandChange[]): Promise<void> {
		for (const { hand, ...partition } of changes) this.#hands.set(partitionName(partition), hand);
		return this.#insist(() => this.#parts.table.hold(changes), undefined);
	}

	/** The notes of these partitions belong to a deleted log. */
	async forget(partitions: readonly TopicPartition[]): Promise<void> {
		if (partitions.length > 0) await this.#insist(() => this.#parts.table.forget(partitions), undefined);
	}

	/** After a failure the table is inspected again before anything is reported: it may be missing, of an earlier version, or another one. */
	async #insist<T>(call: () => Promise<T>, without: T): Promise<T> {
		const { table, preparesFirst = false } = this.#parts;
		if (preparesFirst && !this.#isPrepared) await this.prepare();
		try {
			return await call();
		} catch (error) {
			if (mayPass(error)) throw error;
			if ((await table.prepare()) === "notes") return await this.#orRefused(call);
			const problem = problemOf(error);
			this.#tellOnce(`${table.name}: ${problem.message}`);
		}
		try {
			return await call();
		} catch (error) {
			if (mayPass(error)) throw error;
			return without;
		}
	}

	async #orRefused<T>(call: () => Promise<T>): Promise<T> {
		try {
			return await call();
		} catch (error) {
			if (mayPass(error)) throw error;
			const { name } = this.#parts.table;
			const problem = problemOf(error);
			const hint = hintFor(problem, name);
			throw new PocKaffeError(NOTES_REFUSED, `positions can't be noted in ${name}: ${problem.message}${hint ? `; ${hint}` : ""}`, {
				cause: error,
			});
		}
	}

	#tellOnce(message: string): void {
		if (this.#isTold) return;
		this.#isTold = true;
		this.#parts.notRecorded(message);
	}
}
