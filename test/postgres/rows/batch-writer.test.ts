import { describe, expect, it } from "vitest";
import { columnOf, layoutOf, type TestRow } from "../../support/fakes/row-submissions.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";
import { waitFor } from "../../support/wait-for.ts";

const row = (offset: number, id: string, name: string | null, amount: string | null = null): TestRow => ({
	offset,
	id,
	values: [name, amount],
});

describe("versions", () => {
	it("let a newer row in and leave an older one out, by cause", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.write([{ ...row(5, "a", "five"), timestamp: 100 }]);
		await test.write([{ ...row(5, "a", "five again"), timestamp: 100 }]);
		await test.write([{ ...row(6, "a", "six, but its clock was behind"), timestamp: 99 }]);
		await test.write([{ ...row(1, "a", "other partition"), timestamp: 98, partition: 1 }]);
		await test.write([{ ...row(7, "a", "seven"), timestamp: 101 }]);
		expect(await test.rows()).toMatchObject([{ id: "a", name: "seven", kafka_ts: "101", kafka_offset: "7" }]);
		expect(test.written.map(({ stale }) => stale)).toEqual([
			{ replay: 0, older: 0, other_partition: 0 },
			{ replay: 1, older: 0, other_partition: 0 },
			{ replay: 0, older: 1, other_partition: 0 },
			{ replay: 0, older: 0, other_partition: 1 },
			{ replay: 0, older: 0, other_partition: 0 },
		]);
		expect(test.counts).toMatchObject({ inserted: 1, updated: 1, stale: 3 });
	});

	it("keep a deleted row as a tombstone against older rows; a newer one brings it back", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.write([row(1, "a", "one", "1")]);
		await test.write([{ id: "a", offset: 5, isDelete: true }]);
		expect(await test.rows()).toMatchObject([{ name: null, amount: null, deleted: true, kafka_offset: "5" }]);
		await test.write([row(3, "a", "three")]);
		expect(await test.rows()).toMatchObject([{ deleted: true, kafka_offset: "5" }]);
		await test.write([row(6, "a", "six")]);
		expect(await test.rows()).toMatchObject([{ name: "six", deleted: false }]);
		expect(test.counts).toEqual({ inserted: 1, updated: 1, deleted: 1, stale: 1, coalesced: 0, refused: 0 });
	});

	it("take the last of several rows of one id in one message", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.write([row(1, "a", "first"), row(1, "a", "second"), row(1, "a", "third")]);
		expect(await test.rows()).toMatchObject([{ name: "third" }]);
		expect(test.counts).toMatchObject({ inserted: 1, coalesced: 2 });
	});

	it("count a timestamp that is missing as 0", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.write([{ ...row(1, "a", "none"), timestamp: -1 }]);
		expect(await test.rows()).toMatchObject([{ name: "none", kafka_ts: "0" }]);
		// Its offset decides against another one of 0.
		await test.write([{ ...row(0, "a", "zero"), timestamp: 0 }]);
		expect(await test.rows()).toMatchObject([{ name: "none", kafka_offset: "1" }]);
		await test.write([{ ...row(0, "a", "one"), timestamp: 1 }]);
		expect(await test.rows()).toMatchObject([{ name: "one" }]);
	});
});

describe("coalescing", () => {
	it("sends the newest of 10,000 rows of one id, and settles all when it is durable", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		const submission = await test.write(Array.from({ length: 10_000 }, (_, i) => row(i, "a", String(i))));
		expect(await test.rows()).toMatchObject([{ name: "9999" }]);
		expect(new Set(submission.settledOffsets).size).toBe(10_000);
		expect(test.counts).toMatchObject({ inserted: 1, coalesced: 9_999 });
	});

	it("falls back to the next older version when the survivor is refused, and refuses only what is bad", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		const outOfRange = "9223372036854775808";
		const submission = await test.write([
			row(1, "a", "one", "1"),
			row(2, "a", "two", "2"),
			row(3, "a", "three", outOfRange),
			row(4, "a", "four", outOfRange),
		]);
		expect(await test.rows()).toMatchObject([{ name: "two", kafka_offset: "2" }]);
		expect([...submission.refusedOffsets.keys()].sort()).toEqual([3, 4]);
		expect([...submission.settledOffsets].sort()).toEqual([1, 2]);
		expect(test.counts).toEqual({ inserted: 1, updated: 0, deleted: 0, stale: 0, coalesced: 1, refused: 2 });
	});
});

