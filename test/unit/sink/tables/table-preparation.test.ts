/** How tables are prepared at the start, by what the server answers: what is told, and how often it is tried. */
import { beforeEach, expect, it } from "vitest";
import type { Database } from "../../../../src/sink/database/database.ts";
import { withoutForeignKeys } from "../../../../src/sink/tables/foreign-keys.ts";
import { prepareTables } from "../../../../src/sink/tables/table-preparation.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";
import { layoutOf } from "../../../support/fakes/row-submissions.ts";

let server: { tables: string[]; refuses: string | null; settings: object; unlogged: Record<string, string[]>; children: string[] };
let clock: ManualClock;
let ending: AbortController;
let told: string[];

beforeEach(() => {
	[clock, ending, told] = [new ManualClock(), new AbortController(), []];
	const settings = { fsync: "on", full_page_writes: "on" };
	server = { tables: [], refuses: null, settings, unlogged: {}, children: [] };
});

const database = {
	query: async (text: string, [name = ""]: readonly string[] = []) => {
		if (server.refuses) throw Object.assign(new Error("refused"), { code: server.refuses });
		if (text.includes("to_regtype"))
			return JSON.parse(name)
				.filter((type: string) => type !== "bigit")
				.map((type: string) => ({ type, id: type }));
		if (text.startsWith("create table") && text.includes("bigit")) throw Object.assign(new Error("refused"), { code: "42704" });
		if (text.startsWith("create table") && !text.includes("notes")) server.tables.push(/"(\w+)"/.exec(text)?.[1] as string);
		if (text.includes("current_setting")) return [server.settings];
		if (text.includes("relpersistence")) return (server.unlogged[name] ?? []).map((each) => ({ name: each }));
		if (text.includes("pg_constraint")) return [{ has_any: server.children.includes(name) }];
		const isThere = server.tables.includes(name.slice(1, -1));
		return [{ found: isThere, is_there: isThere }];
	},
} as unknown as Database;

const given = [layoutOf(), layoutOf({ name: "others", create: false })];

const prepareOwnTables = async () => {
	await database.query("create table if not exists notes");
	told.push("own tables");
};

const prepare = (prepareOwn = prepareOwnTables, layouts = given) =>
	prepareTables({
		database,
		layouts,
		prepareOwn,
		clock,
		signal: ending.signal,
		names: ["events", "others", "letters"],
		unsafe: (message) => told.push(`unsafe: ${message}`),
		failed: (message, retryInMs) => told.push(`failed: ${message}, again in ${retryInMs}`),
		prepared: () => told.push("prepared"),
	});

it("tables that are to be created are, once, and then PocKaffe's own", async () => {
	await prepare();
	await prepare();
	expect([server.tables, told]).toEqual([["events"], ["own tables", "own tables"]]);
});

it("a database that is away is told once for each reason, with what to do, and tried again until it is there", async () => {
	server.refuses = "ECONNREFUSED";
	await prepare();
	await clock.advance(4_000);
	server.refuses = "57P03";
	await clock.advance(4_000);
	server.refuses = null;
	await clock.advance(1_999);
	expect([server.tables, told]).toEqual([
		[],
		[
			"failed: ECONNREFUSED: refused; is the address in database.url right, and does the server run?, again in 2000",
			expect.stringMatching(/^failed: SQLSTATE 57P03.*\), again in 2000$/),
		],
	]);
	await clock.advance(60_000);
	expect([server.tables, told.slice(2), clock.pending]).toEqual([["events"], ["own tables", "prepared"], []]);
});

it("a type that the server does not have is told with its column and the nearest type", async () => {
	const mistyped = layoutOf({ name: "lines", columns: [{ name: "n", type: "bigit", path: ["n"], nullable: true }] });
	await prepare(undefined, [layoutOf(), mistyped, { ...mistyped, name: "others", create: false }]);
	const words = "tables.lines: column n: the server has no type bigit (the nearest is bigint): correct the configuration and restart";
	expect([server.tables, told]).toEqual([
		["events"],
		["own tables", `failed: SQLSTATE 42704: refused (undefined_object); ${words}, again in 2000`],
	]);
	ending.abort(new Error("the test is over"));
});

it("a table that can't be made keeps neither the others nor PocKaffe's own from being made", async () => {
	const mistyped = layoutOf({ name: "lines", columns: [{ name: "n", type: "bigit", path: ["n"], nullable: true }] });
	await prepare(undefined, [mistyped, layoutOf()]);
	expect([server.tables, told]).toEqual([["events"], ["own tables", expect.stringMatching(/^failed: SQLSTATE 42704/)]]);
	ending.abort(new Error("the test is over"));
});

it("own tables that can't be prepared are tried again, too", async () => {
	let attempts = 0;
	await prepare(async () => {
		if (++attempts < 3) throw new Error("refused");
	});
	await clock.advance(60_000);
	expect([attempts, told]).toEqual([3, [expect.stringContaining("failed: "), "prepared"]]);
});

it("nobody is told of a failure behind the end, and nothing is tried again", async () => {
	await prepare(async () => {
		ending.abort(new Error("ended"));
		throw new Error("refused");
	});
	await clock.advance(60_000);
	expect(told).toEqual([]);
});

it("what a crash of the server could lose is told: its settings, and tables outside the log", async () => {
	server.settings = { fsync: "on", full_page_writes: "off" };
	server.unlogged = { '"others"': ["others_1"], '"letters"': ["letters_1", "letters_2"] };
	await prepare();
	expect(told).toEqual([
		"own tables",
		expect.stringMatching(/^unsafe: full_page_writes is off/),
		"unsafe: others_1 is UNLOGGED: a crash of the server empties it, and the rows don't come again (alter table others_1 set logged)",
		expect.stringMatching(
			/^unsafe: letters_1, letters_2 is UNLOGGED.*\(alter table letters_1 set logged; alter table letters_2 set logged\)$/,
		),
	]);
});

it("tables without a foreign key are those that are there and have none", async () => {
	server.tables = ["events", "lines"];
	server.children = ['"lines"'];
	expect(await withoutForeignKeys(database, ["missing", "events", "lines"])).toEqual(["events"]);
});
