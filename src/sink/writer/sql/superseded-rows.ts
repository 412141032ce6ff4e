/**
 * The versions of one id that wait behind a newer one. Their order matters only if the newer one is refused, which is rare, so they are
 * kept as they arrive and sorted when one is asked for.
 *
 * Rows of released owners are not kept: while the database is away every new assignment brings them again. Pure.
 */
import type { VersionStrategy } from "../../../core/rows/rows.ts";
import type { PendingRow } from "./pending-rows.ts";
import { compareVersions } from "./row-version.ts";

/** Minimum rows before released ones are looked for. */
const SMALL = 16;

/** The superseded rows of one id. */
export class SupersededRows implements Iterable<PendingRow> {
	readonly #strategy: VersionStrategy;
	#rows: PendingRow[] = [];
	/** True while the rows are in the order of their versions, oldest first, as they usually arrive. */
	#ordered = true;
	/** Length at which released rows are looked for again: twice what was left the last time, so that a push has a constant average cost. */
	#lookAt = SMALL;

	constructor(strategy: VersionStrategy) {
		this.#strategy = strategy;
	}

	get length(): number {
		return this.#rows.length;
	}

	/** Adds a row that supersedes nothing itself. Of equal versions the later one counts as newer. */
	push(row: PendingRow): void {
		if (row.owner.released) return;
		const last = this.#rows.at(-1);
		if (last && compareVersions(last, row, this.#strategy) > 0) this.#ordered = false;
		this.#rows.push(row);
		if (this.#rows.length < this.#lookAt) return;
		this.#rows = this.#rows.filter(({ owner }) => !owner.released);
		this.#lookAt = Math.max(SMALL, 2 * this.#rows.length);
	}

	/** Takes the newest row that somebody still waits for, with all the others behind it; null if there is none. */
	takeNewest(): PendingRow | null {
		if (!this.#ordered) this.#rows.sort((left, right) => compareVersions(left, right, this.#strategy));
		this.#ordered = true;
		for (;;) {
			const row = this.#rows.pop();
			if (!row) return null;
			if (row.owner.released) continue;
			row.superseded = this.#rows.length > 0 ? this : null;
			return row;
		}
	}

	[Symbol.iterator](): Iterator<PendingRow> {
		return this.#rows[Symbol.iterator]();
	}
}