describe("a bad row", () => {
	const strict = layoutOf({
		columns: [columnOf("name", "text"), columnOf("amount", "bigint"), columnOf("doc", "jsonb"), columnOf("at", "timestamptz")],
	});

	it.each([
		["a number out of range", ["n", "9223372036854775808", null, null], "22003"],
		["no number", ["n", "abc", null, null], "22P02"],
		["no JSON", ["n", "1", "{", null], "22P02"],
		["no date", ["n", "1", null, "2026-13-45"], "22008"],
		["a broken check", ["forbidden", "1", null, null], "23514"],
		["a broken constraint of another column", ["taken", "1", null, null], "23505"],
		["what a trigger refuses", ["by trigger", "1", null, null], "P0001"],
	])("among 5,000 is refused alone: %s", async (_, values, sqlstate) => {
		await using test = await TestWriter.on([strict], { connections: 1 });
		await test.rows("alter table events add check (name <> 'forbidden')");
		await test.rows("create unique index on events (name) where name = 'taken'");
		await test.rows(
			"create function refuse() returns trigger language plpgsql as $$ begin if new.name = 'by trigger' then raise exception 'no'; end if; return new; end $$",
		);
		await test.rows("create trigger refuse before insert on events for each row execute function refuse()");
		await test.write([{ id: "holder", offset: 0, values: ["taken", null, null, null] }]);
		const rows = Array.from(
			{ length: 5_000 },
			(_, i): TestRow => ({ id: `id-${i}`, offset: i + 1, values: i === 1_234 ? values : [`n${i}`, String(i), "{}", null] }),
		);
		const submission = await test.write(rows);
		expect([...submission.refusedOffsets]).toEqual([[1_235, expect.objectContaining({ sqlstate, table: "events", rowId: "id-1234" })]]);
		expect(new Set(submission.settledOffsets).size).toBe(4_999);
		expect(await test.rows("select count(*)::int as rows from events")).toEqual([{ rows: 5_000 }]);
		expect(test.counts).toMatchObject({ inserted: 5_000, refused: 1 });
		// What the server says of a value is not repeated.
		expect(JSON.stringify([...submission.refusedOffsets.values()])).not.toContain("forbidden");
	});

	it.each([
		["varchar(3)", "abcdef", "abc"],
		["char(2)", "xyz", "xy"],
		["char", "xy", "x"],
	])("is one that its column would have to cut: %s", async (type, long, fits) => {
		await using test = await TestWriter.on([layoutOf({ columns: [columnOf("v", type)] })]);
		const submission = await test.write([
			{ id: "a", offset: 1, values: [fits] },
			{ id: "a", offset: 2, values: [long] },
			{ id: "b", offset: 3, values: [long] },
			{ id: "c", offset: 4, values: [`${fits}    `] },
		]);
		expect(await test.rows("select id, v::text as v from events order by id")).toEqual([
			{ id: "a", v: fits },
			{ id: "c", v: fits },
		]);
		expect([...submission.refusedOffsets].map(([offset, { sqlstate }]) => [offset, sqlstate]).sort()).toEqual([
			[2, "22001"],
			[3, "22001"],
		]);
	});

	it("is found among many others", async () => {
		await using test = await TestWriter.on([strict]);
		const isBad = (i: number) => i % 97 === 0;
		const submission = await test.write(
			Array.from({ length: 3_000 }, (_, i): TestRow => ({ id: `id-${i}`, offset: i, values: ["n", isBad(i) ? "x" : "1", null, null] })),
		);
		expect([...submission.refusedOffsets.keys()].sort((left, right) => left - right)).toEqual(
			Array.from({ length: 3_000 }, (_, i) => i).filter(isBad),
		);
	});
});

