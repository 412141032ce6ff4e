/**
 * Values of a handler in columns of every kind of type: what is stored, what is refused, and that `verify` agrees. The real encoder and
 * writer.
 */
import { LosslessNumber } from "lossless-json";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { parseColumnType } from "../../../src/config/schema/column-types.ts";
import type { BytesEncoding, TableLayout } from "../../../src/core/rows/rows.ts";
import { RowEncoder } from "../../../src/worker/inside/rows/row-encoder.ts";
import { columnOf as textsOf } from "../../support/fakes/row-blocks.ts";
import { columnOf, layoutOf, type TrackedSubmission } from "../../support/fakes/row-submissions.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";

const own = `
	create type mood as enum ('good', 'so-so, "quoted"');
	create schema app;
	create type app."Pair" as (a int, b text);
	create domain short as varchar(5);
	create domain positive as int check (value > 0);
	create domain document as jsonb;
	create domain flags as bit(3);
	create extension if not exists citext;
	create extension if not exists hstore;
	create extension if not exists ltree`;

function layoutFor(type: string, encoding?: BytesEncoding): TableLayout {
	const parsed = parseColumnType(type);
	expect(parsed.problem).toBeNull();
	return layoutOf({ columns: [{ ...columnOf("v", parsed.type), ...(encoding && { encoding }) }] });
}

/** A row with this value, as the thread encodes it; or the fault that it is. */
function encoded(layout: TableLayout, value: unknown): string | null | { sqlstate: string } {
	const encoder = new RowEncoder(layout);
	const row = encoder.upsert(0, "a", { v: value });
	if ("fault" in row) return { sqlstate: row.fault.sqlstate };
	return textsOf(encoder.take({ from: 0, offsets: [0], timestamps: [0] })[0], 0)[0] as string | null;
}

/** What the column holds in the end, as text; the SQLSTATE where the row is refused. */
async function stored(test: TestWriter, layout: TableLayout, value: unknown): Promise<unknown> {
	const text = encoded(layout, value);
	if (text !== null && typeof text === "object") return text;
	const row: TrackedSubmission = await test.write([{ id: "a", offset: 0, values: [text] }]);
	const fault = row.refusedOffsets.get(0);
	if (fault) return { sqlstate: fault.sqlstate };
	return (await test.rows("select v::text from events"))[0]?.v;
}

const exact = new LosslessNumber("12345678901234567890.10");

let db: TestDatabase;
const shared = (): TestDatabase => ({ ...db, [Symbol.asyncDispose]: async () => {} });
beforeAll(async () => {
	db = await createTestDatabase();
	for (const statement of own.split(";")) await db.database.query(statement);
});
afterEach(() => db.database.query("drop table if exists events"));
afterAll(() => db[Symbol.asyncDispose]());

