/**
 * The rows of one lane that wait to be written: of each id only the newest version goes to the server, older ones wait behind it and
 * are settled with it; where it is refused, the next older one goes. Pure.
 *
 * Step 7 of a message's way (README).
 */
import type { RowFault, TableLayout, VersionStrategy } from "../core/rows.ts";
import type { UpsertRow } from "./row-parameters.ts";
import { compareVersions, type RowVersion } from "./row-version.ts";

/** Who is told of a row's fate; a submission of a partition worker. */
export interface RowOwner {
	settled(message: number): void;
	refused(message: number, fault: RowFault): void;
}

/** A waiting row. `older` are the versions it stands for, newest first. */
export interface PendingRow extends UpsertRow, RowVersion {
	readonly owner: RowOwner;
	readonly message: number;
	readonly bytes: number;
	older: PendingRow | null;
}

/** See the file's header. */
export class PendingRows {
	readonly #strategy: VersionStrategy;
	#newest = new Map<string, PendingRow>();
	#bytes = 0;
	#waiting = 0;

	constructor(layout: TableLayout) {
		this.#strategy = layout.version;
	}

	/** Rows that would go to the server: one per id. */
	get size(): number {
		return this.#newest.size;
	}

	/** All rows, coalesced ones included. */
	get rows(): number {
		return this.#waiting;
	}

	get bytes(): number {
		return this.#bytes;
	}

	/** Adds a row with what it already stands for. */
	add(row: PendingRow): void {
		const present = this.#newest.get(row.id);
		this.#waiting += lengthOf(row);
		this.#bytes += row.bytes;
		if (!present) {
			this.#newest.set(row.id, row);
			return;
		}
		// Of equal versions (several rows of one id in one message) the last counts.
		const isNewer = compareVersions(row, present, this.#strategy) >= 0;
		this.#newest.set(row.id, isNewer ? merge(row, present, this.#strategy) : merge(present, row, this.#strategy));
		this.#bytes -= isNewer ? present.bytes : row.bytes;
	}

	/** Takes what came first, at most `maxRows` ids and about `maxBytes` (but at least one), sorted by id: lock order for everybody. */
	take(maxRows: number, maxBytes: number): PendingRow[] {
		const taken: PendingRow[] = [];
		let bytes = 0;
		for (const [id, row] of this.#newest) {
			if (taken.length >= maxRows || (taken.length > 0 && bytes + row.bytes > maxBytes)) break;
			taken.push(row);
			bytes += row.bytes;
			this.#newest.delete(id);
			this.#waiting -= lengthOf(row);
		}
		this.#bytes -= bytes;
		return taken.sort((left, right) => (left.id < right.id ? -1 : left.id > right.id ? 1 : 0));
	}
}

/** A row and everything it stands for, newest first. */
export function* chainOf(row: PendingRow): Generator<PendingRow> {
	for (let at: PendingRow | null = row; at !== null; at = at.older) yield at;
}

function lengthOf(row: PendingRow): number {
	let length = 0;
	for (let at: PendingRow | null = row; at !== null; at = at.older) length++;
	return length;
}

/** `newest` in front; both chains in one, newest first, so that each refusal falls back to the next older version. */
function merge(newest: PendingRow, other: PendingRow, strategy: VersionStrategy): PendingRow {
	let tail: PendingRow = newest;
	let left = newest.older;
	let right: PendingRow | null = other;
	while (left !== null || right !== null) {
		const takeLeft = right === null || (left !== null && compareVersions(left, right, strategy) >= 0);
		const next = (takeLeft ? left : right) as PendingRow;
		if (takeLeft) left = next.older;
		else right = next.older;
		tail.older = next;
		tail = next;
	}
	tail.older = null;
	return newest;
}
