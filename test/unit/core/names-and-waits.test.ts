/** Small pure things of core: waits, names of hosts, topics and failures, joined texts. */
import { describe, expect, it } from "vitest";
import { equalJitter, exponentialBackOff, fullJitter } from "../../../src/core/exponential-back-off.ts";
import { isAlive } from "../../../src/core/is-alive.ts";
import { isLoopbackName } from "../../../src/core/loopback.ts";
import { isTopicMeant } from "../../../src/core/messages/message.ts";
import { joinTexts, repeatText, splitTexts, usualSeparators } from "../../../src/core/rows/joined-texts.ts";
import { laneOf } from "../../../src/core/rows/rows.ts";
import { counted } from "../../../src/core/text/counted.ts";
import { failureName } from "../../../src/core/text/failure-name.ts";
import { isDeeperThan } from "../../../src/core/text/nesting.ts";
import { withoutValues } from "../../../src/core/text/without-values.ts";
import { lifetime } from "../../../src/core/waiting/lifetime.ts";

it("a back-off doubles from its least to its most, and jitter is the whole of it or its upper half", () => {
	const bounds = { minMs: 100, maxMs: 1_000 };
	expect([-1, 0, 1, 2, 3, 4, 5, 5_000].map((failures) => exponentialBackOff(failures, bounds))).toEqual([
		0, 0, 100, 200, 400, 800, 1_000, 1_000,
	]);
	expect(exponentialBackOff(3, { minMs: 100, maxMs: 50 })).toBe(50);
	expect([0, 0.5, 0.75].map((chance) => fullJitter(2, bounds, () => chance))).toEqual([0, 100, 150]);
	expect([0, 0.5, 1].map((chance) => equalJitter(2, bounds, () => chance))).toEqual([100, 150, 200]);
});

describe("a host's name means this machine", () => {
	it.each(["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1", "[0:0:0:0:0:0:0:1]"])("%s", (name) => {
		expect(isLoopbackName(name)).toBe(true);
	});

	it.each(["0.0.0.0", "::", "128.0.0.1", "10.0.0.1", "::2", "::ffff:10.0.0.1", "localhost.example", "example", "", "127.0.0.1.example"])(
		"but not %s",
		(name) => {
			expect(isLoopbackName(name)).toBe(false);
		},
	);
});

it("a topic is meant by its name, or by an expression", () => {
	expect([isTopicMeant("orders", "orders"), isTopicMeant("orders", "orders-2"), isTopicMeant("o.ders", "orders")]).toEqual([
		true,
		false,
		false,
	]);
	expect([isTopicMeant("^orders", "orders-2"), isTopicMeant("^orders$", "orders-2"), isTopicMeant("^x", "orders")]).toEqual([
		true,
		false,
		false,
	]);
});

it("texts that are joined are split again, nulls and empty ones as they were", () => {
	for (const values of [[], [""], [null], ["a", null, "", "b"], [null, null], ["", ""]]) {
		expect(splitTexts(joinTexts(values, usualSeparators), values.length, usualSeparators)).toEqual(values);
	}
	for (const count of [0, 1, 4]) {
		expect(splitTexts(repeatText("x", count, usualSeparators), count, usualSeparators)).toEqual(Array(count).fill("x"));
	}
});

it("one is one, and anything else is several", () => {
	expect([0, 1, 2].map((count) => counted(count, "row"))).toEqual(["0 rows", "1 row", "2 rows"]);
});

it("failures of one kind at one place have one name", () => {
	const named = (stack: string | null, message = "m", kind = "exception") =>
		failureName({ kind, error: { name: "TypeError", message, stack } });
	const at = (line: number, message = "m") => `TypeError: ${message}\n  more of it\n    at handle (a.mjs:${line}:1)\n    at b`;
	expect(named(at(3))).toBe("exception TypeError     at handle (a.mjs:3:1)");
	expect(named(at(3, "other"), "other")).toBe(named(at(3)));
	expect(
		new Set([named(at(3)), named(at(4)), named(null), named(null, "other"), named("no place"), named(at(3), "m", "timeout")]).size,
	).toBe(5);
});

it("depth is counted in levels of lists and maps", () => {
	expect([
		isDeeperThan(0, 1),
		isDeeperThan(0, [1]),
		isDeeperThan(1, [1]),
		isDeeperThan(1, { a: [1] }),
		isDeeperThan(2, { a: [null] }),
	]).toEqual([false, true, false, true, false]);
	expect([isDeeperThan(0, []), isDeeperThan(0, null)]).toEqual([false, false]);
});

it.each([
	[() => JSON.parse("SECRET"), "the text is not valid JSON"],
	[() => JSON.parse('{"a":SECRET}'), "the text is not valid JSON"],
	[() => JSON.parse('{"a":1} SECRET'), "JSON"],
	[() => BigInt("SECRET"), "the text is no BigInt"],
])("what the language quotes of a value is left out: %#", (fail, words) => {
	let quoted = "";
	try {
		fail();
	} catch (error) {
		quoted = (error as Error).message;
	}
	const message = withoutValues(quoted);
	expect(message).toContain(words);
	expect(message).not.toContain("SECRET");
	expect(withoutValues(`mine: ${quoted}, and more`)).toBe(`mine: ${message}, and more`);
});

it("a text that is missing stays so", () => {
	expect([withoutValues(null), withoutValues("own words")]).toEqual([null, "own words"]);
});

it("a process is alive or not, and what is no process's id is not", () => {
	// Of 0 and -1 Node would ask whole groups of processes.
	expect([process.pid, 1, 0, -1, 1.5, Number.NaN, 2 ** 30].map(isAlive)).toEqual([true, true, false, false, false, false, false]);
});

it("ids go to every lane, and always to the same", () => {
	const ids = Array.from({ length: 100 }, (_, number) => `id-${number}`);
	for (const lanes of [1, 2, 3]) {
		const found = ids.map((id) => laneOf(id, lanes));
		expect([...new Set(found)].sort()).toEqual(Array.from({ length: lanes }, (_, lane) => lane));
		expect(ids.map((id) => laneOf(id, lanes))).toEqual(found);
	}
});

it("any number of waits may hear of a life's end, and Node warns of none", async () => {
	const warnings: string[] = [];
	const warned = ({ name }: Error) => void warnings.push(name);
	process.on("warning", warned);
	const { signal } = lifetime();
	let heard = 0;
	for (let waits = 0; waits < 20; waits++) signal.addEventListener("abort", () => heard++);
	await new Promise((resolve) => setImmediate(resolve));
	process.off("warning", warned);
	expect([warnings, heard]).toEqual([[], 0]);
});
