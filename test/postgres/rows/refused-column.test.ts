/** A refused row names the column whose value the server did not take, and never the value. A real database, the real writer. */
import { describe, expect, it } from "vitest";
import type { RowFault, TableLayout } from "../../../src/core/rows/rows.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";

const types = ["text", "int4", "numeric(4,2)", "timestamptz", "jsonb", "uuid", "varchar(3)", "bytea", "text", "bigint"];
const layout = layoutOf({ columns: types.map((type, index) => columnOf(`c${index}`, type)) });
const good = ["x", "1", "1.5", "2026-01-01T00:00:00Z", "{}", "00000000-0000-0000-0000-000000000000", "abc", "\\x00", null, "9"];
const withBad = (bad: Readonly<Record<number, string>>) => good.map((value, index) => bad[index] ?? value);

async function faultOf(test: TestWriter, values: readonly (string | null)[]): Promise<RowFault | undefined> {
	const row = await test.write([{ id: "a", offset: 0, values }]);
	return row.refusedOffsets.get(0);
}

/** A database that counts the questions about columns. */
function counting(db: TestDatabase): { db: TestDatabase; questions: () => number } {
	let questions = 0;
	const transaction: TestDatabase["database"]["transaction"] = (statements, limits) => {
		if (statements.at(-1)?.text === "rollback") questions++;
		return db.database.transaction(statements, limits);
	};
	return { db: { ...db, database: { ...db.database, transaction } }, questions: () => questions };
}

describe("a refused row", () => {
	it.each([
		[1, "abc", "22P02", "int4"],
		[1, "99999999999", "22003", "int4"],
		[2, "123.4", "22003", "numeric(4,2)"],
		[3, "yesterweek", "22007", "timestamptz"],
		[4, "{secret", "22P02", "jsonb"],
		[5, "secret", "22P02", "uuid"],
		[6, "secret", "22001", "varchar(3)"],
		[7, "\\xsecret", "22023", "bytea"],
		[9, "secret", "22P02", "bigint"],
	])("names column c%d for %s", async (column, value, sqlstate, type) => {
		await using test = await TestWriter.on([layout]);
		const fault = await faultOf(test, withBad({ [column]: value }));
		expect(fault?.sqlstate).toBe(sqlstate);
		expect(fault?.message).toMatch(
			new RegExp(`^SQLSTATE ${sqlstate} \\(\\w+\\), in column c${column} \\(${type.replaceAll(/[()]/g, "\\$&")}\\)$`),
		);
		expect(fault?.message).not.toContain(value);
		expect(await test.rows()).toEqual([]);
	});

	it("names one of two columns", async () => {
		await using test = await TestWriter.on([layout]);
		expect((await faultOf(test, withBad({ 1: "abc", 9: "abc" })))?.message).toMatch(/in column c[19] \(/);
	});

	it("names the column of a table that is narrower than configured, and of a domain's check", async () => {
		const db = await createTestDatabase();
		const own =
			"kafka_ts bigint not null, kafka_offset bigint not null, kafka_partition int4 not null, deleted boolean not null default false";
		await db.database.query("create domain even as int check (value % 2 = 0)");
		await db.database.query(`create table events (id text primary key, a text, b int2, c even, ${own})`);
		const narrow: TableLayout = layoutOf({ create: false, columns: [columnOf("a", "text"), columnOf("b", "int4"), columnOf("c", "even")] });
		await using test = await TestWriter.on([narrow], { db });
		expect((await faultOf(test, ["x", "70000", "2"]))?.message).toMatch(/22003.*, in column b \(int4\)$/);
		expect((await faultOf(test, ["x", "7", "3"]))?.message).toMatch(/23514.*, in column c \(even\)$/);
	});

	it("of which no single value is to blame is told as the server tells it", async () => {
		const db = await createTestDatabase();
		await using test = await TestWriter.on([layoutOf({ columns: [columnOf("a", "int4"), columnOf("b", "int4")] })], { db });
		await db.database.query(
			"create function refuse() returns trigger language plpgsql as $$ begin if new.a + new.b > 5 then raise sqlstate '22003'; end if; return new; end $$",
		);
		await db.database.query("create trigger refuse before insert on events for each row execute function refuse()");
		expect((await faultOf(test, ["3", "3"]))?.message).not.toContain("in column");
	});

	it.each([
		["all columns together", "if new.c1 + new.c9 > 5 then raise sqlstate '22003'; end if; return new;"],
		["whatever comes", "raise sqlstate '22003';"],
	])("by a trigger that refuses %s costs questions once, and no column is blamed", async (_, body) => {
		const { db, questions } = counting(await createTestDatabase());
		await using test = await TestWriter.on([layout], { db });
		await db.database.query(`create function refuse() returns trigger language plpgsql as $$ begin ${body} end $$`);
		await db.database.query("create trigger refuse before insert on events for each row execute function refuse()");
		const rows = Array.from({ length: 20 }, (_, offset) => ({ id: `id-${offset}`, offset, values: withBad({ 1: "3" }) }));
		const sent = await test.write(rows);
		expect(sent.refusedOffsets.size).toBe(20);
		for (const { message } of sent.refusedOffsets.values())
			expect(message).toMatch(/^SQLSTATE 22003 \(\w+\), in the PL\/pgSQL function \S*refuse, line 1$/);
		expect(questions()).toBeLessThanOrEqual(Math.ceil(Math.log2(types.length)) + 2);
	});

	it("costs one question where its like came before, and others' rows go in", async () => {
		const { db, questions } = counting(await createTestDatabase());
		await using test = await TestWriter.on([layout], { db });
		const rows = Array.from({ length: 40 }, (_, offset) => ({
			id: `id-${offset}`,
			offset,
			values: offset % 2 === 1 ? withBad({ 9: "bad" }) : good,
		}));
		const sent = await test.write(rows);
		expect([...sent.refusedOffsets.values()].every(({ message }) => message.endsWith("in column c9 (bigint)"))).toBe(true);
		expect([sent.refusedOffsets.size, (await test.rows()).length]).toEqual([20, 20]);
		expect(questions()).toBeLessThan(20 + 2 * Math.ceil(Math.log2(types.length)));
	});
});
