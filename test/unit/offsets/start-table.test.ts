import { expect, it } from "vitest";
import type { PositionNote } from "../../../src/core/offsets/position-note.ts";
import type { Database } from "../../../src/sink/database/database.ts";
import { StartTable } from "../../../src/sink/offsets/start-table.ts";

/** In a database whose server refuses to make the table with this code, until somebody makes it. */
function refused(code: string) {
	let isThere = false;
	const database = {
		query: async (text: string) => {
			if (text.includes("create table")) throw Object.assign(new Error(code), { code });
			return [{ found: isThere }];
		},
	} as unknown as Database;
	return {
		table: new StartTable({ database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" }),
		make: () => {
			isThere = true;
		},
	};
}

it.each(["57P01", "55P03", "40P01", "CONNECTION_CLOSED"])(
	"a table that can't be made for a moment (%s) is not done without",
	async (code) => {
		await expect(refused(code).table.prepare()).rejects.toMatchObject({ code });
	},
);

it.each(["42501", "23505"])("a table that can't be made (%s) is done without", async (code) => {
	expect(await refused(code).table.prepare()).toBe("none");
});

it("a table that was missing for a while, as a backup is put back, is found again", async () => {
	const { table, make } = refused("42501");
	await table.prepare();
	expect(await table.keepsNotes()).toBe(false);
	make();
	expect(await table.keepsNotes()).toBe(true);
});

it("notes of a deleted log are forgotten also by who had not looked at the table before, and it is looked at once", async () => {
	const sent: string[] = [];
	const database = {
		query: async (text: string) => {
			if (text.startsWith("update")) sent.push("update");
			else sent.push("look");
			return [{ found: true }];
		},
	} as unknown as Database;
	const table = new StartTable({ database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" });
	await table.forget([{ topic: "t", partition: 0 }]);
	await table.forget([{ topic: "t", partition: 1 }]);
	expect(sent).toEqual(["look", "look", "update", "update"]);
});

const note = {
	start: 5,
	assumed: false,
	log: { id: "id", witness: { offset: 40, timestamp: 4_000 } },
	reached: 41,
	skipped: [{ from: 7, to: 9 }],
	restored: { from: 20, to: 30 },
	hand: { by: "me", held: null, deaths: [], began: 6 },
} as unknown as PositionNote;

/** A table with these columns, and the entries that it was sent; a statement returns rows of its first `matches` entries. */
function scripted({ hasLate = true, rows = [] as object[], matches = 9 } = {}) {
	const sent: { text: string; entries: Record<string, unknown>[] }[] = [];
	const query = async (text: string, [, entries]: readonly string[] = []) => {
		if (text.includes("attname")) return [{ found: hasLate }];
		if (text.includes("to_regclass")) return [{ found: true }];
		if (text.startsWith("select")) return rows;
		sent.push({ text, entries: JSON.parse(entries as string) });
		const answer = { reached_offset: "41", written_at: "7" };
		return (sent.at(-1)?.entries ?? []).slice(0, matches).map(({ topic, partition }) => ({ topic, partition, ...answer }));
	};
	const table = new StartTable({ database: { query } as unknown as Database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" });
	return { table, sent };
}

const columnsOf = { topic_id: "id", reached_ts: "4000", reached_ts_offset: "40", restored_from: "20", restored_to: "30", opened_by: "me" };

it("a note comes back as it was written, column by column", async () => {
	const { table, sent } = scripted();
	await table.change([{ topic: "t", partition: 3, note, replaces: null }]);
	const { skipped, in_hand, ...entry } = sent[0]?.entries[0] ?? {};
	const place = { topic: "t", partition: 3 };
	expect(entry).toEqual({
		...place,
		start_offset: 5,
		assumed: false,
		topic_id: "id",
		reached: 41,
		ts: 4_000,
		ts_offset: 40,
		restored_from: 20,
		restored_to: 30,
		opened_by: "me",
		version: null,
	});
	const row = { ...place, ...columnsOf, start_offset: "5", assumed: false, reached_offset: "41", skipped, in_hand, version: "77" };
	const stored = await scripted({ rows: [row, { topic: "t", partition: 4, start_offset: "8", assumed: true }] }).table.read();
	expect([...stored]).toEqual([
		["t/3", { note, version: "77" }],
		["t/4", { note: { start: 8, assumed: true, log: { id: null, witness: null }, reached: null, skipped: [] }, version: null }],
	]);
});

it("a note replaces the one that was read, and is stale where somebody else changed that", async () => {
	const { table, sent } = scripted({ matches: 1 });
	const replaces = { note, version: "77" };
	const changes = [0, 1].map((partition) => ({ topic: "t", partition, note, replaces }));
	expect(await table.change([...changes, { topic: "t", partition: 2, note, replaces: null }])).toEqual([changes[1]]);
	expect(sent.map(({ text, entries }) => [text.split(" ", 1)[0], entries.map(({ version }) => version)])).toEqual([
		["update", ["77", "77"]],
		["insert", [null]],
	]);
	expect(sent[0]?.text).toContain("is not distinct from x.version");
});

it("a table of an earlier version holds starts alone, and no position is noted in it", async () => {
	const { table, sent } = scripted({ hasLate: false });
	const position = { topic: "t", partition: 3, offset: 41, least: null };
	expect([await table.look(), await table.reach([position])]).toEqual(["starts", new Map()]);
	await table.change([{ topic: "t", partition: 3, note, replaces: null }]);
	expect([sent.length, sent[0]?.text.includes("assumed"), sent[0]?.text.includes("reached_offset")]).toEqual([1, true, false]);
});

it("a position is noted with the least that its note must say, and what it says then is told", async () => {
	const { table, sent } = scripted();
	const least = { reached: 30, writtenAt: 5 };
	const position = { topic: "t", partition: 3, offset: 41, logId: "id", witness: { offset: 40, timestamp: 4_000 }, least };
	expect(await table.reach([position])).toEqual(new Map([["t/3", { reached: 41, writtenAt: 7 }]]));
	expect(sent[0]?.entries).toEqual([
		{ topic: "t", partition: 3, topic_id: "id", reached: 41, ts: 4_000, ts_offset: 40, least: 30, written_at: 5 },
	]);
});
