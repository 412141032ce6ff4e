/**
 * Ids that the server calls equal although their texts differ (a collation that is not deterministic: "A" and "a"). They share one row,
 * that of their newest message. Findings about the others are held back until it is known whether the ids are equal.
 */
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Database } from "../database/database.ts";
import { quoted, quotedTable } from "../database/sql-names.ts";
import type { ExpectedRow, ExpectedRows } from "./expected-rows.ts";
import type { ComparisonListener, RowFinding } from "./table-comparison.ts";

/** Maximum findings held back; further ones are reported as they are. */
const MAX_HELD = 100_000;
const PAIRS = 1_000;

interface Held {
	readonly finding: RowFinding;
	readonly isOptional: boolean;
	readonly row: ExpectedRow | null;
}

interface Pair {
	readonly held: Held;
	/** Id of the message that the stored row is from. */
	readonly id: string;
}

/** Holds back findings about ids that the collation may call equal, in front of the real listener. */
export class EqualIds implements ComparisonListener {
	readonly #database: Database;
	readonly #layout: TableLayout;
	readonly #listener: ComparisonListener;
	readonly #held = new Map<string, Held[]>();
	#count = 0;

	constructor(database: Database, layout: TableLayout, listener: ComparisonListener) {
		this.#database = database;
		this.#layout = layout;
		this.#listener = listener;
	}

	matched(ids: readonly string[]): void {
		this.#listener.matched(ids);
	}

	purged(ids: readonly string[]): void {
		this.#listener.purged(ids);
	}

	async relieve(): Promise<void> {
		await this.#listener.relieve?.();
	}

	found(finding: RowFinding, isOptional: boolean, row: ExpectedRow | null): void {
		const { kind, stored } = finding;
		if (!stored || (kind !== "newer" && kind !== "extra") || this.#count >= MAX_HELD) {
			this.#listener.found(finding, isOptional, row);
			return;
		}
		const place = placeOf(stored);
		this.#held.set(place, [...(this.#held.get(place) ?? []), { finding, isOptional, row }]);
		this.#count++;
	}

	/** Reads the expected rows once more, for the messages of the held rows, and reports the findings that are left. */
	async conclude(expected: ExpectedRows): Promise<void> {
		if (this.#held.size === 0) return;
		const explained = new Set<Held>();
		let pairs: Pair[] = [];
		for await (const candidates of expected.sorted()) {
			for (const row of candidates) pairs.push(...this.#pairsOf(row));
			if (pairs.length < PAIRS) continue;
			await this.#explain(pairs, explained);
			pairs = [];
		}
		await this.#explain(pairs, explained);
		for (const held of [...this.#held.values()].flat()) {
			const { finding, isOptional, row } = held;
			if (!explained.has(held)) this.#listener.found(finding, isOptional, row);
			// The stored row of an equal id is compared under that id.
			else if (finding.kind === "newer") this.#listener.matched([finding.id]);
		}
	}

	#pairsOf(row: ExpectedRow): Pair[] {
		const there = this.#held.get(placeOf(row)) ?? [];
		return there
			.filter(({ finding: { id, stored } }) => id !== row.id && stored?.timestamp === row.timestamp)
			.map((held) => ({ held, id: row.id }));
	}

	/** Asks the server which ids are equal: then the row stored for one is also found under the other. */
	async #explain(pairs: readonly Pair[], explained: Set<Held>): Promise<void> {
		if (pairs.length === 0) return;
		const id = `t.${quoted(this.#layout.id.column)}`;
		const asked = JSON.stringify(pairs.map(({ held, id: other }) => [held.finding.id, other]));
		const found = await this.#database.query(
			`select p.number::int4 as number from json_array_elements($1::text::json) with ordinality p(ids, number)
where exists (select 1 from ${quotedTable(this.#layout.name)} t where ${id} = (p.ids->>1) and ${id} = (p.ids->>0))`,
			[asked],
		);
		for (const { number } of found) explained.add((pairs[Number(number) - 1] as Pair).held);
	}
}

/** Partition and offset only: a table may have no topic column. */
function placeOf({ partition, offset }: { readonly partition: number; readonly offset: number }): string {
	return `${partition}@${offset}`;
}
