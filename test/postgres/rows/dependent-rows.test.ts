/**
 * Rows that depend on each other by foreign keys, unique and excluded values, on a real server: what single statements in the log's order
 * would take goes in whole, though batches go by ids and tables side by side; what they would refuse is refused, and says why.
 */
import { describe, expect, it } from "vitest";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import type { MessageRow, RowMessage, TrackedMessages } from "../../support/fakes/message-submissions.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";
import { waitFor } from "../../support/wait-for.ts";

const orders = layoutOf({ name: "orders", columns: [columnOf("note", "text")] });
const lines = layoutOf({ name: "lines", columns: [columnOf("order_id", "text"), columnOf("sku", "text")] });
const people = layoutOf({ name: "people", columns: [columnOf("email", "text")] });

/** Messages in runs of so many, as a thread hands them over. */
function submitted(test: TestWriter, messages: readonly RowMessage[], run = 50, partition = 0): TrackedMessages[] {
	const runs: TrackedMessages[] = [];
	for (let from = 0; from < messages.length; from += run) runs.push(test.submitMessages(messages.slice(from, from + run), partition));
	return runs;
}

async function expectAllSettled(test: TestWriter, submissions: readonly TrackedMessages[], rows: number): Promise<void> {
	await Promise.all(submissions.map(({ done }) => done));
	expect(submissions.flatMap(({ refusals }) => refusals)).toEqual([]);
	expect(submissions.flatMap(({ settledOffsets }) => settledOffsets)).toHaveLength(rows);
	const { inserted, updated, deleted, stale, coalesced, refused } = test.counts;
	expect([inserted + updated + deleted + stale + coalesced, refused]).toEqual([rows, 0]);
}

const person = (id: string, email: string | null): MessageRow => ({ table: "people", id, values: [email] });
const name = (prefix: string, i: number) => `${prefix}_${String(i).padStart(3, "0")}`;

describe("a message that returns an order and its lines", () => {
	const withLines = (count: number, note: string): RowMessage[] =>
		Array.from({ length: count }, (_, offset) => ({
			offset,
			rows: [
				{ table: "orders", id: name("order", offset), values: [note] },
				...[0, 1, 2].map((line) => ({ table: "lines", id: `${name("line", offset)}_${line}`, values: [name("order", offset), "x"] })),
			],
		}));

	const tables: readonly (readonly [string, readonly TableLayout[]])[] = [
		["parents first", [orders, lines]],
		["children first", [lines, orders]],
	];
	describe.each(tables)("with %s in the configuration", (_, layouts) => {
		it.each([
			["small parents", 10],
			["parents of 100 kB", 100_000],
		])("loses no line: %s", async (__, bytes) => {
			await using test = await TestWriter.on(layouts);
			await test.rows("alter table lines add foreign key (order_id) references orders (id)");
			const messages = withLines(200, "n".repeat(bytes));
			await expectAllSettled(test, submitted(test, messages, 20), 800);
			expect(await test.rows("select count(*)::int as rows from lines")).toEqual([{ rows: 600 }]);
			expect([test.blocked, test.writer.queueRows, test.writer.stuck]).toEqual([[], 0, false]);
		});
	});

	it("whose parent never comes loses that line alone, and says so", async () => {
		await using test = await TestWriter.on([lines, orders]);
		await test.rows("alter table lines add constraint of_order foreign key (order_id) references orders (id)");
		const messages = withLines(60, "n");
		messages[30] = { offset: 30, rows: [...(messages[30]?.rows ?? []), { table: "lines", id: "orphan", values: ["nobody", "x"] }] };
		const submissions = submitted(test, messages, 20);
		await Promise.all(submissions.map(({ done }) => done));
		expect(submissions.flatMap(({ refusals }) => refusals)).toEqual([
			{
				offset: 30,
				fault: {
					table: "lines",
					rowId: "orphan",
					sqlstate: "23503",
					message:
						"SQLSTATE 23503: table lines, constraint of_order (foreign_key_violation); also after everything earlier of its partition was written",
				},
			},
		]);
		expect(await test.rows("select count(*)::int as rows from lines")).toEqual([{ rows: 180 }]);
		expect(test.counts).toMatchObject({ inserted: 240, refused: 1 });
	});
});

