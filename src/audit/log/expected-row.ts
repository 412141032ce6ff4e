/** Turns the rows of a handler's answer into expected rows of a table. Pure. */
import { type RowBlock, rowsOf, type TableLayout } from "../../core/rows/rows.ts";
import type { ExpectedRow } from "../../sink/comparison/expected-rows.ts";
import type { RowSubmission } from "../../worker/ports.ts";

/** The position of a row's message. */
export type RowPlace = Pick<ExpectedRow, "topic" | "partition" | "offset" | "timestamp">;

/** All rows of a block. `isOptional`: see ExpectedRow; null means that no row is optional. */
export function* expectedRows(
	{ topic, partition, batch }: RowSubmission,
	block: RowBlock,
	{ version, columns }: TableLayout,
	isOptional: ((place: RowPlace, id: string) => boolean) | null,
): Generator<ExpectedRow> {
	const versionColumn = version.kind === "field" ? columns.findIndex(({ name }) => name === version.column) : -1;
	for (const { message, id, isDelete, values } of rowsOf(block)) {
		const offset = batch.offsets[message] as number;
		const timestamp = Math.max(0, batch.timestamps[message] as number);
		const optional = isOptional?.({ topic, partition, offset, timestamp }, id) ?? false;
		yield { topic, partition, offset, timestamp, id, isDelete, values, field: values[versionColumn] ?? null, optional };
	}
}
