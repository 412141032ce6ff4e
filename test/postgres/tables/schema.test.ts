import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase, type Database } from "../../../src/sink/database/database.ts";
import { createTables, tableDdl } from "../../../src/sink/tables/schema.ts";
import { checkOwnTables, checkTables } from "../../../src/sink/tables/schema-check.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";
import { ordinaryUser } from "../../support/postgres/ordinary-user.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";

const full = layoutOf({
	name: 'app."Odd".events',
	id: { column: "Id", type: "uuid" },
	columns: [
		columnOf("name", "text"),
		columnOf("price", "numeric(10,2)"),
		columnOf("doc", "jsonb"),
		columnOf("at", "timestamptz"),
		columnOf("code", "varchar(8)"),
	],
	withTopic: true,
});

describe("the tables", () => {
	it.each([layoutOf(), { ...full, name: 'Odd "name' }])("are made as they are printed, and then are as configured", async (layout) => {
		await using db = await createTestDatabase();
		await createTables(db.database, [layout]);
		await createTables(db.database, [layout]);
		expect(await checkTables(db.database, [layout])).toEqual([{ table: layout.name, problems: [], warnings: [] }]);
		await db.database.query(tableDdl(layout));
	});

	it("may be in a schema of their own", async () => {
		await using db = await createTestDatabase();
		await db.database.query("create schema app");
		const layout = layoutOf({ name: "app.events" });
		await createTables(db.database, [layout]);
		expect(await db.database.query("select count(*)::int as rows from app.events")).toEqual([{ rows: 0 }]);
		expect(await checkTables(db.database, [layout])).toMatchObject([{ problems: [] }]);
	});

	it("that belong to somebody else are not made", async () => {
		await using db = await createTestDatabase();
		const layout = layoutOf({ create: false });
		await createTables(db.database, [layout]);
		expect(await checkTables(db.database, [layout])).toMatchObject([{ problems: [expect.stringContaining("pockaffe schema")] }]);
		expect(await checkTables(db.database, [layoutOf()])).toEqual([{ table: "events", problems: [], warnings: [], isCreatedAtStart: true }]);
	});

	it.each([
		["a column that is missing", "alter table events drop column name", "column name (text) is missing"],
		[
			"a column of PocKaffe's own that is missing",
			"alter table events drop column kafka_offset",
			"column kafka_offset (bigint) is missing",
		],
		["somebody's column without default", "alter table events add column more text not null", "every insert would fail"],
		["no key", "alter table events drop constraint events_pkey", "neither primary key nor unique"],
	])("are compared: %s", async (_, change, problem) => {
		await using db = await createTestDatabase();
		await createTables(db.database, [layoutOf()]);
		await db.database.query(change);
		const [findings] = await checkTables(db.database, [layoutOf()]);
		expect(findings?.problems).toEqual([expect.stringContaining(problem)]);
	});

	it("whose coordinates may be null are told, with the rows that have none", async () => {
		await using db = await createTestDatabase();
		const layout = layoutOf({ withTopic: true });
		await db.database.query("create table events (id text primary key, name text, amount bigint)");
		await db.database.query("insert into events select i from generate_series(1, 3) i");
		const columns = "add kafka_ts bigint, add kafka_offset bigint not null default 0, add kafka_partition int4, add kafka_topic text";
		await db.database.query(`alter table events ${columns}, add deleted boolean not null default false`);
		const said = async () => (await checkTables(db.database, [layout]))[0];
		expect(await said()).toMatchObject({
			problems: [],
			warnings: [
				expect.stringMatching(
					/^kafka_ts, kafka_partition, kafka_topic may be null: 3 rows have a null there and count as older than every/,
				),
			],
		});
		await db.database.query("update events set kafka_ts = 1, kafka_partition = 0, kafka_topic = 't'");
		expect(await said()).toMatchObject({ problems: [], warnings: [expect.stringMatching(/may be null: a row with a null there counts/)] });
		await db.database.query(
			"alter table events alter kafka_ts set not null, alter kafka_partition set not null, alter kafka_topic set not null",
		);
		expect(await said()).toMatchObject({ problems: [], warnings: [] });
	});

	it("may have a unique index instead of a primary key, and more columns with defaults", async () => {
		await using db = await createTestDatabase();
		await createTables(db.database, [layoutOf()]);
		await db.database.query("alter table events drop constraint events_pkey");
		await db.database.query("create unique index on events (id)");
		await db.database.query("alter table events add column more text not null default ''");
		expect(await checkTables(db.database, [layoutOf()])).toMatchObject([{ problems: [] }]);
	});
});

describe("the tables of PocKaffe's own", () => {
	it("are there, will be made, or are somebody's to make", async () => {
		await using db = await createTestDatabase();
		const role = `owner_${randomBytes(4).toString("hex")}`;
		await db.database.query(`create role ${role} login password 'secret'`);
		await db.database.query("revoke create on schema public from public");
		const url = db.url.replace(/\/\/[^@]*@/, `//${role}:secret@`);
		const ordinary = connectDatabase({ url, connections: 1, clock: systemClock });
		const said = async (database: typeof ordinary, name: string, isNeeded = true) => {
			const [found] = await checkOwnTables(database, [{ name, isNeeded }]);
			const { problems, warnings, isCreatedAtStart } = found ?? { problems: ["nothing was found"], warnings: [] };
			const made = isCreatedAtStart ? ["created at start"] : [];
			return [...made, ...problems.map((words) => `failed ${words}`), ...warnings.map((words) => `warning ${words}`)].join();
		};
		try {
			const forbidden = /is missing and may not be created.*pockaffe schema/;
			expect(await said(db.database, "offsets")).toBe("created at start");
			expect(await said(db.database, "nowhere.offsets")).toMatch(forbidden);
			expect(await said(ordinary, "offsets")).toMatch(forbidden);
			expect(await said(ordinary, "offsets")).toMatch(/^failed/);
			expect(await said(ordinary, "offsets_start", false)).toMatch(/^warning is missing and may not be created/);
			await db.database.query(`create schema app authorization ${role}`);
			expect(await said(ordinary, "app.offsets")).toBe("created at start");
			await db.database.query("create table offsets (id int)");
			expect(await said(db.database, "offsets")).toBe("");
			expect(await said(ordinary, "offsets")).toMatch(/^failed the user lacks select, insert, update/);
		} finally {
			await ordinary.close();
		}
	});

	it("of an earlier version lack columns; one that has them has to take rows, needed or not", async () => {
		await using db = await createTestDatabase();
		await db.database.query("create table notes (id text primary key)");
		await using user = await ordinaryUser(db, "use", "notes");
		const said = async (database: Database) =>
			(await checkOwnTables(database, [{ name: "notes", isNeeded: false, lateColumns: ["one text", "two bigint"] }]))[0];
		expect(await said(db.database)).toMatchObject({ problems: [], warnings: ["lacks one, two; the daemon adds them"] });
		expect(await said(user.database)).toMatchObject({
			problems: [],
			warnings: ['lacks one, two, and this user may not add them: alter table "notes" add column one text, add column two bigint'],
		});
		await user.admin("revoke update on notes from USER");
		expect(await said(user.database)).toMatchObject({ problems: [], warnings: [expect.stringMatching(/lacks update/), expect.anything()] });
		await db.database.query("alter table notes add column one text, add column two bigint");
		expect(await said(user.database)).toMatchObject({ problems: [expect.stringMatching(/lacks update: grant update/)], warnings: [] });
		await user.admin("grant update on notes to USER");
		expect(await said(user.database)).toMatchObject({ problems: [], warnings: [] });
	});
});
