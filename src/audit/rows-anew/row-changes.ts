/**
 * Finds what has to change in one table, by comparing it with the rows that today's handler makes: which row replaces which. Rows of
 * messages outside the stretch are ignored.
 */
import type { ExpectedRow } from "../../sink/comparison/expected-rows.ts";
import type { RefusedReplacement, Replacement } from "../../sink/comparison/row-replacement.ts";
import type { ComparisonListener, RowFinding, RowOrigin } from "../../sink/comparison/table-comparison.ts";
import type { RowPlace } from "../log/expected-row.ts";

/** A stored row that its message no longer makes, or makes with an older version. `row`: the row of the stretch that takes its place. */
export interface Orphan {
	readonly id: string;
	readonly row: ExpectedRow | null;
	readonly stored: RowOrigin;
}

/** What it needs from outside. */
export interface RowChangesParts {
	readonly table: string;
	/** The topic of rows in tables without a topic column. */
	readonly onlyTopic: string;
	/** True if the message is computed anew. */
	readonly isMeant: (place: RowPlace) => boolean;
	/** Carries changes out. */
	readonly write: (replacements: readonly Replacement[]) => Promise<void>;
	/** Returns those of these rows whose messages were handled and did not make them. */
	readonly orphaned: (candidates: readonly Orphan[]) => Promise<readonly Orphan[]>;
	/** The row of this id is removed or goes back to an older message. */
	readonly lowered: (id: string) => void;
	/** True if a message before the stretch may have made the row that takes its place: that is found out at the end. */
	readonly mayBeBefore: (place: RowPlace) => boolean;
}

/** Maximum candidates held: checking their messages reads the log between the first and the last of them. */
const MAX_CANDIDATES = 50_000;

/** Collects the rows that have to change in one table. */
export class RowChanges implements ComparisonListener {
	readonly #parts: RowChangesParts;
	#ready: Replacement[] = [];
	#candidates: Orphan[] = [];
	/** Orphans whose row may come from messages before the stretch. */
	readonly orphans: Orphan[] = [];
	readonly refused: RefusedReplacement[] = [];
	/** What is to change, and what is already right; `moved`: another row is stored by now. */
	readonly counts = { changed: 0, added: 0, removed: 0, same: 0, moved: 0 };

	constructor(parts: RowChangesParts) {
		this.#parts = parts;
	}

	matched(ids: readonly string[]): void {
		this.counts.same += ids.length;
	}

	purged(ids: readonly string[]): void {
		this.counts.same += ids.length;
	}

	found(finding: RowFinding, _: boolean, row: ExpectedRow | null): void {
		const { kind, id, stored, sqlstate } = finding;
		const { table, isMeant } = this.#parts;
		const [isNew, isOld] = [row !== null && isMeant(row), stored !== null && isMeant(this.#placeOf(stored))];
		if (kind === "unwritable") {
			if (isNew) this.refused.push({ table, id, sqlstate: sqlstate ?? "", message: "the server refuses the row" });
		} else if (row && stored && isNew && kind !== "newer" && this.#isSameMessage(row, stored)) this.#change("changed", { id, row, stored });
		else if (row && kind === "missing") {
			if (isNew) this.#change("added", { id, row, stored: null });
		} else if (row && kind === "older") {
			if (isNew) this.#change("changed", { id, row, stored: null });
		} else if (stored && isOld && (kind === "newer" || kind === "extra")) this.#candidates.push({ id, row, stored });
		else if (isNew) this.counts.moved++;
	}

	async relieve(): Promise<void> {
		const ready = this.#ready;
		this.#ready = [];
		if (ready.length > 0) await this.#parts.write(ready);
		if (this.#candidates.length >= MAX_CANDIDATES) await this.#settle();
	}

	/** Ends the search. The caller decides about those left in `orphans`. */
	async conclude(): Promise<void> {
		await this.#settle();
		await this.relieve();
	}

	/** `row` is the row that counts for an orphan, wherever it comes from. */
	settled({ id, stored }: Orphan, row: ExpectedRow | null): void {
		if (row) this.#change("changed", { id, row, stored });
		else this.#change("removed", { id, row, stored });
	}

	async #settle(): Promise<void> {
		const candidates = this.#candidates;
		this.#candidates = [];
		if (candidates.length === 0) return;
		const orphaned = await this.#parts.orphaned(candidates);
		for (const orphan of orphaned) {
			this.#parts.lowered(orphan.id);
			if (this.#parts.mayBeBefore(this.#placeOf(orphan.stored))) this.orphans.push(orphan);
			else this.settled(orphan, orphan.row);
		}
	}

	#change(count: "changed" | "added" | "removed", replacement: Replacement): void {
		this.counts[count]++;
		this.#ready.push(replacement);
	}

	#isSameMessage(row: RowPlace, stored: RowOrigin): boolean {
		const { topic, partition, offset, timestamp } = this.#placeOf(stored);
		return row.topic === topic && row.partition === partition && row.offset === offset && row.timestamp === timestamp;
	}

	#placeOf({ topic, partition, offset, timestamp }: RowOrigin): RowPlace {
		return { topic: topic ?? this.#parts.onlyTopic, partition, offset, timestamp };
	}
}
