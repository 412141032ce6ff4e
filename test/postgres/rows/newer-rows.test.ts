/** Which messages' rows a table does not have, because a newer message's row is there. */
import { expect, it } from "vitest";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import { newerRows } from "../../../src/sink/comparison/newer-rows.ts";
import { layoutOf } from "../../support/fakes/row-submissions.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";

it("are told with their own message and the stored row's, also where several topics are asked about at once", async () => {
	await using test = await TestWriter.on([layoutOf({ withTopic: true })]);
	await test.write([{ id: "a", topic: "orders", offset: 9, timestamp: 90 }]);
	await test.write([
		{ id: "b", topic: "payments", offset: 3, timestamp: 90 },
		{ id: "c", topic: "payments", offset: 4, timestamp: 90 },
	]);
	const asked = [
		{ id: "a", topic: "orders", partition: 0, offset: 3 },
		{ id: "b", topic: "payments", partition: 0, offset: 2 },
		{ id: "c", topic: "payments", partition: 0, offset: 4 },
		{ id: "gone", topic: "orders", partition: 0, offset: 5 },
	];
	const found = await newerRows(test.db.database, test.layouts[0] as TableLayout, asked);
	expect([...found].sort((left, right) => (left.id < right.id ? -1 : 1))).toEqual([
		{ ...asked[0], by: { topic: "orders", partition: 0, offset: 9 } },
		{ ...asked[1], by: { topic: "payments", partition: 0, offset: 3 } },
	]);
});
