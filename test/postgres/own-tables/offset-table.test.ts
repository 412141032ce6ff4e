/** Offsets in the database, on a real Postgres: taken over by epoch, never moved back by who lost them. */
import { describe, expect, it } from "vitest";
import { deletedLog } from "../../../src/core/offsets/log-identity.ts";
import { OffsetTable } from "../../../src/sink/offsets/offset-table.ts";
import { ordinaryUser } from "../../support/postgres/ordinary-user.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";

const first = { topic: "orders", partition: 0 };
const second = { topic: "orders", partition: 1 };

async function open() {
	const db = await createTestDatabase();
	const member = (consumerGroup = "g") => new OffsetTable({ database: db.database, table: "pockaffe_offsets", consumerGroup });
	await member().prepare();
	return { db, member, [Symbol.asyncDispose]: () => db[Symbol.asyncDispose]() };
}

describe("offsets in the database", () => {
	it("are begun, stored, and found by the next owner", async () => {
		await using test = await open();
		const one = test.member();
		expect(await one.claim([first, second])).toEqual([
			{ ...first, offset: null },
			{ ...second, offset: null },
		]);
		expect(await one.begin([{ ...first, offset: 7 }])).toEqual([{ ...first, offset: 7 }]);
		expect(await one.store([{ ...first, offset: 9 }])).toEqual([]);
		const two = test.member();
		expect(await two.stored([first, second])).toEqual([
			{ ...first, offset: 9 },
			{ ...second, offset: null },
		]);
		expect(await two.claim([first])).toEqual([{ ...first, offset: 9 }]);
	});

	it("can't be moved by a former owner, who is told what it lost", async () => {
		await using test = await open();
		const zombie = test.member();
		await zombie.begin([
			{ ...first, offset: 0 },
			{ ...second, offset: 0 },
		]);
		const owner = test.member();
		await owner.claim([first]);
		await owner.store([{ ...first, offset: 50 }]);
		const late = [
			{ ...first, offset: 20 },
			{ ...second, offset: 30 },
		];
		expect(await zombie.store(late)).toEqual([{ ...first, kind: "taken_over", expected: 0, found: 50 }]);
		expect(await zombie.store([{ ...first, offset: 60 }])).toMatchObject([{ ...first, kind: "taken_over" }]);
		expect(await owner.stored([first, second])).toEqual([
			{ ...first, offset: 50 },
			{ ...second, offset: 30 },
		]);
	});

	it("are set only in place of what was found, and returned where that moved or is gone", async () => {
		await using test = await open();
		const owner = test.member();
		await owner.begin([{ ...first, offset: 7 }]);
		const other = test.member();
		const set = (partition: typeof first, offset: number, replaces: number | null) => other.set([{ ...partition, offset, replaces }]);
		expect(await set(first, 3, 6)).toEqual([first]);
		expect(await set(first, 3, null)).toEqual([first]);
		expect(await set(second, 3, 2)).toEqual([second]);
		const wanted = [
			{ ...first, offset: 4, replaces: 7 },
			{ ...second, offset: 1, replaces: null },
		];
		expect(await other.set(wanted)).toEqual([]);
		expect(await other.stored([first, second])).toEqual([
			{ ...first, offset: 4 },
			{ ...second, offset: 1 },
		]);
		expect(await owner.store([{ ...first, offset: 8 }])).toMatchObject([{ ...first, kind: "taken_over", found: 4 }]);
		expect(await other.set([{ ...first, offset: 9, replaces: 5 }, ...wanted.slice(1)])).toMatchObject([first, second]);
	});

	it("begun by two at once keep the first offset, and belong to the later one", async () => {
		await using test = await open();
		const [one, two] = [test.member(), test.member()];
		await one.claim([first]);
		await two.claim([first]);
		expect(await one.begin([{ ...first, offset: 5 }])).toEqual([{ ...first, offset: 5 }]);
		expect(await two.begin([{ ...first, offset: 8 }])).toEqual([{ ...first, offset: 5 }]);
		expect(await one.store([{ ...first, offset: 6 }])).toMatchObject([{ ...first, kind: "taken_over" }]);
		expect(await two.store([{ ...first, offset: 6 }])).toEqual([]);
	});

	it("go back only where their owner says so: the log was made again", async () => {
		await using test = await open();
		const owner = test.member();
		await owner.begin([{ ...first, offset: 100 }]);
		await owner.store([{ ...first, offset: 200 }]);
		await owner.store([{ ...first, offset: 3 }]);
		expect(await owner.stored([first])).toEqual([{ ...first, offset: 3 }]);
	});

	it.each([
		["of the same claim", false],
		["of an earlier claim", true],
	])(
		"of a table that is put back under their owner, to a time %s, are told with the next store, and begin from there",
		async (_, isEarlier) => {
			await using test = await open();
			const owner = test.member();
			await owner.begin([{ ...first, offset: 10 }]);
			await test.db.database.query("create table backup as select * from pockaffe_offsets");
			if (isEarlier) await owner.claim([first]);
			await owner.store([{ ...first, offset: 40 }]);
			await test.db.database.query("delete from pockaffe_offsets");
			await test.db.database.query("insert into pockaffe_offsets select * from backup");
			const changed = { ...first, kind: "changed", expected: 40, found: 10 };
			expect(await owner.look([first])).toEqual([changed]);
			expect(await owner.store([{ ...first, offset: 50 }])).toEqual([changed]);
			expect(await owner.stored([first])).toEqual([{ ...first, offset: 10 }]);
			expect(await owner.claim([first])).toEqual([{ ...first, offset: 10 }]);
			expect(await owner.store([{ ...first, offset: 50 }])).toEqual([]);
		},
	);

	it("of a table that is put back have no owner of before, whoever claims them since", async () => {
		await using test = await open();
		const [zombie, owner] = [test.member(), test.member()];
		await zombie.begin([{ ...first, offset: 10 }]);
		await test.db.database.query("create table backup as select * from pockaffe_offsets");
		// Claimed once more since the backup was made: counted up from there, the next claim would be of the same number.
		await zombie.claim([first]);
		await test.db.database.query("delete from pockaffe_offsets");
		await test.db.database.query("insert into pockaffe_offsets select * from backup");
		await owner.claim([first]);
		expect(await zombie.store([{ ...first, offset: 20 }])).toMatchObject([{ kind: "taken_over" }]);
		expect(await owner.store([{ ...first, offset: 20 }])).toEqual([]);
	});

	it("in a table that is missing are not there for who only looks, and it stays missing", async () => {
		await using db = await createTestDatabase();
		const table = (readOnly: boolean) =>
			new OffsetTable({ database: db.database, table: "pockaffe_offsets", consumerGroup: "g", readOnly });
		await expect(table(true).stored([first])).rejects.toMatchObject({ code: "42P01" });
		await expect(table(true).stored([first])).rejects.toMatchObject({ code: "42P01" });
		// The daemon looks before it joins, and would never get as far as a claim.
		await expect(table(false).stored([first])).rejects.toMatchObject({ code: "42P01" });
		expect(await table(true).stored([first])).toEqual([{ ...first, offset: null }]);
	});

	it("are kept apart by consumer group", async () => {
		await using test = await open();
		await test.member("a").begin([{ ...first, offset: 1 }]);
		expect(await test.member("b").stored([first])).toEqual([{ ...first, offset: null }]);
	});
});

