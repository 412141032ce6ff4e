import { isLosslessNumber } from "lossless-json";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/core/random.ts";
import { handleMessage, init } from "../../../src/worker/inside/json/json-handler.ts";
import { wholeNumber } from "../../../src/worker/inside/rows/whole-number.ts";
import { layoutOf } from "../../support/fakes/row-submissions.ts";

const layout = layoutOf({ columns: [] });
const parts = { tables: [layout], lanes: 1, maxBytes: 1e6 };
const info = { topic: "t", partition: 0, purpose: "run", tables: [layout.name] } as const;
const state = init(info, {}, parts);

/** The fields that a value becomes. */
function fieldsOf(json: string): Record<string, unknown> {
	const value = Buffer.from(json);
	const message = { topic: "t", partition: 0, offset: 0, key: Buffer.from("k"), value, ts: 0, tsType: "create" as const, headers: [] };
	return (handleMessage(message, state) as unknown as { fields: Record<string, unknown> }).fields;
}

/** The text that a number of a message has when it reaches the row, wherever it stands. */
function textOf(number: string): string {
	const spellings = [`{"n":${number}}`, `{"n": ${number} }`, `{"n":\n${number},"m":1}`, `{"a":[${number}]}`, `{"a":[0,\t${number}\r\n]}`];
	const texts = spellings.map((json) => {
		const { n, a } = fieldsOf(json);
		const value = n ?? (a as unknown[]).at(-1);
		return isLosslessNumber(value) ? value.value : String(value);
	});
	const [first = "", ...others] = texts;
	for (const other of others) expect(other).toBe(first);
	return first;
}

describe("pockaffe:json", () => {
	it.each([
		..."0 -0 -0.0 0.0 -1 -0.5 12.5 1.50 10 100 10.0 0.1 0.000001 0.0000012 0.0000001 0.00000012345 1e5 1E-7 5e-324 1.7e308 1e400".split(
			" ",
		),
		..."123456789012345 1234567890123456 9007199254740993 12345678901.1234 12345678901.12345 0.123456789012345 0.1234567890123456".split(
			" ",
		),
	])("leaves the number %s as it is written", (number) => {
		expect(textOf(number)).toBe(number);
	});

	it("leaves any other number as it is written, too", () => {
		const random = seededRandom(7);
		const digits = (most: number) => Array.from({ length: 1 + Math.floor(random() * most) }, () => Math.floor(random() * 10)).join("");
		for (let i = 0; i < 10_000; i++) {
			const whole = random() < 0.3 ? "0" : digits(random() < 0.8 ? 9 : 25).replace(/^0+(?=\d)/, "");
			const fraction = random() < 0.7 ? `.${random() < 0.3 ? "0".repeat(Math.floor(random() * 9)) : ""}${digits(12)}` : "";
			const number = `${random() < 0.3 ? "-" : ""}${whole}${fraction}`;
			expect(textOf(number)).toBe(number);
		}
	});

	it("takes no date, uuid or hexadecimal text for a number that needs care", () => {
		const at = "2026-01-01T10:00:00.120Z";
		const texts = { at, day: "2026-10-05", id: "550e8400-e29b-41d4-a716-446655440000", hash: "3e4f5e60", card: "4111111111111111" };
		expect(fieldsOf(JSON.stringify({ n: 1.5, ...texts }))).toEqual({ n: 1.5, ...texts });
	});

	it("rejects bytes that are not UTF-8, and takes the replacement character that is", () => {
		const message = (value: Buffer, key: Buffer) => ({
			...{ topic: "t", partition: 0, offset: 0, ts: 0, tsType: "create" as const, headers: [] },
			...{ key, value },
		});
		const [bad, good] = [Buffer.from([0x7b, 0xff, 0x7d]), Buffer.from('{"a":"\ufffd"}')];
		expect(handleMessage(message(bad, Buffer.from("k")), state)).toEqual({ reject: "the value is not UTF-8" });
		expect(handleMessage(message(good, Buffer.from("\ufffd")), state)).toEqual({ id: "\ufffd", fields: { a: "\ufffd" } });
		const noKey = "the message has no key (UTF-8 text) to be the id, and options.id names no field";
		expect(handleMessage(message(good, bad), state)).toEqual({ reject: noKey });
	});

	/** Why a value is rejected; null: it is not. */
	const rejection = (value: Buffer | string): string | null => {
		const message = { topic: "t", partition: 0, offset: 0, key: Buffer.from("k"), ts: 0, tsType: "create" as const, headers: [] };
		const outcome = handleMessage({ ...message, value: Buffer.from(value) }, state) as { reject?: string };
		return outcome.reject ?? null;
	};

	it("names what stands before the JSON: a byte order mark, a serializer's frame", () => {
		expect(rejection('\ufeff{"a":1}')).toBe("the value begins with a byte order mark (EF BB BF), which JSON must not");
		expect(rejection(Buffer.from('\ufeff{"a":1}', "utf16le"))).toBe("the value begins with a byte order mark of UTF-16: JSON is UTF-8");
		const framed = Buffer.concat([Buffer.from([0, 0, 0, 1, 2]), Buffer.from([0x80, 0xff])]);
		expect(rejection(framed)).toBe(
			"the value begins with the frame of Confluent's serializers (a zero byte, schema 258): pockaffe:json reads plain JSON",
		);
		expect([rejection("\0{}"), rejection(Buffer.from([0xef, 0xbb]))]).toEqual(["the value is not JSON", "the value is not UTF-8"]);
	});

	it.each([
		["[", "]"],
		['{"a":', "}"],
	])("reads 1,000 levels of %s, and says that more are too deep", (open, close) => {
		const nested = (levels: number) => `{"doc":${open.repeat(levels - 1)}1e5${close.repeat(levels - 1)}}`;
		const tooDeep = "the value is nested too deep: more than 1,000 levels";
		expect([1_000, 1_001, 20_000, 100_000].map((levels) => rejection(nested(levels)))).toEqual([null, tooDeep, tooDeep, tooDeep]);
		expect(rejection(JSON.stringify({ text: `\\"${open.repeat(5_000)}` }))).toBeNull();
	});
});

describe("an integer of JSON", () => {
	it.each([
		..."1.0=1 1e3=1000 1E+3=1000 -1.50e1=-15 0.0=0 -0.0=0 0e9=0 100e-2=1 123456789012345678e1=1234567890123456780".split(" "),
		..."1=1 -5=-5 007=007 1.5=1.5 1e-1=1e-1 0.10=0.10 1e19=1e19 1e400=1e400 x=x 1.=1. =".split(" "),
	])("in digits: %s", (pair) => {
		const [text = "", digits = ""] = pair.split("=");
		expect(wholeNumber(text)).toBe(digits);
	});
});
