/** Rows that wait for a parent from another partition or topic, on a real server. */
import { describe, expect, it } from "vitest";
import { withoutForeignKeys } from "../../../src/sink/tables/foreign-keys.ts";
import type { RowMessage } from "../../support/fakes/message-submissions.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";
import { slowness } from "../../support/slowness.ts";
import { waitFor } from "../../support/wait-for.ts";

const orders = layoutOf({ name: "orders", columns: [columnOf("note", "text")] });
const lines = layoutOf({ name: "lines", columns: [columnOf("order_id", "text")] });
const CHILDREN = 1;
const PARENTS = 0;

async function scene(waitMs: number): Promise<TestWriter> {
	const test = await TestWriter.on([lines, orders], { options: { waits: new Map([["lines", waitMs]]) } });
	await test.rows("alter table lines add constraint of_order foreign key (order_id) references orders (id)");
	return test;
}

const linesOf = (from: number, count: number): RowMessage[] =>
	Array.from({ length: count }, (_, i) => ({ offset: from + i, rows: [{ table: "lines", id: `l${from + i}`, values: [`o${from + i}`] }] }));
const ordersOf = (from: number, count: number): RowMessage[] =>
	Array.from({ length: count }, (_, i) => ({ offset: from + i, rows: [{ table: "orders", id: `o${from + i}`, values: ["n"] }] }));

describe("a row whose parent comes from another partition", () => {
	it("waits for it, and goes in behind it", async () => {
		await using test = await scene(60_000);
		await test.submitMessages(ordersOf(0, 10), PARENTS).done;
		const children = test.submitMessages(linesOf(0, 20), CHILDREN);
		await waitFor("those with parents", () => children.settledOffsets.length === 10);
		const [fact] = await waitFor("the word", () => (test.awaited.length > 0 ? test.awaited : undefined));
		expect(fact).toMatchObject({ table: "lines", partition: CHILDREN, id: "l10", offset: 10, rows: 10, constraint: "of_order" });
		expect([test.writer.queueRows, test.writer.isMoving(children), test.writer.stuck]).toEqual([10, false, false]);
		await test.submitMessages(ordersOf(10, 10), PARENTS).done;
		await children.done;
		expect([children.refusals, test.counts.refused, test.blocked]).toEqual([[], 0, []]);
		expect(await test.rows("select count(*)::int as rows from lines")).toEqual([{ rows: 20 }]);
	});

	it("is refused when its time is over, and it alone", async () => {
		await using test = await scene(1_500);
		await test.submitMessages(ordersOf(0, 10), PARENTS).done;
		const startedAt = performance.now();
		const children = test.submitMessages(linesOf(0, 11), CHILDREN);
		await children.done;
		expect(performance.now() - startedAt).toBeGreaterThan(1_500);
		expect(children.refusals.map(({ offset, fault }) => [offset, fault.sqlstate, fault.message])).toEqual([
			[
				10,
				"23503",
				"SQLSTATE 23503: table lines, constraint of_order (foreign_key_violation); the row that it refers to did not come within 1500 ms",
			],
		]);
	});

	it("by the thousand: they go in soon behind their parents", async () => {
		await using test = await scene(60_000);
		const children = [0, 1_000, 2_000].map((from) => test.submitMessages(linesOf(from, 1_000), CHILDREN));
		await waitFor("them to wait", () => test.writer.awaitedParents[0]?.rows === 3_000);
		await test.submitMessages(ordersOf(0, 3_000), PARENTS).done;
		const startedAt = performance.now();
		await Promise.all(children.map(({ done }) => done));
		expect(performance.now() - startedAt).toBeLessThan(15_000 * (await slowness()));
		expect(children.flatMap(({ refusals }) => refusals)).toEqual([]);
		expect(await test.rows("select count(*)::int as rows from lines")).toEqual([{ rows: 3_000 }]);
	});
});

it("a table without a foreign key has nothing to wait for: check says so", async () => {
	await using db = await createTestDatabase();
	for (const statement of [
		"create table parents (id text primary key)",
		"create table with_key (id text primary key, of text references parents)",
		"create table in_parts (id text primary key, of text) partition by hash (id)",
		"create table its_part partition of in_parts for values with (modulus 1, remainder 0)",
		"alter table its_part add foreign key (of) references parents",
		"create view seen as select * from with_key",
	])
		await db.database.query(statement);
	expect(await withoutForeignKeys(db.database, ["parents", "with_key", "in_parts", "seen", "missing"])).toEqual(["parents"]);
});