describe("a value is stored exactly, or refused", () => {
	const cases: readonly (readonly [string, unknown, unknown])[] = [
		["int[]", [1, -2, null, undefined], "{1,-2,NULL,NULL}"],
		["int[]", [], "{}"],
		[
			"int[][]",
			[
				[1, 2],
				[3, 4],
			],
			"{{1,2},{3,4}}",
		],
		["int[]", "{5,6}", "{5,6}"],
		["int[]", [[1], [2, 3]], { sqlstate: "22P02" }],
		["int[]", ["x"], { sqlstate: "22P02" }],
		["numeric[]", [exact, 10n ** 30n, "1.50"], "{12345678901234567890.10,1000000000000000000000000000000,1.50}"],
		["numeric(4,1)[]", [1.26], "{1.3}"],
		[
			"text[]",
			['a"b', "c\\d", "", "NULL", "x,y", "{z}", "é\n\u2028", null],
			String.raw`{"a\"b","c\\d","","NULL","x,y","{z}","é${"\n\u2028"}",NULL}`,
		],
		["varchar(3)[]", ["abc"], "{abc}"],
		["varchar(3)[]", ["abcd"], { sqlstate: "22001" }],
		["jsonb[]", [{ a: [1, "x"] }, [1, [2]], "s", 5], String.raw`{"{\"a\": [1, \"x\"]}","[1, [2]]","\"s\"",5}`],
		["bytea[]", [Buffer.from([0, 255]), "é"], String.raw`{"\\x00ff","\\xc3a9"}`],
		["timestamptz[]", [new Date(0)], '{"1970-01-01 00:00:00+00"}'],
		["timestamptz", new Date(Date.UTC(12345, 0, 2, 3, 4, 5, 678)), "12345-01-02 03:04:05.678+00"],
		["timestamptz", new Date(Date.UTC(-43, 2, 15, 12)), "0044-03-15 12:00:00+00 BC"],
		["timestamptz", new Date(-62_167_219_200_000), "0001-01-01 00:00:00+00 BC"],
		["timestamptz", new Date("0001-01-01T00:00:00Z"), "0001-01-01 00:00:00+00"],
		["timestamptz", new Date(-8.64e15), { sqlstate: "22008" }],
		["timestamptz", new Date(8.64e15), "275760-09-13 00:00:00+00"],
		["timestamp", new Date(Date.UTC(-43, 2, 15, 12)), "0044-03-15 12:00:00 BC"],
		["timestamp", new Date("2026-01-02T03:04:05.678Z"), "2026-01-02 03:04:05.678"],
		["date", new Date(Date.UTC(12345, 0, 2, 23)), "12345-01-02"],
		["date", new Date(Date.UTC(-43, 2, 15, 12)), "0044-03-15 BC"],
		["date[]", [new Date(Date.UTC(12345, 0, 2))], "{12345-01-02}"],
		["time", new Date("2026-01-02T03:04:05.678Z"), "03:04:05.678"],
		["time", new Date(Date.UTC(12345, 0, 2, 3)), "03:00:00"],
		["time with time zone", new Date("2026-01-02T03:04:05.678Z"), "03:04:05.678+00"],
		["text", new Date("2026-01-02T03:04:05.678Z"), "2026-01-02T03:04:05.678Z"],
		["mood", 'so-so, "quoted"', 'so-so, "quoted"'],
		["mood", "bad", { sqlstate: "22P02" }],
		["mood[]", ["good", 'so-so, "quoted"'], String.raw`{good,"so-so, \"quoted\""}`],
		['app."Pair"', '(1,"x \\\\ y")', '(1,"x \\\\ y")'],
		["short", "12345", "12345"],
		["short", "123456", { sqlstate: "22001" }],
		["short[]", ["123456"], { sqlstate: "22001" }],
		["positive", 5, "5"],
		["positive", -5, { sqlstate: "23514" }],
		["document", { a: [1, "x"] }, '{"a": [1, "x"]}'],
		["document", [1, 2], "[1, 2]"],
		["flags", "101", "101"],
		["flags", "1010", { sqlstate: "22026" }],
		["bit(3)", "1010", { sqlstate: "22026" }],
		["bit varying(3)", "1010", { sqlstate: "22001" }],
		["bit(3)", "101", "101"],
		["varchar(3)", "abcd", { sqlstate: "22001" }],
		["bpchar(3)", "abcd", { sqlstate: "22001" }],
		["int4range", "[1,5)", "[1,5)"],
		["money", "12.34", "$12.34"],
		["xml", "<a>1</a>", "<a>1</a>"],
		["tsvector", "'a':1 'b':2", "'a':1 'b':2"],
		["point", "(1,2)", "(1,2)"],
		["macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:03"],
		["time(0) with time zone", "10:20:30+02", "10:20:30+02"],
		["timestamp(0)", "2026-01-02T03:04:05.6", "2026-01-02 03:04:06"],
		["float", 0.1, "0.1"],
		["citext", "MiXed", "MiXed"],
		["hstore", '"a"=>"1"', '"a"=>"1"'],
		["ltree", "a.b", "a.b"],
		["pg_catalog.int4", 7, "7"],
		["json", [1], "[1]"],
		["text", "'; drop table events; --", "'; drop table events; --"],
		["short", "', '\\", "', '\\"],
	];
	it.each(cases)("%s of %o", async (type, value, expected) => {
		const layout = layoutFor(type);
		await using writing = await TestWriter.on([layout], { db: shared() });
		expect(await stored(writing, layout, value)).toEqual(expected);
	});

	it.each([
		["bytea", undefined, "\\x00ff", String.raw`\x5c7830306666`],
		["bytea", "utf8", "é", String.raw`\xc3a9`],
		["bytea", "hex", "00FF", String.raw`\x00ff`],
		["bytea", "hex", "", String.raw`\x`],
		["bytea", "hex", "0", { sqlstate: "22023" }],
		["bytea", "hex", "0g", { sqlstate: "22023" }],
		["bytea", "base64", "AP8=", String.raw`\x00ff`],
		["bytea", "base64", "AP8", String.raw`\x00ff`],
		["bytea", "base64", "_-8", String.raw`\xffef`],
		["bytea", "base64", "AP8!", { sqlstate: "22023" }],
		["bytea", "base64", "A", { sqlstate: "22023" }],
		["bytea", "base64", Buffer.from([1]), String.raw`\x01`],
		["bytea[]", "hex", ["00", null], String.raw`{"\\x00",NULL}`],
	] as const)("%s, encoding %s, of %o", async (type, encoding, value, expected) => {
		const layout = layoutFor(type, encoding);
		await using test = await TestWriter.on([layout], { db: shared() });
		expect(await stored(test, layout, value)).toEqual(expected);
	});

	it("only by its own kind: no object into a type that has a text", () => {
		const refused = (type: string, value: unknown) => () => encoded(layoutFor(type), value);
		expect(refused("int", [1])).toThrow(/column v of events: can't take a list of 1/);
		expect(refused("int[]", { a: 1 })).toThrow(/column v of events: can't take an object.*, only a list/);
		expect(refused("int[]", 5)).toThrow(/can't take a number, only a list/);
		expect(refused("mood", Symbol("x"))).toThrow(/can't take a symbol/);
	});
});