describe("offsets of a log", () => {
	const witness = { offset: 8, timestamp: 1_700 };

	it("name it, with a record of it, until they begin anew in another one", async () => {
		await using test = await open();
		const owner = test.member();
		await owner.begin([{ ...first, offset: 5, logId: "old" }]);
		await owner.store([{ ...first, offset: 9, logId: "old", witness }]);
		await owner.store([{ ...first, offset: 12, logId: "old" }]);
		expect(await owner.claim([first])).toEqual([{ ...first, offset: 12, log: { id: "old", witness } }]);
		expect(await owner.begin([{ ...first, offset: 0, logId: "new" }])).toMatchObject([{ ...first, offset: 0 }]);
		expect(await owner.stored([first])).toEqual([{ ...first, offset: 0, log: { id: "new", witness: null } }]);
		expect(await owner.store([{ ...first, offset: 3, logId: "new" }])).toEqual([]);
	});

	it("without an id can be told that it was deleted", async () => {
		await using test = await open();
		const owner = test.member();
		await owner.begin([
			{ ...first, offset: 5 },
			{ ...second, offset: 6, logId: "known" },
		]);
		await owner.forget([first, second]);
		expect((await owner.stored([first, second])).map(({ log }) => log?.id)).toEqual([deletedLog, "known"]);
	});

	it("are another member's by the time they would begin", async () => {
		await using test = await open();
		const [one, two] = [test.member(), test.member()];
		await one.begin([{ ...first, offset: 5 }]);
		await one.claim([first]);
		await two.claim([first]);
		expect(await one.begin([{ ...first, offset: 0 }])).toEqual([]);
		expect(await two.stored([first])).toEqual([{ ...first, offset: 5 }]);
	});

	it.each([
		["gets the columns", true],
		["that may not be changed is used as it is", false],
	])("in a table of an earlier version, which %s", async (_, mayChange) => {
		await using db = await createTestDatabase();
		await db.database.query(
			"create table pockaffe_offsets (consumer_group text, topic text, partition int4, next_offset bigint not null, epoch bigint not null, updated_at timestamptz not null, primary key (consumer_group, topic, partition))",
		);
		await db.database.query("insert into pockaffe_offsets values ('g', 'orders', 0, 7, 1, now())");
		await using user = await ordinaryUser(db, mayChange ? "own" : "use", "pockaffe_offsets");
		const table = new OffsetTable({ database: user.database, table: "pockaffe_offsets", consumerGroup: "g" });
		await table.prepare();
		expect(await table.claim([first])).toEqual([{ ...first, offset: 7 }]);
		expect(await table.store([{ ...first, offset: 9, logId: "id", witness }])).toEqual([]);
		const log = { id: "id", witness };
		expect(await table.stored([first])).toEqual([{ ...first, offset: 9, ...(mayChange ? { log } : {}) }]);
	});
});
