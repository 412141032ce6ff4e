import { describe, expect, it } from "vitest";
import type { TableLayout } from "../../src/core/rows.ts";
import { type ExpectedRow, ExpectedRows } from "../../src/sink/expected-rows.ts";
import { compareTable, type RowFinding } from "../../src/sink/table-comparison.ts";
import { columnOf, layoutOf, type TestRow } from "../support/row-submissions.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestWriter } from "../support/test-writer.ts";

interface Comparison {
	readonly matched: number;
	readonly purged: number;
	readonly found: readonly RowFinding[];
}

function expectedOf({ id, offset, partition = 0, topic = "t", timestamp = offset, values = [], isDelete = false }: TestRow): ExpectedRow {
	return { id, offset, partition, topic, timestamp, values, isDelete, field: null, optional: false };
}

async function compared(test: TestWriter, rows: readonly TestRow[]): Promise<Comparison> {
	await using folder = await temporaryFolder();
	const layout = test.layouts[0] as TableLayout;
	const expected = new ExpectedRows({ layout, folder: folder.path, name: "t" });
	for (const row of rows) expected.add(expectedOf(row));
	const result = { matched: 0, purged: 0, found: [] as RowFinding[] };
	await compareTable(test.db.database, layout, expected, {
		matched: (count) => {
			result.matched += count;
		},
		purged: (count) => {
			result.purged += count;
		},
		found: (finding) => result.found.push(finding),
	});
	return result;
}

const kinds = ({ found }: Comparison) => found.map(({ kind, id, sqlstate }) => [kind, id, sqlstate]);

describe("a table against the rows it must hold", () => {
	it("says of what a column would have to cut that it can't be written, as the writer found", async () => {
		await using test = await TestWriter.on([layoutOf({ columns: [columnOf("v", "varchar(3)"), columnOf("c", "char(2)")] })]);
		const rows: TestRow[] = [
			{ id: "fits", offset: 1, values: ["abc", "x"] },
			{ id: "spaces", offset: 2, values: ["ab     ", "xy    "] },
			{ id: "long", offset: 3, values: ["abcd", "xy"] },
			{ id: "long char", offset: 4, values: ["abc", "xyz"] },
			{ id: "cut", offset: 5, values: ["abcd", "xy"] },
		];
		await test.write(rows);
		// As it was once written: cut without a word.
		await test.rows("insert into events (id, v, c, kafka_ts, kafka_offset, kafka_partition) values ('cut', 'abc', 'xy', 5, 5, 0)");
		const result = await compared(test, rows);
		expect(kinds(result)).toEqual([
			["unwritable", "cut", "22001"],
			["unwritable", "long", "22001"],
			["unwritable", "long char", "22001"],
		]);
		expect(result.matched).toBe(2);
		await test.rows("alter table events alter column v type varchar(9)");
		await test.rows("update events set v = 'abcd' where id = 'cut'");
		// A column that is wider than configured took it.
		expect(kinds(await compared(test, rows))).toEqual([
			["unwritable", "long", "22001"],
			["unwritable", "long char", "22001"],
		]);
	});
});
