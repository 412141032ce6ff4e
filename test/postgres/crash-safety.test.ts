/** What a crash would take although its commit was answered: said in words, for the server and for each table. */
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { crashSafetyOf } from "../../src/sink/crash-safety.ts";
import { prepareTables } from "../../src/sink/table-preparation.ts";
import { layoutOf } from "../support/row-submissions.ts";
import { createTestDatabase } from "../support/test-database.ts";

describe("what a crash would take", () => {
	it("is nothing of tables in the log, on a server with its defaults", async () => {
		await using db = await createTestDatabase();
		await db.database.query("create table events (id text primary key)");
		expect(await crashSafetyOf(db.database, ["events", "missing"])).toEqual({ server: [], tables: new Map() });
	});

	it.each([
		["a table", ["create unlogged table events (id text primary key)"], "events"],
		[
			"a partition of a table",
			[
				"create table events (id text primary key) partition by hash (id)",
				"create table part_0 partition of events for values with (modulus 2, remainder 0)",
				"create unlogged table part_1 partition of events for values with (modulus 2, remainder 1)",
			],
			"part_1",
		],
		[
			"what a view of a view is made of",
			[
				'create unlogged table "Base" (id text primary key)',
				'create view between as select * from "Base"',
				"create view events as select * from between",
			],
			'"Base"',
		],
	])("is %s that is UNLOGGED", async (_what, statements, name) => {
		await using db = await createTestDatabase();
		for (const statement of statements) await db.database.query(statement);
		const { tables } = await crashSafetyOf(db.database, ["events"]);
		expect(tables.get("events")).toBe(
			`${name} is UNLOGGED: a crash of the server empties it, and the rows don't come again (alter table ${name} set logged)`,
		);
	});

	it("is told at the start, which goes on", async () => {
		await using db = await createTestDatabase();
		await db.database.query("create unlogged table letters (id text)");
		const unsafe: string[] = [];
		await prepareTables({
			database: db.database,
			layouts: [layoutOf()],
			prepareOwn: async () => {},
			names: ["events", "letters"],
			unsafe: (message) => unsafe.push(message),
			clock: systemClock,
			signal: new AbortController().signal,
			failed: (message) => unsafe.push(`failed: ${message}`),
			prepared: () => {},
		});
		expect(unsafe).toEqual([expect.stringMatching(/^letters is UNLOGGED/)]);
		expect(await db.database.query("select 1 from events")).toEqual([]);
	});
});
