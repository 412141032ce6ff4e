/** Rows of one message that land together or are refused together, on a real server. */
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import type { MessageRow, RowMessage } from "../../support/fakes/message-submissions.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";
import { waitFor } from "../../support/wait-for.ts";

const orders = layoutOf({ name: "orders", columns: [columnOf("note", "text")] });
const lines = layoutOf({ name: "lines", columns: [columnOf("order_id", "text")] });

async function scene(): Promise<TestWriter> {
	const test = await TestWriter.on([lines, orders], { options: { atomic: new Set(["orders", "lines"]) } });
	await test.rows("alter table lines add foreign key (order_id) references orders (id)");
	await test.rows("alter table orders add check (note <> 'bad')");
	return test;
}

const line = (id: string, order: string): MessageRow => ({ table: "lines", id, values: [order] });
const whole = (offset: number, note = "n"): RowMessage => ({
	offset,
	rows: [line(`l${offset}-0`, `o${offset}`), line(`l${offset}-1`, `o${offset}`), { table: "orders", id: `o${offset}`, values: [note] }],
});
const wholes = (from: number, count: number) => Array.from({ length: count }, (_, i) => whole(from + i));

/** Orders with other than two lines, as anybody sees them at a moment. */
const PARTIAL = `select o.id from orders o left join lines l on l.order_id = o.id group by o.id having count(l.id) <> 2`;

describe("the rows of one message", () => {
	it("land in one transaction", async () => {
		await using test = await scene();
		const submissions = Array.from({ length: 20 }, (_, i) => test.submitMessages(wholes(i * 50, 50), i % 3));
		let isDone = false;
		const done = Promise.all(submissions.map((each) => each.done)).then(() => (isDone = true));
		const seen: unknown[] = [];
		let looks = 0;
		for (; !isDone; looks++) seen.push(...(await test.rows(PARTIAL)));
		await done;
		expect([seen, looks > 0, submissions.flatMap(({ refusals }) => refusals)]).toEqual([[], true, []]);
		expect(await test.rows("select count(*)::int as rows from lines")).toEqual([{ rows: 2_000 }]);
		// By id of transaction: as many as there were runs, and some that found out about the order of the tables.
		const [{ transactions } = {}] = await test.rows("select count(distinct xmin::text)::int as transactions from lines");
		expect(Number(transactions)).toBeLessThan(40);
	});

	it("are refused together, and nothing of them is left", async () => {
		await using test = await scene();
		const messages = wholes(0, 60);
		messages[17] = whole(17, "bad");
		messages[31] = { offset: 31, rows: [...(messages[31]?.rows ?? []), line("orphan", "nobody")] };
		const submission = test.submitMessages(messages);
		await submission.done;
		expect(submission.refusals.map(({ offset, fault }) => [offset, fault.sqlstate])).toEqual([
			[17, "23514"],
			[17, "25P02"],
			[17, "25P02"],
			[31, "23503"],
			[31, "25P02"],
			[31, "25P02"],
			[31, "25P02"],
		]);
		expect(await test.rows("select count(*)::int as rows from lines")).toEqual([{ rows: 116 }]);
		expect(await test.rows("select id from orders where id in ('o17', 'o31')")).toEqual([]);
		expect(test.counts).toMatchObject({ inserted: 174, refused: 7 });
	});

	it("wait together for a row that is locked, and hold up nobody else; who holds it is told", async () => {
		await using test = await scene();
		await test.submitMessages(wholes(0, 20)).done;
		const holder = connectDatabase({ url: test.db.url, connections: 1, clock: systemClock, statementTimeoutMs: 0 });
		try {
			await holder.query("begin");
			await holder.query("update lines set deleted = false where id = 'l7-1'");
			const again = wholes(0, 20).map(({ offset, rows }) => ({ offset: offset + 100, rows }));
			const submission = test.submitMessages(again);
			await waitFor("the other 19", () => submission.settledOffsets.length === 57);
			expect(await test.rows("select kafka_offset::int as at from orders where id = 'o7'")).toEqual([{ at: 7 }]);
			const fact = await waitFor("the holder", () => test.stuck.find(({ hint }) => hint !== null));
			expect(fact).toMatchObject({ table: "lines", id: "l7-1", offset: 107, sqlstate: "55P03" });
			await holder.query("rollback");
			await submission.done;
			expect([submission.refusals, test.writer.queueRows]).toEqual([[], 0]);
		} finally {
			await holder.close();
		}
	});
});
