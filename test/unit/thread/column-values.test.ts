/** A handler's values as the text that Postgres casts: each type's own, and what is refused with which SQLSTATE. */
import { parse } from "lossless-json";
import { describe, expect, it } from "vitest";
import { BadOutcomeError, RowFaultError } from "../../../src/worker/inside/rows/bad-outcome.ts";
import { encoderOf, isPlainText, takesText } from "../../../src/worker/inside/rows/column-values.ts";

const bytes = (text: string) => Buffer.from(text);
const lossless = (text: string) => parse(text) as unknown;

function refusal(type: string, value: unknown, encoding?: "hex" | "base64"): string {
	try {
		return `taken: ${encoderOf(type, encoding)(value)}`;
	} catch (error) {
		if (error instanceof RowFaultError) return error.sqlstate;
		return error instanceof BadOutcomeError ? error.message : String(error);
	}
}

describe("a value is sent", () => {
	it.each<[string, unknown, string]>([
		["text", "plain", "plain"],
		["text", 1.5, "1.5"],
		["text", 12n, "12"],
		["text", false, "false"],
		["text", bytes("ü"), "ü"],
		["text", new Date(0), "1970-01-01T00:00:00.000Z"],
		["text", lossless("1.50"), "1.50"],
		["numeric", lossless("12345678901234567890.10"), "12345678901234567890.10"],
		["int4", 7, "7"],
		["int4", " 7 ", " 7 "],
		["int4", lossless("1e3"), "1000"],
		["bigint", lossless("1.0"), "1"],
		["smallint", lossless("1.5"), "1.5"],
		["real", lossless("1e3"), "1e3"],
		["time", new Date("2026-01-02T03:04:05.678Z"), "03:04:05.678Z"],
		["timetz", new Date("2026-01-02T03:04:05.678Z"), "03:04:05.678Z"],
		["time", "03:04", "03:04"],
		["date", new Date("2026-01-02T03:04:05.678Z"), "2026-01-02T03:04:05.678Z"],
		["date", "2026-01-02", "2026-01-02"],
		["timestamp", new Date("-000001-01-02T03:04:05.678Z"), "0002-01-02T03:04:05.678Z BC"],
		["timestamptz", new Date("0000-12-31T00:00:00.000Z"), "0001-12-31T00:00:00.000Z BC"],
		["timestamptz", new Date("+012026-01-02T03:04:05.678Z"), "12026-01-02T03:04:05.678Z"],
		["json", { a: [1, "x"], b: null }, '{"a":[1,"x"],"b":null}'],
		["jsonb", "text", '"text"'],
		["jsonb", 5, "5"],
		["jsonb", bytes('{"a":1}'), '{"a":1}'],
		["jsonb", { a: lossless("1.50") }, '{"a":1.50}'],
		["jsonb", [[lossless("12345678901234567890")]], "[[12345678901234567890]]"],
		["jsonb", new Date(0), '"1970-01-01T00:00:00.000Z"'],
		["app.mood", "happy", "happy"],
		["app.mood", 7, "7"],
		["app.doc", { a: 1 }, '{"a":1}'],
		["vector", [1, 2.5], "[1,2.5]"],
		["app.price", lossless("1.50"), "1.50"],
		["app.mood", bytes("happy"), "happy"],
		["app.moment", new Date(0), "1970-01-01T00:00:00.000Z"],
	])("into %s: %s", (type, value, text) => {
		expect(encoderOf(type)(value)).toBe(text);
	});

	it("as bytes: what it holds, of a piece of a buffer that piece alone", () => {
		expect(encoderOf("bytea")(bytes("abcd").subarray(1, 3))).toBe("\\x6263");
		expect(encoderOf("text")(bytes("abcd").subarray(1, 3))).toBe("bc");
		expect(encoderOf("bytea")(new Uint8Array([0, 255]))).toBe("\\x00ff");
		expect(encoderOf("bytea")("é")).toBe("\\xc3a9");
		expect(encoderOf("bytea", "hex")("00fF")).toBe("\\x00ff");
		expect(encoderOf("bytea", "hex")("")).toBe("\\x");
		for (const spelt of ["+/8=", "+/8", "-_8="]) expect(encoderOf("bytea", "base64")(spelt), spelt).toBe("\\xfbff");
		for (const spelt of ["/w==", "/w", "_w"]) expect(encoderOf("bytea", "base64")(spelt), spelt).toBe("\\xff");
		expect(encoderOf("bytea", "base64")("AAEC")).toBe("\\x000102");
	});
});