describe("a unique value", () => {
	/** z_i gives up its address and a_i takes it: `a` comes before `z` in the order of ids. */
	const moves = (count: number): RowMessage[] =>
		Array.from({ length: count }, (_, i) => [
			{ offset: 1_000 + 2 * i, rows: [person(name("z", i), null)] },
			{ offset: 1_001 + 2 * i, rows: [person(name("a", i), name("mail", i))] },
		]).flat();
	const owners = (count: number): RowMessage[] =>
		Array.from({ length: count }, (_, i) => ({ offset: i, rows: [person(name("z", i), name("mail", i))] }));

	it.each([
		["in one batch", 1_000, 5_000, 1],
		["in batches under way at the same time", 10, 7, 2],
		["in the lanes of many connections", 100, 50, 4],
	])("goes from one row to another, 200 times: %s", async (_, run, maxRows, connections) => {
		await using test = await TestWriter.on([people], { connections, maxRows });
		await test.rows("create unique index on people (email)");
		await expectAllSettled(test, submitted(test, owners(200), 1_000), 200);
		test.written.splice(0);
		await expectAllSettled(test, submitted(test, moves(200), run), 400);
		expect(await test.rows("select count(*)::int as rows from people where id like 'a%' and email is not null")).toEqual([{ rows: 200 }]);
	});

	it("that two rows exchange by way of another goes in by that way, which their batch leaves out", async () => {
		await using test = await TestWriter.on([people]);
		await test.rows("create unique index on people (email)");
		const log = [
			[person("a", "1"), person("z", "2")],
			[person("z", null), person("a", "2")],
			[person("z", "1")],
			[person("a", "3"), person("z", "2"), person("a", "1")],
		].map((rows, offset) => ({ offset, rows }));
		await expectAllSettled(test, submitted(test, log), 8);
		expect(await test.rows("select id, email, kafka_offset::int as at from people order by id")).toEqual([
			{ id: "a", email: "1", at: 3 },
			{ id: "z", email: "2", at: 3 },
		]);
	});

	it("that two rows exchange without one is refused of both, and says what would take it", async () => {
		await using test = await TestWriter.on([people]);
		await test.rows("alter table people add constraint one_each unique (email)");
		await test.submitMessages([{ offset: 0, rows: [person("a", "1"), person("z", "2"), person("m", "3")] }]).done;
		const exchange = test.submitMessages([
			{ offset: 1, rows: [person("a", "2"), person("z", "1")] },
			{ offset: 2, rows: [person("m", "4")] },
		]);
		await exchange.done;
		const why =
			"SQLSTATE 23505: table people, constraint one_each (unique_violation); also after everything earlier of its partition was written, with 1 more rows: if rows exchange their values, the constraint must be deferrable";
		expect(exchange.refusals.map(({ offset, fault }) => [offset, fault.rowId, fault.message])).toEqual([
			[1, "a", why],
			[1, "z", why],
		]);
		expect(exchange.settledOffsets).toEqual([2]);
		// As it says.
		await test.rows("alter table people drop constraint one_each, add unique (email) deferrable initially deferred");
		const again = test.submitMessages([{ offset: 3, rows: [person("a", "2"), person("z", "1")] }]);
		await again.done;
		expect([again.settledOffsets, again.refusals]).toEqual([[3, 3], []]);
	});

	it("that another row keeps is refused, and whoever comes later of the same id goes in", async () => {
		await using test = await TestWriter.on([people], { maxRows: 3 });
		await test.rows("create unique index taken on people (email)");
		await test.submitMessages([{ offset: 0, rows: [person("keeper", "kept")] }]).done;
		const log: RowMessage[] = Array.from({ length: 30 }, (_, i) => ({ offset: i + 1, rows: [person(name("p", i), name("mail", i))] }));
		log[10] = { offset: 11, rows: [person("p_010", "kept")] };
		log[20] = { offset: 21, rows: [person("p_010", "free")] };
		log[25] = { offset: 26, rows: [person("p_025", "kept")] };
		const submissions = submitted(test, log, 5);
		await Promise.all(submissions.map(({ done }) => done));
		const refusals = submissions.flatMap((each) => each.refusals.map(({ offset, fault }) => [offset, fault.sqlstate]));
		// The older one may also be superseded by the newer.
		expect(refusals.filter(([offset]) => offset !== 11)).toEqual([[26, "23505"]]);
		expect(await test.rows("select id, email from people where id in ('p_010', 'p_025')")).toEqual([{ id: "p_010", email: "free" }]);
	});

	it("that a deleted row had may be taken in the same batch", async () => {
		await using test = await TestWriter.on([people]);
		await test.rows("create unique index on people (email)");
		await test.submitMessages([{ offset: 0, rows: [person("z", "mail")] }]).done;
		test.written.splice(0);
		const log = [
			{ offset: 1, rows: [{ table: "people", id: "z", isDelete: true }] },
			{ offset: 2, rows: [person("a", "mail")] },
		];
		await expectAllSettled(test, submitted(test, log), 2);
		expect(test.counts).toMatchObject({ inserted: 1, deleted: 1 });
	});
});

