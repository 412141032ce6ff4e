import { isLosslessNumber } from "lossless-json";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/core/random.ts";
import { handleMessage } from "../../src/worker/json/json-handler.ts";

/** The fields that a value becomes. */
function fieldsOf(json: string): Record<string, unknown> {
	const value = Buffer.from(json);
	const message = { topic: "t", partition: 0, offset: 0, key: Buffer.from("k"), value, ts: 0, tsType: "create" as const, headers: [] };
	return (handleMessage(message, { idField: null, table: undefined }) as unknown as { fields: Record<string, unknown> }).fields;
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
		const state = { idField: null, table: undefined };
		const [bad, good] = [Buffer.from([0x7b, 0xff, 0x7d]), Buffer.from('{"a":"\ufffd"}')];
		expect(handleMessage(message(bad, Buffer.from("k")), state)).toEqual({ reject: "the value is not UTF-8" });
		expect(handleMessage(message(good, Buffer.from("\ufffd")), state)).toEqual({ id: "\ufffd", fields: { a: "\ufffd" } });
		expect(handleMessage(message(good, bad), state)).toHaveProperty("reject");
	});
});