describe("a list is sent", () => {
	it.each<[string, unknown, string]>([
		["int4[]", [1, null, undefined, 3], '{"1",NULL,NULL,"3"}'],
		["int4[]", [], "{}"],
		["text[]", ['a"b', "c\\d", "", "{e,f}"], '{"a\\"b","c\\\\d","","{e,f}"}'],
		["int4[][]", [[1, 2], [3]], '{{"1","2"},{"3"}}'],
		["int4[]", [[1], [2]], '{{"1"},{"2"}}'],
		["text[]", "{a,b}", "{a,b}"],
		["text[]", bytes("{a}"), "{a}"],
		["jsonb[]", [[1, 2], { a: 1 }], '{"[1,2]","{\\"a\\":1}"}'],
		["jsonb[][]", [[[1], 2]], '{{"[1]","2"}}'],
		["date[]", [new Date("0000-12-31T00:00:00.000Z")], '{"0001-12-31T00:00:00.000Z BC"}'],
	])("into %s: %s", (type, value, text) => {
		expect(encoderOf(type)(value)).toBe(text);
	});

	it("and nothing else where one is wanted", () => {
		expect(refusal("int4[]", { a: 1 })).toBe("can't take an object with a, only a list");
		expect(refusal("int4[]", 5)).toBe("can't take a number, only a list");
	});
});

describe("a value is refused", () => {
	it.each<[string, unknown, string]>([
		["text", "a\0b", "22021"],
		["text", "\ud800", "22021"],
		["text", Buffer.from([0xff]), "22021"],
		["text", Buffer.from([0x61, 0]), "22021"],
		["jsonb", Buffer.from([0xff]), "22021"],
		["bytea", "\ud800", "22021"],
		["text[]", ["a\0"], "22021"],
		["text[]", "a\0", "22021"],
		["text", { a: 1 }, "can't take an object with a"],
		["text", [1], "can't take a list of 1"],
		["text", () => 1, "can't take a function"],
		["text", Symbol("s"), "can't take a symbol"],
		["text", Promise.resolve(), "can't take a Promise: is an await missing?"],
		["timestamptz", new Date(Number.NaN), "can't take an invalid Date"],
		["time", new Date(Number.NaN), "can't take an invalid Date"],
		["bytea", 5, "can't take a number"],
		["jsonb", () => 1, "can't take a function"],
		["jsonb", { a: 1n }, "can't take what can't be made JSON (TypeError)"],
		["jsonb", new Map([[1, 2]]), "can't take a Map"],
		["jsonb", { a: { b: new Set() } }, "can't take a Set"],
	])("by %s: %s", (type, value, why) => {
		expect(refusal(type, value)).toBe(why);
	});

	it.each(["0", "0g", "abc"])("as hex: %s", (text) => {
		expect(refusal("bytea", text, "hex")).toBe("22023");
	});

	it.each(["A", "AB=", "AB=C", "A B=", "ABCDE"])("as base64: %s", (text) => {
		expect(refusal("bytea", text, "base64")).toBe("22023");
	});

	it("where a container says itself how it is JSON it is asked", () => {
		expect(encoderOf("jsonb")(Object.assign(new Map(), { toJSON: () => "m" }))).toBe('"m"');
	});
});

describe("a text that goes as it is", () => {
	it("is short, without control characters and surrogates", () => {
		const short = "x".repeat(48);
		expect([short, `${short}x`, "", " ", "ü"].map(isPlainText)).toEqual([true, false, true, true, true]);
		expect(["\x1f", "a\0", "\ud7ff", "\ud800", "\udfff", "\ue000"].map(isPlainText)).toEqual([false, false, true, false, false, true]);
	});

	it("is taken by scalars, not by JSON, bytes and lists", () => {
		const types = ["text", "int4", "time", "date", "numeric", "app.mood", "json", "jsonb", "bytea", "text[]"];
		expect(types.filter((type) => takesText(encoderOf(type)))).toEqual(["text", "int4", "time", "date", "numeric", "app.mood"]);
	});
});