describe("other constraints between rows", () => {
	it("an excluded period goes from one row to another", async () => {
		const layout = layoutOf({ name: "stays", columns: [columnOf("day", "int4")] });
		await using test = await TestWriter.on([layout]);
		await test.rows("alter table stays add exclude using btree (day with =)");
		const stay = (id: string, day: string | null): MessageRow => ({ table: "stays", id, values: [day] });
		await test.submitMessages([{ offset: 0, rows: [stay("z", "1")] }]).done;
		test.written.splice(0);
		const log = [
			{ offset: 1, rows: [stay("z", "2")] },
			{ offset: 2, rows: [stay("a", "1")] },
		];
		await expectAllSettled(test, submitted(test, log), 2);
		const taken = test.submitMessages([{ offset: 3, rows: [stay("b", "1")] }]);
		await taken.done;
		expect(taken.refusals).toMatchObject([{ fault: { sqlstate: "23P01" } }]);
	});

	it("a key is changed once nothing refers to it any more, and a chain of three tables goes in from any end", async () => {
		const shops = layoutOf({ name: "shops", columns: [columnOf("code", "text")] });
		const sales = layoutOf({ name: "sales", columns: [columnOf("shop", "text")] });
		const items = layoutOf({ name: "items", columns: [columnOf("sale", "text")] });
		await using test = await TestWriter.on([items, sales, shops]);
		await test.rows("alter table shops add unique (code)");
		await test.rows("alter table sales add foreign key (shop) references shops (code)");
		await test.rows("alter table items add foreign key (sale) references sales (id)");
		const row = (table: string, id: string, value: string | null): MessageRow => ({ table, id, values: [value] });
		const log = Array.from({ length: 50 }, (_, i) => [
			{ offset: 4 * i, rows: [row("items", `i${i}`, `s${i}`), row("sales", `s${i}`, `c${i}`), row("shops", `a${i}`, `c${i}`)] },
			{ offset: 4 * i + 1, rows: [row("sales", `s${i}`, null)] },
			{ offset: 4 * i + 2, rows: [row("shops", `a${i}`, `d${i}`)] },
			{ offset: 4 * i + 3, rows: [row("sales", `s${i}`, `d${i}`)] },
		]).flat();
		await expectAllSettled(test, submitted(test, log, 10), 300);
		expect(await test.rows("select count(*)::int as rows from sales join shops on shop = code join items on sale = sales.id")).toEqual([
			{ rows: 50 },
		]);
	});

	it("two partitions go on their own ways: the rows of one are not refused for what the other has under way", async () => {
		await using test = await TestWriter.on([lines, orders]);
		await test.rows("alter table lines add foreign key (order_id) references orders (id)");
		const log = (partition: number): RowMessage[] =>
			Array.from({ length: 100 }, (_, offset) => ({
				offset,
				rows: [
					{ table: "lines", id: `${partition}-${offset}`, values: [`${partition}-${offset}`, "x"] },
					{ table: "orders", id: `${partition}-${offset}`, values: ["n"] },
				],
			}));
		await expectAllSettled(test, [...submitted(test, log(0), 10, 0), ...submitted(test, log(1), 10, 1)], 400);
	});
});

it("rows that wait for others are in the queue's figures and keep a drain waiting", async () => {
	await using test = await TestWriter.on([lines, orders]);
	await test.rows("alter table lines add foreign key (order_id) references orders (id)");
	const submission = test.submitMessages([
		{
			offset: 0,
			rows: [
				{ table: "lines", id: "l", values: ["o", "x"] },
				{ table: "orders", id: "o" },
			],
		},
	]);
	expect([test.writer.queueRows, test.writer.isMoving(submission)]).toEqual([2, true]);
	await submission.done;
	expect([test.writer.queueRows, test.writer.queueBytes, test.writer.oldestAgeMs]).toEqual([0, 0, null]);
	await waitFor("the pass to end", () => !test.writer.isMoving(submission));
});