describe("values", () => {
	const types: readonly (readonly [type: string, sent: string, stored: unknown])[] = [
		["text", "a\u001eb\u001dc\u001f\u0001'\"\\,{}\n\t😀", "a\u001eb\u001dc\u001f\u0001'\"\\,{}\n\t😀"],
		["text", "", ""],
		["text", "\u001d", "\u001d"],
		["text", "NULL", "NULL"],
		["bigint", "-9223372036854775808", "-9223372036854775808"],
		["int", "2147483647", "2147483647"],
		["numeric", "123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"],
		["numeric(10,2)", "1.005", "1.01"],
		["double precision", "0.1", "0.1"],
		["boolean", "true", "true"],
		["jsonb", '{"a":[1,"\\u001e"]}', '{"a": [1, "\\u001e"]}'],
		["timestamptz", "2026-11-24T01:02:03.456789Z", "2026-11-24 01:02:03.456789+00"],
		["date", "2026-11-24", "2026-11-24"],
		["uuid", "0190a0b0-0000-7000-8000-000000000001", "0190a0b0-0000-7000-8000-000000000001"],
		["bytea", "\\x00ff1e", "\\x00ff1e"],
	];

	it.each(types)("arrive as they were sent: %s %j", async (type, sent, stored) => {
		await using test = await TestWriter.on([layoutOf({ columns: [columnOf("v", type)] })]);
		await test.rows("set timezone to 'UTC'");
		await test.write([{ id: sent.length > 5 ? "id" : `id ${sent}`, offset: 1, values: [sent] }]);
		await test.write([{ id: "null", offset: 2, values: [null] }]);
		const rows = await test.rows("select v::text as v from events order by kafka_offset");
		expect(rows.map(({ v }) => v)).toEqual([type === "timestamptz" ? expect.stringContaining("03.456789") : stored, null]);
	});

	it("may be empty in a batch of one row", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.write([{ id: "", offset: 1, values: ["", null] }]);
		expect(await test.rows()).toMatchObject([{ id: "", name: "", amount: null }]);
	});

	it("go to several tables, each with a statement of its own, names quoted", async () => {
		const odd = layoutOf({ name: 'Odd "name', id: { column: "the Id", type: "bigint" }, columns: [columnOf('se"lect', "text")] });
		await using test = await TestWriter.on([layoutOf(), odd]);
		await Promise.all([test.submit([row(1, "a", "x")]).done, test.submit([{ id: "7", offset: 1, values: ["y"] }], odd.name).done]);
		expect(await test.rows('select "the Id"::int as id, "se""lect" as v from "Odd ""name"')).toEqual([{ id: 7, v: "y" }]);
		expect(await test.rows()).toHaveLength(1);
	});
});

