import { describe, expect, it } from "vitest";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import { type ExpectedRow, ExpectedRows } from "../../../src/sink/comparison/expected-rows.ts";
import { compareTable, type RowFinding } from "../../../src/sink/comparison/table-comparison.ts";
import type { Database } from "../../../src/sink/database/database.ts";
import { columnOf, layoutOf, type TestRow } from "../../support/fakes/row-submissions.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

interface Comparison {
	readonly matched: number;
	readonly purged: number;
	readonly found: readonly RowFinding[];
}

function expectedOf({ id, offset, partition = 0, topic = "t", timestamp = offset, values = [], isDelete = false }: TestRow): ExpectedRow {
	return { id, offset, partition, topic, timestamp, values, isDelete, field: null, optional: false };
}

async function compared(test: TestWriter, rows: readonly TestRow[], optional = false): Promise<Comparison> {
	await using folder = await temporaryFolder();
	const layout = test.layouts[0] as TableLayout;
	const expected = new ExpectedRows({ layout, folder: folder.path, name: "t" });
	for (const row of rows) expected.add({ ...expectedOf(row), optional });
	const result = { matched: 0, purged: 0, found: [] as RowFinding[] };
	await compareTable(test.db.database, layout, expected, {
		matched: (ids) => {
			result.matched += ids.length;
		},
		purged: (ids) => {
			result.purged += ids.length;
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

	it("finds a row whose id is only expected of what could never be written", async () => {
		await using test = await TestWriter.on([layoutOf({ columns: [columnOf("v", "smallint")] })]);
		await test.rows("insert into events (id, v, kafka_ts, kafka_offset, kafka_partition) values ('forged', 1, 3, 3, 0)");
		const rows: TestRow[] = [
			{ id: "forged", offset: 5, values: ["99999"] },
			{ id: "refused", offset: 6, values: ["99999"] },
			{ id: "not there", offset: 7, values: ["1"] },
		];
		const result = await compared(test, rows, true);
		expect(kinds(result)).toEqual([["extra", "forged", null]]);
		expect(result.found[0]).toMatchObject({ expected: null, stored: { offset: 3 } });
		expect(result.matched).toBe(0);
	});

	it("takes rows that are large few at a time", async () => {
		const layout = layoutOf({ columns: [columnOf("v", "text")] });
		await using db = await createTestDatabase();
		await using folder = await temporaryFolder();
		const expected = new ExpectedRows({ layout, folder: folder.path, name: "t" });
		// One string of them all would be longer than a string may be.
		const value = "x".repeat(300_000);
		for (let i = 0; i < 2_000; i++) {
			expected.add(expectedOf({ id: `id-${i}`, offset: i, values: [value] }));
			await expected.relieve();
		}
		let [asked, longest] = [0, 0];
		const database: Database = {
			...db.database,
			query: async (text, parameters = []) => {
				if (!text.includes("unnest")) return [];
				asked += parameters[2]?.split(parameters[0] as string).length ?? 0;
				longest = Math.max(
					longest,
					parameters.reduce((sum, parameter) => sum + (parameter?.length ?? 0), 0),
				);
				return [];
			},
			async *stream() {},
		};
		await compareTable(database, layout, expected, { matched() {}, purged() {}, found() {} });
		expect(asked).toBe(2_000);
		expect(longest).toBeLessThan(6_000_000);
	});

	it("tells the topic of a row also where only one is read by now", async () => {
		const layout = layoutOf();
		await using test = await TestWriter.on([layout]);
		await test.rows("alter table events add column kafka_topic text");
		await test.rows(
			"insert into events (id, kafka_topic, kafka_ts, kafka_offset, kafka_partition) values ('a', 'gone', 1, 1, 0), ('b', null, 1, 2, 0)",
		);
		const { found } = await compared(test, []);
		expect(found.map(({ kind, id, stored }) => [kind, id, stored?.topic])).toEqual([
			["extra", "a", "gone"],
			["extra", "b", null],
		]);
	});

	it("tells a row of an earlier log at the same offset also where the timestamp does not decide", async () => {
		await using test = await TestWriter.on([layoutOf({ version: { kind: "offset" }, columns: [columnOf("v", "text")] })]);
		await test.write([{ id: "a", offset: 1, values: ["x"] }]);
		const same = await compared(test, [{ id: "a", offset: 1, values: ["x"] }]);
		expect([same.matched, same.found]).toEqual([1, []]);
		const { found } = await compared(test, [{ id: "a", offset: 1, timestamp: 7, values: ["x"] }]);
		expect(found.map(({ kind, columns }) => [kind, columns])).toEqual([["different", ["kafka_ts"]]]);
	});

	const forgiven: readonly { type: string; sent: string; equal: string; same: string }[] = [
		{ type: "interval", sent: "1 month", equal: "30 days", same: "1 mon" },
		{ type: "numeric", sent: "1.50", equal: "1.5", same: "1.50" },
		{ type: "double precision", sent: "0", equal: "-0", same: "0.0" },
		{ type: "real", sent: "-0", equal: "0", same: "-0.0" },
		{ type: "jsonb", sent: '{"a":1.0}', equal: '{"a":1.00}', same: '{ "a": 1.0 }' },
		{ type: "json", sent: '{"a":1,"b":2}', equal: '{"b":2,"a":1}', same: '{"a":1,"b":2}' },
	];

	it.each(forgiven)("tells from $sent what $type takes for equal: $equal", async ({ type, sent, equal, same }) => {
		await using test = await TestWriter.on([layoutOf({ columns: [columnOf("v", type)] })]);
		const rows = [{ id: "a", offset: 1, values: [sent] }];
		await test.write(rows);
		await test.rows(`update events set v = '${same}'`);
		expect(await compared(test, rows)).toEqual({ matched: 1, purged: 0, found: [] });
		await test.rows(`update events set v = '${equal}'`);
		const { found } = await compared(test, rows);
		expect(found.map(({ kind, columns }) => [kind, columns])).toEqual([["different", ["v"]]]);
	});

	it("tells letters apart that a column's collation takes for equal", async () => {
		await using test = await TestWriter.on([layoutOf({ columns: [columnOf("v", "text"), columnOf("c", "varchar(5)")] })]);
		await test.rows("create collation anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
		await test.rows("alter table events alter v type text collate anycase, alter c type varchar(5) collate anycase");
		const rows = [{ id: "a", offset: 1, values: ["word", "word"] }];
		await test.write(rows);
		expect((await compared(test, rows)).matched).toBe(1);
		await test.rows("update events set v = 'Word', c = 'WORD'");
		expect((await compared(test, rows)).found).toMatchObject([{ kind: "different", columns: ["v", "c"] }]);
	});

	it("expects what a column keeps of a value: its own scale and precision where the configured type names none", async () => {
		await using test = await TestWriter.on([
			layoutOf({ columns: [columnOf("n", "numeric"), columnOf("t", "timestamptz"), columnOf("c", "varchar")] }),
		]);
		await test.rows("alter table events alter n type numeric(10,2), alter t type timestamptz(0), alter c type varchar(3)");
		const rows: TestRow[] = [
			{ id: "kept", offset: 1, values: ["1.555", "2024-01-01T00:00:00.700Z", "ab     "] },
			{ id: "long", offset: 2, values: ["1", null, "abcd"] },
		];
		await test.write(rows);
		const result = await compared(test, rows);
		expect([result.matched, kinds(result)]).toEqual([1, [["unwritable", "long", "22001"]]]);
		await test.rows("insert into events (id, n, c, kafka_ts, kafka_offset, kafka_partition) values ('long', 1, 'abc', 2, 2, 0)");
		expect(kinds(await compared(test, rows))).toEqual([["unwritable", "long", "22001"]]);
	});

	describe("whose ids are equal where their texts are not", () => {
		const rows: TestRow[] = [
			{ id: "Ada", offset: 1, values: ["first"] },
			{ id: "ADA", offset: 2, values: ["second"] },
			{ id: "ada", offset: 3, values: ["third"] },
			{ id: "Bob", offset: 4, values: ["other"] },
		];
		const open = async () => {
			const test = await TestWriter.on([layoutOf({ columns: [columnOf("v", "text")] })]);
			await test.rows("create collation anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
			await test.rows("alter table events alter id type text collate anycase");
			for (const row of rows) await test.write([row]);
			return test;
		};

		it("takes the newest of their rows for that of all", async () => {
			await using test = await open();
			expect(await test.rows("select id, v from events")).toMatchObject([{ id: "Ada", v: "third" }, { id: "Bob" }]);
			expect(await compared(test, rows)).toEqual({ matched: 4, purged: 0, found: [] });
			// Only the last of them is still in the log.
			expect(await compared(test, rows.slice(2))).toEqual({ matched: 2, purged: 0, found: [] });
		});

		it("finds what is lost, older or another's all the same", async () => {
			await using test = await open();
			await test.rows("update events set v = 'x' where id = 'ada'");
			expect(kinds(await compared(test, rows))).toEqual([["different", "ada", null]]);
			await test.rows("update events set v = 'second', kafka_offset = 2, kafka_ts = 2 where id = 'ada'");
			expect(kinds(await compared(test, rows))).toEqual([["older", "ada", null]]);
			await test.rows("delete from events where id = 'ada'");
			expect(kinds(await compared(test, rows)).map(([kind]) => kind)).toEqual(["missing", "missing", "missing"]);
			// The coordinates of a message of an id that is not equal.
			await test.rows(
				"insert into events (id, v, kafka_ts, kafka_offset, kafka_partition) values ('Ada', 'other', 4, 4, 0), ('Eve', 'x', 3, 3, 0)",
			);
			expect(kinds(await compared(test, rows)).sort()).toEqual([
				["extra", "Eve", null],
				["newer", "ADA", null],
				["newer", "Ada", null],
				["newer", "ada", null],
			]);
		});
	});
});
