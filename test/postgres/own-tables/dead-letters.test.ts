import { createHash, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { DeadLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { DeadLetterTable } from "../../../src/sink/dead-letters/dead-letter-table.ts";
import { DeadLetterTableStore } from "../../../src/sink/dead-letters/dead-letter-table-store.ts";
import { deadLetter, lettersIn } from "../../support/fakes/dead-letters.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { waitFor } from "../../support/wait-for.ts";

const never = new AbortController().signal;

function tableOn({ database }: TestDatabase, table = "letters"): DeadLetterTable {
	return new DeadLetterTable({
		database,
		table,
		consumerGroup: "group1",
		version: "0.1.0",
		clock: systemClock,
		random: () => 0.1,
	});
}

const refused = { reason: "row_fault", error: "out of range", sqlstate: "22003", table: "events", rowId: "id-7" } as const;
const letter = (over: Partial<DeadLetter> = {}) => deadLetter({ ...refused, ...over });

/** As version 0.1.0 made it at first, with an open letter of another log at offset 7. */
async function earlierTable({ database }: TestDatabase): Promise<void> {
	await database.query(`create table letters (consumer_group text not null, topic text not null, partition int4 not null, "offset" bigint not null,
		kafka_ts bigint not null, key bytea, value bytea, headers jsonb not null, reason text not null, sqlstate text, table_name text, row_id text,
		error text not null, stack text, attempts int4 not null, state text not null, first_at timestamptz not null, last_at timestamptz not null,
		pockaffe_version text not null, primary key (consumer_group, topic, partition, "offset"))`);
	await database.query(`insert into letters values ('group1', 'orders', 2, 7, 1, '\\x61', '\\x62', '[]', 'poison', null, null, null, 'before', null, 1,
		'open', now(), now(), '0.0.9')`);
}

describe("the dead-letter table", () => {
	it("keeps everything of the message: binary, null against empty, headers in order with duplicates", async () => {
		await using db = await createTestDatabase();
		const letters = tableOn(db);
		await letters.prepare();
		const headers: DeadLetter["headers"] = [
			["a", Buffer.from([0xff, 0])],
			["b", null],
			["a", Buffer.alloc(0)],
		];
		await letters.store(letter({ key: Buffer.from([0, 0xff]), value: null, headers, error: "with \0 NUL", stack: "at \0 there" }), never);
		await letters.store(
			letter({ offset: 8, key: null, value: Buffer.alloc(0), sqlstate: null, table: null, rowId: null, reason: "poison", attempts: 5 }),
			never,
		);
		const [first, second] = await db.database.query('select * from letters order by "offset"');
		expect(first).toMatchObject({
			consumer_group: "group1",
			topic: "orders",
			partition: 2,
			offset: "7",
			kafka_ts: "1700000000000",
			key: Buffer.from([0, 0xff]),
			value: null,
			headers: [
				["a", "/wA="],
				["b", null],
				["a", ""],
			],
			reason: "row_fault",
			sqlstate: "22003",
			table_name: "events",
			row_id: "id-7",
			attempts: 1,
			state: "open",
			pockaffe_version: "0.1.0",
			handler_version: "4f2a",
		});
		expect([first?.error, first?.stack].join()).not.toContain("\0");
		expect(second).toMatchObject({
			key: null,
			value: Buffer.alloc(0),
			headers: [],
			sqlstate: null,
			table_name: null,
			row_id: null,
			attempts: 5,
		});
	});

	it("is updated by a redelivery, which keeps when it first happened", async () => {
		await using db = await createTestDatabase();
		const letters = tableOn(db);
		await letters.prepare();
		await letters.store(letter({ error: "first" }), never);
		const [before] = await db.database.query("select first_at, last_at from letters");
		await db.database.query("update letters set state = 'replayed'");
		await letters.store(letter({ error: "second" }), never);
		// Compared on the server: a Date has no microseconds.
		const rows = await db.database.query("select error, state, first_at, last_at > first_at as is_later from letters");
		expect(before?.last_at).toEqual(before?.first_at);
		expect(rows).toEqual([{ error: "second", state: "open", first_at: before?.first_at, is_later: true }]);
	});

	it("takes several letters at once, also two of one message", async () => {
		await using db = await createTestDatabase();
		const letters = tableOn(db);
		await letters.prepare();
		const many = Array.from({ length: 450 }, (_, i) => letters.store(letter({ offset: i }), never));
		await Promise.all([...many, letters.store(letter({ offset: 3, error: "again" }), never)]);
		expect(await db.database.query("select count(*)::int as letters from letters")).toEqual([{ letters: 450 }]);
		// The later of the two is what stands, and no other letter was touched by it.
		expect(await db.database.query(`select "offset"::int, error from letters where "offset" in (2, 3) order by 1`)).toEqual([
			{ offset: 2, error: letter().error },
			{ offset: 3, error: "again" },
		]);
	});

	it("waits while its table can't be written, says so, and goes on by itself", async () => {
		await using db = await createTestDatabase();
		await db.database.query("create view letters as select 1 as one");
		const letters = tableOn(db);
		const events: string[] = [];
		letters.on("target:blocked", ({ message }) => events.push(message));
		letters.on("target:unblocked", () => events.push("unblocked"));
		const stored = letters.store(letter(), never);
		await waitFor("the block", () => events.length > 0);
		expect(events[0]).toMatch(/dead letters can't be stored in letters: SQLSTATE/);
		await db.database.query("drop view letters");
		await stored;
		expect(events.at(-1)).toBe("unblocked");
	});

	it("made by an earlier version gets columns and key where that may be done", async () => {
		await using db = await createTestDatabase();
		await earlierTable(db);
		await tableOn(db).prepare();
		const letters = tableOn(db);
		await letters.prepare();
		const refusedRows = [
			["events", "a", "23514"],
			["events", "b", "22003"],
		] as const;
		await letters.store(letter({ topicId: "new", refusedRows, rowId: "b" }), never);
		const store = new DeadLetterTableStore(db.database, "letters", "group1");
		expect(await lettersIn(store)).toMatchObject([
			{ topicId: null, timestamp: 1, error: "before", state: "open" },
			{ topicId: "new", rowId: "b", refusedRows },
		]);
		expect(await store.unreplayed()).toMatchObject([{ timestamp: 1 }, { offset: 7, topicId: "new", rows: refusedRows }]);
	});

	it.each([
		["of another, as a view of it is", "of_somebody_else", "select 1"],
		["of another, as a table that this user doesn't own is", "letters", "set role writer_of_letters"],
	])("made by an earlier version, %s: it is done without, and no open letter of another log is overwritten", async (_, table, become) => {
		await using db = await createTestDatabase();
		await earlierTable(db);
		// A view takes rows and no columns.
		await db.database.query("create view of_somebody_else as select * from letters");
		await db.database.query(
			"do $$ begin create role writer_of_letters; exception when duplicate_object then null; end $$; grant select, insert, update on letters to writer_of_letters",
		);
		const database = connectDatabase({ url: db.url, connections: 1, clock: systemClock });
		await database.query(become);
		const letters = tableOn({ ...db, database }, table);
		await letters.prepare();
		const blocked: string[] = [];
		letters.on("target:blocked", ({ message }) => blocked.push(message));
		await letters.store(letter({ offset: 8, topicId: "new", rowId: "b" }), never);
		// The same message again.
		await letters.store(letter({ offset: 8, topicId: "new", error: "again" }), never);
		const stored = letters.store(letter({ topicId: "new" }), never);
		await waitFor("the block", () => blocked.length > 0);
		expect(blocked.join()).toMatch(
			/an open letter of another log .*orders\/2 offset 7.*pockaffe dead-letters replay --topic orders --partition 2 --offset 7/,
		);
		if (table === "letters") expect(blocked.join()).toMatch(/alter table "letters" .*drop constraint "letters_pkey", add primary key/);
		await letters.store(letter({ offset: 9 }), never);
		const store = new DeadLetterTableStore(db.database, table, "group1");
		expect((await lettersIn(store)).map(({ offset, error }) => [offset, error])).toEqual([
			[7, "before"],
			[8, "again"],
			[9, "out of range"],
		]);
		await store.discard({ offset: 7 });
		await stored;
		expect(await lettersIn(store, { offset: 7 })).toMatchObject([{ state: "open", error: "out of range", timestamp: letter().timestamp }]);
		await database.close();
	});

	it("with a column for the topic's id and the key of before is written all the same", async () => {
		await using db = await createTestDatabase();
		await earlierTable(db);
		await db.database.query("alter table letters add column topic_id text not null default ''");
		const letters = tableOn(db);
		await letters.prepare();
		await letters.store(letter({ offset: 8, topicId: "new" }), never);
		await letters.store(letter({ offset: 8, topicId: "new", error: "again" }), never);
		expect(await db.database.query('select topic_id, error from letters where "offset" = 8')).toEqual([
			{ topic_id: "new", error: "again" },
		]);
	});

	it("hands letters over in the order of their offsets, not of their digits", async () => {
		await using db = await createTestDatabase();
		const letters = tableOn(db);
		await letters.prepare();
		const offsets = [100, 11, 10, 9, 1, 0];
		await Promise.all(offsets.map((offset) => letters.store(letter({ offset }), never)));
		const store = new DeadLetterTableStore(db.database, "letters", "group1");
		expect((await lettersIn(store)).map(({ offset }) => offset)).toEqual([0, 1, 9, 10, 11, 100]);
		expect((await lettersIn(store, {}, 3)).map(({ offset }) => offset)).toEqual([0, 1, 9]);
	});

	it("is not blocked any more when the letters that were held up are given up: their partitions are somebody else's", async () => {
		await using db = await createTestDatabase();
		await db.database.query("create view letters as select 1 as one");
		const letters = tableOn(db);
		const told: string[] = [];
		letters.on("target:blocked", () => told.push("blocked"));
		letters.on("target:unblocked", () => told.push("unblocked"));
		const owner = new AbortController();
		const stored = letters.store(letter(), owner.signal).catch(() => "given up");
		await waitFor("the block", () => letters.blocked);
		expect(letters.isMoving({ topic: "orders", partition: 2 })).toBe(false);
		owner.abort(new Error("released"));
		expect(await stored).toBe("given up");
		await waitFor("the end of the block", () => !letters.blocked);
		expect(told).toEqual(["blocked", "unblocked"]);
	});

	it("lets the letters of others through while one can't be stored at all", async () => {
		await using db = await createTestDatabase();
		const letters = tableOn(db);
		await letters.prepare();
		await db.database.query(`alter table letters add constraint small check (length(value) < 1000)`);
		const events: string[] = [];
		letters.on("target:blocked", ({ message }) => events.push(message));
		letters.on("target:unblocked", () => events.push("unblocked"));
		const large = letters.store(letter({ partition: 0, value: Buffer.alloc(1000) }), never);
		await Promise.all([1, 2, 3].map((partition) => letters.store(letter({ partition }), never)));
		await waitFor("the block", () => events.length > 0);
		expect(events[0]).toMatch(/check constraint.*\(orders\/0 offset 7\)|\(orders\/0 offset 7\)/);
		await letters.store(letter({ partition: 4 }), never);
		expect([events.length, letters.blocked]).toEqual([1, true]);
		await db.database.query("alter table letters drop constraint small");
		await large;
		expect(events.at(-1)).toBe("unblocked");
	});

	it("takes letters that are too large for one statement together", async () => {
		await using db = await createTestDatabase();
		const letters = tableOn(db);
		await letters.prepare();
		const value = Buffer.alloc(3 * 2 ** 20, "x");
		await Promise.all(Array.from({ length: 20 }, (_, i) => letters.store(letter({ offset: i, value }), never)));
		expect(await db.database.query("select sum(length(value))::int as bytes from letters")).toEqual([{ bytes: 60 * 2 ** 20 }]);
	});

	it("takes letters of 20 and 60 MB, whatever time other statements have", async () => {
		await using db = await createTestDatabase();
		const database = connectDatabase({ url: db.url, connections: 1, clock: systemClock, statementTimeoutMs: 150 });
		const letters = tableOn({ ...db, database });
		await letters.prepare();
		const values = [20, 60].map((megabytes) => randomBytes(megabytes * 2 ** 20));
		await Promise.all(
			values.map((value, offset) => letters.store(letter({ offset, value, state: offset === 0 ? "open" : "skipped" }), never)),
		);
		const rows = await db.database.query('select sha256(value) as hash, omitted from letters order by letters."offset"');
		const hashes = values.map((value) => createHash("sha256").update(value).digest());
		expect(rows).toEqual(hashes.map((hash) => ({ hash, omitted: null })));
		await database.close();
	});

	it("takes a letter that is too large for the server without its value", async () => {
		await using db = await createTestDatabase();
		const letters = tableOn(db);
		await letters.prepare();
		await db.database.query(`create function small() returns trigger language plpgsql as $$ begin
			if length(new.value) > 2000000 then raise exception using errcode = '54000'; end if; return new; end $$`);
		await db.database.query("create trigger small before insert on letters for each row execute function small()");
		const cut: DeadLetter[] = [];
		letters.on("letter:cut", (fact) => cut.push(fact.letter));
		const value = randomBytes(3_000_000);
		await letters.store(letter({ value }), never);
		const omitted = { value: { bytes: 3_000_000, sha256: createHash("sha256").update(value).digest("hex") } };
		expect(await lettersIn(new DeadLetterTableStore(db.database, "letters", "group1"))).toMatchObject([
			{ key: Buffer.from("key"), value: null, omitted },
		]);
		expect(cut.map((each) => each.omitted)).toEqual([omitted]);
	});

	it("gives a letter up only when its owner does", async () => {
		await using db = await createTestDatabase();
		await db.database.query("create view letters as select 1 as one");
		const letters = tableOn(db);
		const owner = new AbortController();
		const stored = letters.store(letter(), owner.signal);
		const failed = expect(stored).rejects.toThrow("released");
		await waitFor("the block", () => new Promise((resolve) => letters.once("target:blocked", () => resolve(true))));
		owner.abort(new Error("released"));
		await failed;
		await letters.dispose();
	});
});
