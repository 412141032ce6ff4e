/** What a crash would take although its commit was answered: said in words, for the server and for each table. */
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { crashSafetyOf } from "../../../src/sink/database/crash-safety.ts";
import { prepareTables } from "../../../src/sink/tables/table-preparation.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { layoutOf } from "../../support/fakes/row-submissions.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";

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

	it("fails the check where a table is UNLOGGED, with the command that mends it; rows without coordinates are a warning", async () => {
		await using db = await createTestDatabase();
		await db.database.query("create unlogged table pockaffe_dead_letters (id text)");
		await db.database.query(
			"create table events (id text primary key, name text, kafka_ts bigint, kafka_offset bigint, kafka_partition int4)",
		);
		await db.database.query("alter table events add deleted boolean not null default false");
		await db.database.query("insert into events (id) values ('a'), ('b')");
		const tables = JSON.stringify({ events: { columns: { name: "text" } } });
		const env = { POCKAFFE_DATABASE_URL: db.url, POCKAFFE_TABLES: tables, POCKAFFE_HANDLER_MODULE: "pockaffe:json" };
		const { code, stdout } = await pockaffe(["check", "--json"], { cwd: "/", env });
		const found = JSON.parse(stdout) as { item: string; result: string; detail: string }[];
		const said = found.map(({ item, result, detail }) => `${result} ${item}: ${detail}`);
		expect(code).toBe(1);
		expect(said).toContainEqual(
			expect.stringMatching(/^failed table pockaffe_dead_letters: pockaffe_dead_letters is UNLOGGED.*set logged/),
		);
		expect(said).toContainEqual(
			expect.stringMatching(/^warning table events: kafka_ts, kafka_offset, kafka_partition may be null: 2 rows/),
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
