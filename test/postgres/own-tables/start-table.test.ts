/** The notes of positions on a real Postgres: tables that are missing, of an earlier version, or refuse. */
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { PositionNote } from "../../../src/core/offsets/position-note.ts";
import { NOTES_REFUSED } from "../../../src/core/offsets/position-note.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { NoteFence } from "../../../src/sink/offsets/note-fence.ts";
import { StartRecorder } from "../../../src/sink/offsets/start-recorder.ts";
import { StartTable } from "../../../src/sink/offsets/start-table.ts";
import { ordinaryUser } from "../../support/postgres/ordinary-user.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";

const partition = { topic: "orders", partition: 0 };
const name = "pockaffe_offsets_start";
const earlier = `create table ${name} (consumer_group text, topic text, partition int4, start_offset bigint not null, assumed boolean not null, recorded_at timestamptz not null, primary key (consumer_group, topic, partition))`;

const all = { others: [], displaced: [] };
const noted = (start: number, over: Partial<PositionNote> = {}): PositionNote => ({
	start,
	assumed: false,
	log: { id: "log", witness: null },
	reached: start,
	skipped: [],
	...over,
});

describe("a table of notes", () => {
	it("is made by members that begin at once, and all find none yet", async () => {
		await using db = await createTestDatabase();
		const members = Array.from({ length: 8 }, (_, i) => {
			const database = connectDatabase({ url: db.url, connections: 1, clock: systemClock });
			return { database, table: new StartTable({ database, offsetsTable: "other", consumerGroup: `g${i}` }) };
		});
		await Promise.all(members.map(({ database }) => database.query("select 1")));
		expect(new Set(await Promise.all(members.map(({ table }) => table.prepare())))).toEqual(new Set(["notes"]));
		await Promise.all(members.map(({ table }) => table.change([{ ...partition, note: noted(1), replaces: null }])));
		for (const { database, table } of members) {
			expect((await table.read()).size).toBe(1);
			await database.close();
		}
	});

	it("holds what is in hand for who has the partition, and its position stays as it was written", async () => {
		await using db = await createTestDatabase();
		const table = new StartTable({ database: db.database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" });
		await table.prepare();
		const fence = new NoteFence(table);
		const begun = { by: "me", began: 12, held: null, deaths: [] };
		await fence.change([{ ...partition, note: noted(12, { hand: begun }), replaces: null }]);
		const read = async () => (await table.read()).get("orders/0") ?? null;
		const before = await read();
		expect(before?.note.hand).toEqual(begun);
		const held = { ...begun, held: { from: 12, to: 14 }, deaths: [[13, 2]] as const };
		await table.hold([{ ...partition, by: "me", hand: held }]);
		expect(await read()).toEqual({ ...before, note: noted(12, { hand: held }) });
		await table.hold([{ ...partition, by: "another", hand: null }]);
		expect((await read())?.note.hand).toEqual(held);
		await table.hold([{ ...partition, by: "me", hand: { ...held, by: null } }]);
		expect((await read())?.note.hand).toEqual({ ...held, by: null });
		// Given away it is nobody's: what was still on its way changes nothing.
		await table.hold([{ ...partition, by: "me", hand: begun }]);
		expect((await read())?.note.hand?.by).toBeNull();
		expect(await fence.compare([partition])).toEqual([]);
	});

	it("of an earlier version gets the columns it lacks, and keeps what it knew", async () => {
		await using db = await createTestDatabase();
		await db.database.query(earlier);
		await db.database.query(`insert into ${name} values ('g', 'orders', 0, 12, true, now())`);
		const table = new StartTable({ database: db.database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" });
		expect(await table.prepare()).toBe("notes");
		const read = async () => (await table.read()).get("orders/0") ?? null;
		const before = noted(12, { assumed: true, log: { id: null, witness: null }, reached: null });
		expect((await read())?.note).toEqual(before);
		expect(await table.change([{ ...partition, note: noted(12, { assumed: true }), replaces: await read() }])).toEqual([]);
		expect(await new NoteFence(table).reach([{ ...partition, offset: 20, logId: "log" }])).toEqual(all);
		expect((await read())?.note).toEqual(noted(12, { assumed: true, reached: 20 }));
	});

	it("of an earlier version that may not be changed holds starts alone, and nothing in it goes stale", async () => {
		await using db = await createTestDatabase();
		await db.database.query(earlier);
		await using user = await ordinaryUser(db, "use", name);
		const told: string[] = [];
		const table = new StartTable({ database: user.database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" });
		const recorder = new StartRecorder({ table: new NoteFence(table), notRecorded: (message) => told.push(message) });
		await recorder.prepare();
		await recorder.begin([{ ...partition, note: noted(12), replaces: null }]);
		expect(await recorder.reach([{ ...partition, offset: 20, logId: "log" }])).toEqual(all);
		const read = async () => (await recorder.read()).get("orders/0") ?? null;
		expect((await read())?.note).toEqual(noted(12, { log: { id: null, witness: null }, reached: null }));
		await recorder.begin([{ ...partition, note: noted(3), replaces: await read() }]);
		expect((await read())?.note.start).toBe(3);
		expect(told).toEqual([expect.stringContaining(`${name} can't be created, or lacks columns`)]);
		// What its owner adds is used from then on.
		for (const column of [
			"topic_id text",
			"reached_offset bigint",
			"reached_ts bigint",
			"reached_ts_offset bigint",
			"skipped jsonb",
			"updated_at timestamptz",
			"restored_from bigint",
			"restored_to bigint",
			"opened_by text",
			"in_hand jsonb",
		])
			await db.database.query(`alter table ${name} add column ${column}`);
		await recorder.prepare();
		await recorder.reach([{ ...partition, offset: 20, logId: "log" }]);
		expect((await read())?.note).toMatchObject({ start: 3, reached: 20, log: { id: "log" } });
	});

	it("that is missing and may not be made is done without", async () => {
		await using db = await createTestDatabase();
		await using user = await ordinaryUser(db, "none");
		const told: string[] = [];
		const table = new StartTable({ database: user.database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" });
		const recorder = new StartRecorder({ table: new NoteFence(table), notRecorded: (message) => told.push(message) });
		await recorder.prepare();
		await recorder.begin([{ ...partition, note: noted(12), replaces: null }]);
		expect(await recorder.reach([{ ...partition, offset: 20 }])).toEqual(all);
		expect(await recorder.read()).toEqual(new Map());
		expect(told).toHaveLength(1);
	});

	it("that is dropped under the daemon is made again", async () => {
		await using db = await createTestDatabase();
		const table = new StartTable({ database: db.database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" });
		const recorder = new StartRecorder({ table: new NoteFence(table), notRecorded: () => {} });
		await recorder.prepare();
		await recorder.begin([{ ...partition, note: noted(12), replaces: null }]);
		await db.database.query(`drop table ${name}`);
		// What was in it is gone, and maybe the rows beside it: the next start sees it by the beginning that is noted again.
		const { displaced } = await recorder.reach([{ ...partition, offset: 20, logId: "log" }]);
		expect(displaced).toEqual([{ ...partition, kind: "gone", expected: 12, found: null }]);
		expect((await recorder.read()).get("orders/0")?.note).toEqual(noted(12));
	});

	it("that refuses what it has taken before holds commits up until it takes it again", async () => {
		await using db = await createTestDatabase();
		await new StartTable({ database: db.database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" }).prepare();
		await using user = await ordinaryUser(db, "use", name);
		const table = new StartTable({ database: user.database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" });
		const recorder = new StartRecorder({ table: new NoteFence(table), notRecorded: () => {} });
		await recorder.prepare();
		await recorder.begin([{ ...partition, note: noted(12), replaces: null }]);
		await user.admin(`revoke update on ${name} from USER`);
		await expect(recorder.reach([{ ...partition, offset: 20, logId: "log" }])).rejects.toMatchObject({
			code: NOTES_REFUSED,
			message: expect.stringMatching(/42501.*grant select, insert, update on pockaffe_offsets_start/),
		});
		await user.admin(`grant update on ${name} to USER`);
		expect(await recorder.reach([{ ...partition, offset: 20, logId: "log" }])).toEqual(all);
		expect((await recorder.read()).get("orders/0")?.note.reached).toBe(20);
	});
});
