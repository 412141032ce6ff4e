/** Which fields of an object `pockaffe:json` reads for a table. */
import type { TableLayout } from "../../../core/rows/rows.ts";

/** The top-level fields that a table's columns are read from. */
export function knownFields(layout: TableLayout | null): ReadonlySet<string> {
	return new Set(layout?.columns.flatMap(({ path }) => path[0] ?? []));
}

/**
 * An object without any known field, like an envelope, would write a row of NULLs over a good one. An empty object says that there is
 * nothing.
 */
export function hasNothingFor(known: ReadonlySet<string>, fields: Record<string, unknown>): boolean {
	const names = Object.keys(fields);
	return known.size > 0 && names.length > 0 && !names.some((name) => known.has(name));
}
