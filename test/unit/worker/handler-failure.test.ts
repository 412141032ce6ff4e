/** What is kept of anything that a handler throws. */
import { expect, it } from "vitest";
import { failureOf } from "../../../src/worker/inside/handler-failure.ts";

const LONGEST = 8_000;

it("an error is kept with its cause", () => {
	const error = new TypeError("no row", { cause: new RangeError("too far") });
	expect(failureOf("exception", error)).toEqual({
		kind: "exception",
		name: "TypeError",
		message: "no row (caused by RangeError: too far)",
		stack: error.stack,
	});
});

it("what is too long is kept from its beginning on, and what just fits as it is", () => {
	const [fits, tooLong] = [`b${"m".repeat(LONGEST - 2)}e`, `b${"m".repeat(LONGEST - 2)}ef`];
	const keptOf = (text: string) => {
		const { name, message, stack } = failureOf("exception", Object.assign(new Error(text), { name: text, stack: text }));
		return [name, message, stack];
	};
	expect(keptOf(fits)).toEqual([fits, fits, fits]);
	expect(keptOf(tooLong)).toEqual(Array(3).fill(`${fits}…`));
});

it.each([
	["a text", "secret", "a string"],
	["an object", { secret: 1 }, "an object"],
	["nothing", undefined, "undefined"],
	["null", null, "null"],
	["a number", 42, "42"],
])("%s that was thrown is no error, and its content is not shown", (_, thrown, words) => {
	expect(failureOf("init", thrown)).toEqual({ kind: "init", name: "NonError", message: `threw ${words} instead of an Error`, stack: null });
});

it("an error that can't be read is one all the same", () => {
	const error = new Error("no");
	const unreadable = {
		get: () => {
			throw new Error("again");
		},
	};
	Object.defineProperties(error, { stack: unreadable, message: unreadable, name: unreadable });
	expect(failureOf("exception", error)).toEqual({
		kind: "exception",
		name: "Error",
		message: "an error whose message can't be read",
		stack: null,
	});
});
