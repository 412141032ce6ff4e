/** Rows of a handler's answer as verify and reprocess expect them in a table. */
import { expect, it } from "vitest";
import { expectedRows } from "../../../src/audit/log/expected-row.ts";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import { columnOf, layoutOf, submissionOf, type TestRow } from "../../support/fakes/row-submissions.ts";

const columns = [columnOf("name", "text"), columnOf("seq", "int8")];
const rows: readonly TestRow[] = [
	{ id: "a", topic: "orders", partition: 3, offset: 7, timestamp: 1_700, values: ["x", "12"] },
	{ id: "b", offset: 8, timestamp: -1, values: [null, "13"], isDelete: true },
];

function expected(layout: TableLayout, isOptional: (offset: number, id: string) => boolean = () => false) {
	const submission = submissionOf(layout, rows);
	return submission.blocks.flatMap((block) => [
		...expectedRows(submission as never, block, layout, ({ offset }, id) => isOptional(offset, id)),
	]);
}

it("have their message's coordinates, one without a time the time 0, as it is stored", () => {
	const place = { topic: "orders", partition: 3, field: null, optional: false };
	expect(expected(layoutOf({ columns }))).toEqual([
		{ ...place, offset: 7, timestamp: 1_700, id: "a", isDelete: false, values: ["x", "12"] },
		{ ...place, offset: 8, timestamp: 0, id: "b", isDelete: true, values: [null, "13"] },
	]);
});

it("have the field that is their version, of the column that is named and no other", () => {
	const layout = layoutOf({ columns, version: { kind: "field", column: "seq" } as TableLayout["version"] });
	expect(expected(layout).map(({ field }) => field)).toEqual(["12", "13"]);
});

it("are optional by place and id", () => {
	const optional = expected(layoutOf({ columns }), (offset, id) => offset === 8 && id === "b").map((row) => row.optional);
	expect(optional).toEqual([false, true]);
});
