import { expect, it } from "vitest";
import { withoutValues } from "../../../src/core/text/without-values.ts";
import { keyText } from "../../../src/worker/failures/crash-report.ts";

function messageOf(read: () => unknown): string {
	try {
		read();
		return "";
	} catch (error) {
		return (error as Error).message;
	}
}

it.each([
	["a short text", () => JSON.parse("hello secret")],
	["a long text", () => JSON.parse(`{"a": hello secret${"x".repeat(100)}`)],
	["a text with quotes", () => JSON.parse('hello secret "value"')],
	["a text of lines", () => JSON.parse("hello\n secret\n")],
	["a quote", () => JSON.parse('"')],
	["something behind the end", () => JSON.parse('{"hello":1} secret')],
	["a number", () => BigInt("hello secret")],
])("what the language quotes of a value is left out: %s", (_, read) => {
	const message = messageOf(read);
	expect(message).not.toBe("");
	expect(withoutValues(`${message}, and more`)).not.toMatch(/hello|secret/);
	expect(withoutValues(`Error: ${message}\n    at handler.mjs:1:1`)).toMatch(/at handler\.mjs:1:1$/);
});

it("the handler's own words stay as they are", () => {
	expect([withoutValues('an "order" is not valid'), withoutValues(null)]).toEqual(['an "order" is not valid', null]);
});

it("a key is shown as text, or as base64, and cut", () => {
	expect([keyText(null), keyText(Buffer.from("ä")), keyText(Buffer.from([0xff])), keyText(Buffer.from("a\n"))]).toEqual([
		null,
		"ä",
		"base64:/w==",
		"base64:YQo=",
	]);
	expect(keyText(Buffer.from("x".repeat(500)))).toHaveLength(121);
});