describe("faults of the database", () => {
	it("a missing table blocks and refuses nothing; once made the rows go in by themselves", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.rows("drop table events");
		const submission = test.submit([row(1, "a", "x")]);
		await waitFor("the block", () => test.blocked.length > 0);
		expect(test.blocked).toMatchObject([{ table: "events", sqlstate: "42P01", hint: expect.stringContaining("pockaffe schema") }]);
		expect(test.writer.blocked).toBe(true);
		await test.rows(
			"create table events (id text primary key, name text, amount bigint, kafka_ts bigint, kafka_offset bigint, kafka_partition int4, deleted boolean)",
		);
		await submission.done;
		expect([test.writer.blocked, submission.refusedOffsets.size]).toEqual([false, 0]);
	});

	it("keep a drain waiting for the rows that go in, and only for those", async () => {
		const other = layoutOf({ name: "other" });
		await using test = await TestWriter.on([layoutOf(), other], { lingerMs: 100_000 });
		await test.rows("drop table events");
		const stuck = test.submit([row(1, "a", "x")]);
		const { topic, partition } = stuck;
		expect(test.writer.isMoving({ topic, partition })).toBe(true);
		test.writer.flush();
		await waitFor("the block", () => test.blocked.length > 0);
		expect(test.writer.isMoving({ topic, partition })).toBe(false);
		const moving = test.submit([row(2, "b", "x")], "other");
		expect([test.writer.isMoving({ topic, partition }), test.writer.isMoving({ topic, partition: partition + 1 })]).toEqual([true, false]);
		test.writer.flush();
		await moving.done;
		expect(test.writer.isMoving({ topic, partition })).toBe(false);
	});

	it("a column that is dropped and added again under way is no data fault", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.write([row(1, "a", "x")]);
		await test.rows("alter table events drop column amount");
		const submission = test.submit([row(2, "a", "y", "2")]);
		await waitFor("the block", () => test.blocked.length > 0);
		await test.rows("alter table events add column amount bigint");
		await submission.done;
		expect(await test.rows()).toMatchObject([{ name: "y", amount: "2" }]);
	});

	it("a column added by somebody is no fault at all", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.write([row(1, "a", "x")]);
		await test.rows("alter table events add column more text default 'm'");
		await test.write([row(2, "a", "y")]);
		expect(await test.rows()).toMatchObject([{ name: "y", more: "m" }]);
		expect(test.blocked).toEqual([]);
	});

	it("connections that are cut lose and double nothing", async () => {
		await using test = await TestWriter.on([layoutOf()], { maxRows: 100 });
		const submissions = Array.from({ length: 30 }, (_, i) =>
			test.submit(Array.from({ length: 100 }, (_, j) => row(i * 100 + j, `id-${i}-${j}`, "x"))),
		);
		for (let cut = 0; cut < 5; cut++) {
			await test
				.rows("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
				.catch(() => {});
		}
		await Promise.all(submissions.map(({ done }) => done));
		// The test's own connections were cut too, and one may not know it yet.
		const counted = await waitFor("an answer", () => test.rows("select count(*)::int as rows from events"));
		expect(counted).toEqual([{ rows: 3_000 }]);
		for (const { settledOffsets } of submissions) expect(new Set(settledOffsets).size).toBe(100);
	});

	it("two writers on the same ids neither deadlock nor lose a newer row", async () => {
		await using first = await TestWriter.on([layoutOf()], { maxRows: 500 });
		const second = await TestWriter.on([layoutOf()], { maxRows: 500, db: first.db });
		const rowsOf = (from: number) =>
			Array.from({ length: 4_000 }, (_, i) => row(from + i * 2, `id-${(i * 7) % 500}`, String(from + i * 2)));
		await Promise.all([first.write(rowsOf(0)), second.write(rowsOf(1))]);
		const rows = await first.rows("select name from events");
		const expected = new Map<string, number>();
		for (const { id, offset } of [...rowsOf(0), ...rowsOf(1)]) expected.set(id, Math.max(offset, expected.get(id) ?? 0));
		expect(rows.map(({ name }) => Number(name)).sort()).toEqual([...expected.values()].sort());
		const [left, right] = [first.counts, second.counts];
		expect(
			left.inserted + left.updated + left.stale + left.coalesced + right.inserted + right.updated + right.stale + right.coalesced,
		).toBe(8_000);
		// A deadlock would be tried again without a word, and the rows be there all the same.
		expect([...first.retried, ...second.retried].filter(({ sqlstate }) => sqlstate === "40P01")).toEqual([]);
		await second.writer.dispose();
	});

	it("sends at once what a drain flushes", async () => {
		await using test = await TestWriter.on([layoutOf()], { lingerMs: 60_000 });
		// Behind many others it is worth a row's while to wait for more.
		await test.write(Array.from({ length: 100 }, (_, offset) => row(offset, `id-${offset}`, "x")));
		const submission = test.submit([row(100, "a", "x")]);
		test.writer.flush();
		await submission.done;
		expect(test.written.map(({ trigger, rows }) => [trigger, rows])).toEqual([
			["linger", 100],
			["drain", 1],
		]);
	});
});
