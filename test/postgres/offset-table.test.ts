/** Offsets in the database, on a real Postgres: taken over by epoch, never moved back by who lost them. */
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { connectDatabase } from "../../src/sink/database.ts";
import { OffsetTable } from "../../src/sink/offset-table.ts";
import { StartTable } from "../../src/sink/start-table.ts";
import { createTestDatabase } from "../support/test-database.ts";

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

describe("where a group began", () => {
	const noted = (offset: number, assumed = false) => ({ offset, assumed });

	it("is noted, replaced by a later beginning, and empty where nothing was noted", async () => {
		await using test = await open();
		const starts = new StartTable({ database: test.db.database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" });
		expect(await starts.read()).toEqual(new Map());
		await starts.record([{ ...first, offset: 12 }]);
		await starts.record([
			{ ...first, offset: 15 },
			{ ...second, offset: 3 },
		]);
		expect(await starts.read()).toEqual(
			new Map([
				["orders/0", noted(15)],
				["orders/1", noted(3)],
			]),
		);
	});

	it("is assumed where a group that had committed was met first, unless it is known; set back, it began there", async () => {
		await using test = await open();
		const starts = new StartTable({ database: test.db.database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" });
		await starts.record([{ ...first, offset: 12 }]);
		const met = (offset: number) => starts.assume([first, second].map((each) => ({ ...each, offset })));
		await met(500);
		await met(900);
		expect([...(await starts.read()).values()]).toEqual([noted(12), noted(500, true)]);
		await met(7);
		expect([...(await starts.read()).values()]).toEqual([noted(7), noted(7, true)]);
		await starts.record([{ ...second, offset: 0 }]);
		expect((await starts.read()).get("orders/1")).toEqual(noted(0));
	});

	it("is noted by members that begin at once, and all find no table yet", async () => {
		await using test = await open();
		const members = Array.from({ length: 8 }, (_, i) => ({
			group: `g${i}`,
			db: connectDatabase({ url: test.db.url, connections: 1, clock: systemClock }),
		}));
		const table = ({ group, db }: (typeof members)[number]) =>
			new StartTable({ database: db, offsetsTable: "other", consumerGroup: group });
		await Promise.all(members.map(({ db }) => db.query("select 1")));
		await Promise.all(members.map((member) => table(member).record([{ ...first, offset: 1 }])));
		for (const member of members) {
			expect((await table(member).read()).size).toBe(1);
			await member.db.close();
		}
	});
});
