/** Durations of the configuration: each has its bounds, so that none is longer than a timer holds, or than anybody means. */
import { describe, expect, it } from "vitest";
import { allOptions } from "../../../src/config/schema/describe-options.ts";
import { configSchema } from "../../../src/config/schema/schema.ts";

/** Compared with a message's timestamp, and never waited for. */
const compared = /maxFutureMs$/;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const durations = allOptions()
	.map(({ path }) => path.join("."))
	.filter((name) => name.endsWith("Ms"));

/** What the schema says of one option with this value; null for nothing. */
function problemOf(name: string, value: unknown): string | null {
	const path = name.replace("<name>", "events").split(".");
	const nested = path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
	const { error } = configSchema.safeParse(nested);
	return error ? (error.issues[0]?.message ?? null) : null;
}

describe("a duration", () => {
	it("is every option whose name ends like one", () => {
		expect(durations.length).toBeGreaterThan(10);
		expect(durations).toContain("supervisor.maxBackoffMs");
		expect(durations).toContain("tables.<name>.cas.maxFutureMs");
	});

	it.each(durations)("%s is a whole number within bounds that its message names", (name) => {
		const least = problemOf(name, 0) === null ? 0 : 1;
		expect(problemOf(name, least)).toBe(null);
		const message = problemOf(name, -1) ?? "";
		const [, from, to] = /^milliseconds: a whole number from ([01]) to (\d+) \(an? [a-z ]+\)$/.exec(message) ?? [];
		expect([Number(from), problemOf(name, Number(to))]).toEqual([least, null]);
		for (const value of [least - 1, 1.5, "soon", Number(to) + 1, Number.MAX_SAFE_INTEGER, 1e300])
			expect([value, problemOf(name, value)]).toEqual([value, message]);
	});

	it.each(durations.filter((name) => !compared.test(name)))("%s is never longer than a timer holds", (name) => {
		expect(problemOf(name, LONGEST_TIMER_MS)).not.toBe(null);
	});
});
