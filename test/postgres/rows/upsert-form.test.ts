import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase, type Database } from "../../../src/sink/database/database.ts";
import { countsOf } from "../../../src/sink/writer/sql/cas-upsert.ts";
import { layoutOf, type TestRow } from "../../support/fakes/row-submissions.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";

const columns = `(id text primary key, name text, amount bigint, kafka_ts bigint not null, kafka_offset bigint not null,
	kafka_partition int4 not null, deleted boolean not null default false)`;

const row = (offset: number, id: string, name = `of ${offset}`): TestRow => ({ id, offset, values: [name, null] });

/** A writer and the first words of what it sends: `read` or `write`, by what its statement does first. */
async function openWriter(...tables: string[]) {
	const forms: string[] = [];
	const own = (url: string): Database => {
		const database = connectDatabase({ url, connections: 2, clock: systemClock });
		const query: Database["query"] = (text, parameters) => {
			forms.push(text.startsWith("with written") ? "write" : "read");
			return database.query(text, parameters);
		};
		return { ...database, query };
	};
	const db = await createTestDatabase();
	for (const table of tables) await db.database.query(table);
	const test = await TestWriter.on([layoutOf({ create: tables.length === 0 })], { db, own });
	return { test, forms, [Symbol.asyncDispose]: () => test[Symbol.asyncDispose]() };
}

describe("the counts of a statement", () => {
	it("never sum to more than there were, where a stale row went in after all because its newer one was deleted meanwhile", () => {
		const counts = countsOf({ written: 1, deleted: 0, candidates_new: 1, replay: 2, older: 0, total: 2 });
		expect(counts).toEqual({ inserted: 1, updated: 0, deleted: 0, suppressed: 0, stale: { replay: 1, older: 0, other_partition: 0 } });
	});
});

describe("the form of the statement", () => {
	it("reads first at the start and behind stale rows, and writes first as long as there are none", async () => {
		await using opened = await openWriter();
		const { test, forms } = opened;
		await test.write([row(1, "a"), row(2, "b")]);
		await test.write([row(3, "a"), row(4, "c")]);
		await test.write([row(3, "a"), row(5, "b"), row(6, "d")]);
		await test.write([row(1, "a"), row(2, "b")]);
		await test.write([row(7, "a")]);
		await test.write([row(8, "a")]);
		expect(forms).toEqual(["read", "write", "write", "read", "read", "write"]);
		expect(test.written.map(({ inserted, updated, stale }) => [inserted, updated, stale.replay])).toEqual([
			[2, 0, 0],
			[1, 1, 0],
			[1, 1, 1],
			[0, 0, 2],
			[0, 1, 0],
			[0, 1, 0],
		]);
	});

	it("refuses no row that would be left out", async () => {
		await using opened = await openWriter();
		const { test, forms } = opened;
		await test.write([row(5, "a")]);
		await test.db.database.query("alter table events add check (name <> 'bad')");
		const submission = await test.write([row(4, "a", "bad"), row(6, "b")]);
		expect(forms.slice(0, 2)).toEqual(["read", "write"]);
		expect(submission.refusedOffsets.size).toBe(0);
		expect(await test.rows()).toMatchObject([{ id: "a", kafka_offset: "5" }, { id: "b" }]);
		expect(test.counts).toMatchObject({ inserted: 2, stale: 1, refused: 0 });
	});

	it.each([
		[
			"a partitioned table",
			[
				`create table events ${columns} partition by hash (id)`,
				"create table part partition of events for values with (modulus 1, remainder 0)",
			],
		],
		["a view", [`create table base ${columns}`, "create view events as select * from base"]],
	])("is what %s can do: found out once, and nobody is told of a failure", async (_what, tables) => {
		await using opened = await openWriter(...tables);
		const { test, forms } = opened;
		for (let offset = 1; offset <= 4; offset++) await test.write([row(offset, "a"), row(offset, `b${offset}`)]);
		expect(forms).toEqual(["read", "write", "read", "read", "read"]);
		expect(test.counts).toMatchObject({ inserted: 5, updated: 3, stale: 0 });
		expect(test.retried).toEqual([]);
	});
});
