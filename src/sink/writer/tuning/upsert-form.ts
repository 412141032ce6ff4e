/**
 * Which form of the statement a table's next batch gets. Read first: while stale rows are likely, that is at the start (rows of the
 * previous owner may come again), as long as stale rows come, and after a failure (its rows may have been written). Write first: otherwise.
 * Always reading first would cost the server half as much again (13.8 instead of 9.0 µs per row, uniform ids).
 *
 * When the statement writes first, triggers, policies and constraints also see rows that turn out stale. If that makes a difference, or if
 * the server or the kind of table has no `xmax` (CockroachDB, views, partitioned tables), the table stays with reading first. Pure.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { UpsertCounts } from "../sql/cas-upsert.ts";

/** Decides whether the next statement reads first or writes first. */
export class UpsertForm {
	#expectsStale = true;
	#isFit = true;

	get writesFirst(): boolean {
		return this.#isFit && !this.#expectsStale;
	}

	/** Takes the results of the last statement's rows. */
	answered({ stale }: UpsertCounts): void {
		this.#expectsStale = stale.replay + stale.older + stale.other_partition > 0;
	}

	/** A statement that writes first failed. */
	failed(): void {
		this.#expectsStale = true;
	}

	/** Reading first wrote rows that writing first was refused. */
	foundUnfit(): void {
		this.#isFit = false;
	}
}
