/** What becomes of a letters' table of an earlier version, by what it lacks and what this user may do. */
import { beforeEach, expect, it } from "vitest";
import type { Database } from "../../../src/sink/database/database.ts";
import { outdatedLetterTable, prepareLetterTable } from "../../../src/sink/dead-letters/dead-letter-preparation.ts";

const late = ["refused_rows", "omitted", "topic_id", "handler_version"];
const earlierKey = { name: "letters_pkey", columns: "consumer_group,offset,partition,topic" };

/** The table: null where there is none. */
let columns: Set<string> | null;
let key: { name: string; columns: string };
let mayAlter: boolean;
let sent: string[];

beforeEach(() => {
	[columns, key, mayAlter, sent] = [new Set(late), earlierKey, true, []];
});

const database = {
	query: async (text: string, parameters: readonly string[] = []) => {
		if (text.includes("pg_constraint")) return [key];
		if (text.includes("pg_attribute")) return [{ found: columns?.has(parameters[1] as string) === true }];
		if (text.includes("to_regclass")) return [{ found: columns !== null }];
		sent.push(text.split("\n")[0] as string);
		if (!mayAlter) throw Object.assign(new Error("refused"), { code: "42501" });
		for (const column of late) if (text.includes(` ${column} `)) columns?.add(column);
		return [];
	},
} as unknown as Database;

const renewed =
	`alter table "letters" add column if not exists topic_id text not null default '', drop constraint "letters_pkey", ` +
	`add primary key (consumer_group, topic, partition, "offset", topic_id, kafka_ts)`;

it("a missing table is created with all columns", async () => {
	columns = null;
	expect(await prepareLetterTable(database, "letters")).toEqual({ late: new Set(late), key: "own" });
	expect(sent).toEqual([`create table if not exists "letters" (`]);
});

it("a table that lacks nothing is left as it is", async () => {
	expect([await prepareLetterTable(database, "letters"), await outdatedLetterTable(database, "letters"), sent]).toEqual([
		{ late: new Set(late), key: "own" },
		null,
		[],
	]);
});

it("a table of an earlier version gets what it lacks, each with its type, and the key that tells logs apart", async () => {
	columns = new Set();
	expect(await prepareLetterTable(database, "letters")).toEqual({ late: new Set(late), key: "own" });
	expect(sent).toEqual([
		`alter table "letters" add column if not exists refused_rows jsonb`,
		`alter table "letters" add column if not exists omitted jsonb`,
		renewed,
		`alter table "letters" add column if not exists handler_version text`,
	]);
});

it("a key that somebody made by hand stays", async () => {
	columns = new Set(["refused_rows", "omitted", "handler_version"]);
	key = { name: "letters_pkey", columns: "id" };
	expect(await prepareLetterTable(database, "letters")).toEqual({
		late: new Set(["refused_rows", "omitted", "handler_version"]),
		key: "earlier",
	});
	expect([sent, await outdatedLetterTable(database, "letters")]).toEqual([[], "was made by an earlier version: it lacks topic_id"]);
});

it("who may not alter the table does without its late columns, and is told what the owner can run", async () => {
	columns = new Set(["omitted"]);
	mayAlter = false;
	expect(await prepareLetterTable(database, "letters")).toEqual({ late: new Set(["omitted"]), key: "earlier" });
	expect(await outdatedLetterTable(database, "letters")).toBe(
		"was made by an earlier version: it lacks refused_rows, topic_id, handler_version; the daemon adds this at its start if it may, else run: " +
			`alter table "letters" add column refused_rows jsonb, add column handler_version text; ${renewed}`,
	);
});
