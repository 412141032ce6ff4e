import { isLosslessNumber } from "lossless-json";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/core/random.ts";
import { handleMessage } from "../../src/worker/json-handler.ts";

/** The text that a number of a message has when it reaches the row. */
function textOf(number: string): string {
	const value = Buffer.from(`{"n":${number}}`);
	const message = { topic: "t", partition: 0, offset: 0, key: Buffer.from("k"), value, ts: 0, tsType: "create" as const, headers: [] };
	const { fields } = handleMessage(message, { idField: null, table: undefined }) as unknown as { fields: { n: unknown } };
	return isLosslessNumber(fields.n) ? fields.n.value : String(fields.n);
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
		for (let i = 0; i < 20_000; i++) {
			const whole = random() < 0.3 ? "0" : digits(random() < 0.8 ? 9 : 25).replace(/^0+(?=\d)/, "");
			const fraction = random() < 0.7 ? `.${random() < 0.3 ? "0".repeat(Math.floor(random() * 9)) : ""}${digits(12)}` : "";
			const number = `${random() < 0.3 ? "-" : ""}${whole}${fraction}`;
			expect(textOf(number)).toBe(number);
		}
	});
});
