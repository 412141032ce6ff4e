/**
 * The rows of a batch that can't be written as a whole, one by one. Only the newest version of each id goes to the server; superseded ones
 * wait behind it and are settled with it. If it is refused, the next newest goes. Pure.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { RowFault, TableLayout, VersionStrategy } from "../../../core/rows/rows.ts";
import type { UpsertRow } from "./row-parameters.ts";
import { compareVersions, type RowVersion } from "./row-version.ts";
import { SupersededRows } from "./superseded-rows.ts";

/** Rows that wait, including superseded ones. `since`: when the oldest arrived (monotonic); null if there are none. */
export interface RowFigures {
	readonly rows: number;
	readonly bytes: number;
	readonly since: number | null;
}

/** Gets a row's result: a submission of a partition worker. */
export interface RowOwner {
	/** True once nobody listens any more: messages without a reported result are delivered again, to somebody else. */
	readonly released: boolean;
	settled(message: number): void;
	/** The same for several rows, by their messages' indexes. */
	settledAll(messages: ArrayLike<number>): void;
	refused(message: number, fault: RowFault): void;
}

/** A waiting row. `superseded`: older versions of its id, settled with it; null if there are none. */
export interface PendingRow extends UpsertRow, RowVersion {
	readonly owner: RowOwner;
	readonly message: number;
	readonly bytes: number;
	/** Its number among the rows that it arrived with: keeps a partition's rows in the log's order. */
	readonly order: number;
	superseded: SupersededRows | null;
}

/** Rows to write one by one: the newest version per id, with the older ones behind it. */
export class PendingRows {
	readonly #strategy: VersionStrategy;
	#newest = new Map<string, PendingRow>();

	constructor(layout: TableLayout) {
		this.#strategy = layout.version;
	}

	/** Rows that would go to the server: one per id. */
	get size(): number {
		return this.#newest.size;
	}

	/** Adds a row. Of equal versions (several rows of one id in one message) the last counts. */
	add(row: PendingRow): void {
		this.#place(row, (present) => compareVersions(row, present, this.#strategy) >= 0);
	}

	/** The newest of these superseded versions takes the place of a refused row. Rows that arrived meanwhile count as later. */
	putBack(superseded: SupersededRows): void {
		const row = superseded.takeNewest();
		if (row) this.#place(row, (present) => compareVersions(row, present, this.#strategy) > 0);
	}

	/** Takes the oldest rows, at most `maxRows` ids and about `maxBytes` (but at least one), in the order in which they arrived. */
	take(maxRows: number, maxBytes: number): PendingRow[] {
		const taken: PendingRow[] = [];
		let bytes = 0;
		for (const [id, row] of this.#newest) {
			if (taken.length >= maxRows || (taken.length > 0 && bytes + row.bytes > maxBytes)) break;
			taken.push(row);
			bytes += row.bytes;
			this.#newest.delete(id);
		}
		return taken.sort((left, right) => left.order - right.order);
	}

	/** Takes the rows of these ids. */
	takeThose(ids: Iterable<string>): PendingRow[] {
		const taken: PendingRow[] = [];
		for (const id of ids) {
			const row = this.#newest.get(id);
			if (!row) continue;
			taken.push(row);
			this.#newest.delete(id);
		}
		return taken;
	}

	/** All rows, in any order. */
	*[Symbol.iterator](): Iterator<PendingRow> {
		for (const newest of this.#newest.values()) yield* chainOf(newest);
	}

	#place(row: PendingRow, isNewerThan: (present: PendingRow) => boolean): void {
		const present = this.#newest.get(row.id);
		const newest = !present ? row : isNewerThan(present) ? this.#behind(row, present) : this.#behind(present, row);
		if (newest !== present) this.#newest.set(row.id, newest);
	}

	/** Returns `newest` with `other` and everything superseded by `other` behind it. */
	#behind(newest: PendingRow, other: PendingRow): PendingRow {
		const [kept, added] = [newest.superseded, other.superseded];
		other.superseded = null;
		// Adds the smaller list to the larger one.
		const [into, from] = (kept?.length ?? 0) >= (added?.length ?? 0) ? [kept, added] : [added, kept];
		const superseded = into ?? new SupersededRows(this.#strategy);
		if (from) for (const row of from) superseded.push(row);
		superseded.push(other);
		newest.superseded = superseded.length > 0 ? superseded : null;
		return newest;
	}
}

/** A row, and everything it supersedes in any order. */
export function* chainOf(row: PendingRow): Generator<PendingRow> {
	yield row;
	if (row.superseded) yield* row.superseded;
}
