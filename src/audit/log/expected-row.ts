/** Rows of a handler's answer as they are expected in a table. Pure. */
import { type RowBlock, rowsOf, type TableLayout } from "../../core/rows/rows.ts";
import type { ExpectedRow } from "../../sink/comparison/expected-rows.ts";
import type { RowSubmission } from "../../worker/ports.ts";

/** Where a row's message is. */
export type RowPlace = Pick<ExpectedRow, "topic" | "partition" | "offset" | "timestamp">;

/** All rows of a block. `isOptional`: see ExpectedRow. */
export function* expectedRows(
	{ topic, partition, batch }: RowSubmission,
	block: RowBlock,
	{ version, columns }: TableLayout,
	isOptional: (place: RowPlace, id: string) => boolean,
): Generator<ExpectedRow> {
	for (const { message, id, isDelete, values } of rowsOf(block)) {
		const offset = batch.offsets[message] as number;
		const timestamp = Math.max(0, batch.timestamps[message] as number);
		const place = { topic, partition, offset, timestamp };
		const field = version.kind === "field" ? (values[columns.findIndex(({ name }) => name === version.column)] ?? null) : null;
		yield { ...place, id, isDelete, values, field, optional: isOptional(place, id) };
	}
}
