/**
 * The versions of one id that wait behind a newer one. They are needed in order only where that one is refused, which is rare, so they
 * are kept as they come and sorted when one is asked for.
 *
 * Rows of released owners are not kept: while the database is away every new assignment brings them again. Pure.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { VersionStrategy } from "../../../core/rows/rows.ts";
import type { PendingRow } from "./pending-rows.ts";
import { compareVersions } from "./row-version.ts";

/** Below this many rows none is worth looking for. */
const SMALL = 16;

/** The superseded rows of one id. */
export class SupersededRows implements Iterable<PendingRow> {
	readonly #strategy: VersionStrategy;
	#rows: PendingRow[] = [];
	/** True while the rows are in the order of their versions, oldest first: so they come as a rule. */
	#ordered = true;
	/** Length at which released rows are looked for again; twice what was left the last time, so that a push costs no more than its share. */
	#lookAt = SMALL;

	constructor(strategy: VersionStrategy) {
		this.#strategy = strategy;
	}

	get length(): number {
		return this.#rows.length;
	}

	/** Adds a row, which stands for nothing itself; one of equal versions that came later counts as newer. */
	push(row: PendingRow): void {
		if (row.owner.released) return;
		const last = this.#rows.at(-1);
		if (last && compareVersions(last, row, this.#strategy) > 0) this.#ordered = false;
		this.#rows.push(row);
		if (this.#rows.length < this.#lookAt) return;
		this.#rows = this.#rows.filter(({ owner }) => !owner.released);
		this.#lookAt = Math.max(SMALL, 2 * this.#rows.length);
	}

	/** Takes the newest row somebody still waits for, which stands for all the others then; null where there is none. */
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
