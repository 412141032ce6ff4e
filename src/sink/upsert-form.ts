/**
 * Which form of the statement a table's next batch gets: the one that reads first while stale rows are to be expected (at the start, where
 * a predecessor's rows may come again, and as long as they do), the one that writes first otherwise. Where the server has no such form,
 * the other one for ever. Pure.
 *
 * Step 8 of a message's way (README).
 */
import type { UpsertCounts } from "./cas-upsert.ts";

/** SQLSTATEs of a server, or a kind of table, that has no `xmax`: CockroachDB, views, partitioned tables of some versions. */
const UNKNOWN_FORM: ReadonlySet<string> = new Set(["42703", "42601", "0A000"]);

/** See the file's header. */
export class UpsertForm {
	#expectsStale = true;
	#isKnown = true;

	get writesFirst(): boolean {
		return this.#isKnown && !this.#expectsStale;
	}

	/** What the last statement's rows came to. */
	answered({ stale }: UpsertCounts): void {
		this.#expectsStale = stale.replay + stale.older + stale.other_partition > 0;
	}

	/** A statement that writes first failed: true where its form may be why, and the other one is to be tried at once. */
	failed(sqlstate: string): boolean {
		if (!UNKNOWN_FORM.has(sqlstate)) return false;
		this.#isKnown = false;
		return true;
	}
}
