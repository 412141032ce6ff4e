/**
 * Which form of the statement a table's next batch gets: the one that reads first while stale rows are to be expected (at the start, where
 * a predecessor's rows may come again, as long as they do, and after a failure, whose rows may have gone in), the one that writes first
 * otherwise. A row that would be left out still meets triggers, policies and constraints where the statement writes first: where that is
 * found to make a difference, or where the server or the kind of table has no `xmax` (CockroachDB, views, partitioned tables), it reads
 * first for ever. To read first always would cost the server half as much again (13.8 in place of 9.0 µs a row, uniform ids). Pure.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { UpsertCounts } from "../sql/cas-upsert.ts";

/** See the file's header. */
export class UpsertForm {
	#expectsStale = true;
	#isFit = true;

	get writesFirst(): boolean {
		return this.#isFit && !this.#expectsStale;
	}

	/** What the last statement's rows came to. */
	answered({ stale }: UpsertCounts): void {
		this.#expectsStale = stale.replay + stale.older + stale.other_partition > 0;
	}

	/** A statement that writes first failed. */
	failed(): void {
		this.#expectsStale = true;
	}

	/** Rows went in by reading first that writing first was refused. */
	foundUnfit(): void {
		this.#isFit = false;
	}
}
