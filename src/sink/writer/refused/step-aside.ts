/**
 * A way out for rows that wait for each other in a circle, each for a value that another row still has. The log itself led around that
 * circle, but the batch left out a row in between, or another row took its value early. One transaction first writes an older version of
 * these ids without its values, which nobody ever sees, and then the newest version of all. Pure.
 */
import type { TableLayout } from "../../../core/rows/rows.ts";
import type { PendingRow } from "../sql/pending-rows.ts";
import { compareVersions } from "../sql/row-version.ts";
import { SupersededRows } from "../sql/superseded-rows.ts";
import type { TogetherStatement } from "../together-writer.ts";
import type { HeldRow } from "./held-partition.ts";

/**
 * The transaction's statements, for rows in the log's order. Null if no id has several versions: then the log itself led through the
 * circle.
 */
export function stepAside(held: readonly HeldRow[], layouts: ReadonlyMap<string, TableLayout>): TogetherStatement[] | null {
	const byId = new Map<string, HeldRow[]>();
	for (const each of held) {
		const key = `${each.table} ${each.row.id}`;
		byId.set(key, [...(byId.get(key) ?? []), each]);
	}
	const aside: TogetherStatement[] = [];
	const newest = new Map<HeldRow, readonly PendingRow[]>();
	for (const [first, ...more] of byId.values() as Iterable<[HeldRow, ...HeldRow[]]>) {
		const { table } = first;
		const layout = layouts.get(table) as TableLayout;
		const sorted = [first, ...more].sort((left, right) => compareVersions(left.row, right.row, layout.version));
		const last = sorted.pop() as HeldRow;
		newest.set(
			last,
			sorted.map(({ row }) => row),
		);
		const [oldest] = sorted;
		if (oldest) aside.push({ table, rows: [emptied(oldest.row, layout)], isAside: true, isById: false });
	}
	if (aside.length === 0) return null;
	const statements = [...aside];
	for (const each of held) {
		const older = newest.get(each);
		if (!older) continue;
		const { table, row } = each;
		const present = statements.at(-1);
		const whole = { ...row, superseded: versionsOf(older, layouts.get(table) as TableLayout) };
		if (present?.table === table && !present.isAside) statements.splice(-1, 1, { ...present, rows: [...present.rows, whole] });
		else statements.push({ table, rows: [whole], isAside: false, isById: false });
	}
	return statements;
}

/** The row as a delete of its version would leave it. */
function emptied(row: PendingRow, { version, columns }: TableLayout): PendingRow {
	const keeps = version.kind === "field" ? version.column : null;
	return { ...row, isDelete: true, values: row.values.map((value, column) => (columns[column]?.name === keeps ? value : null)) };
}

function versionsOf(rows: readonly PendingRow[], { version }: TableLayout): SupersededRows | null {
	const superseded = new SupersededRows(version);
	for (const row of rows) superseded.push(row);
	return superseded.length > 0 ? superseded : null;
}
