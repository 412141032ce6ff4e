/** Tables that are prepared one after the other: which failures keep others from it. */
import { expect, it } from "vitest";
import { eachPrepared } from "../../../../src/sink/tables/each-prepared.ts";

async function prepared(...codes: readonly (string | null)[]) {
	const done: number[] = [];
	const steps = codes.map((code, at) => async () => {
		done.push(at);
		if (code !== null) throw Object.assign(new Error(code), { code });
	});
	const met = await eachPrepared(steps).then(
		() => null,
		(error: Error) => error.message,
	);
	return [done, met];
}

it("all are tried where some can't be prepared, and the first error is told", async () => {
	expect(await prepared(null, null)).toEqual([[0, 1], null]);
	expect(await prepared(null, "42704", "42501", null)).toEqual([[0, 1, 2, 3], "42704"]);
});

it.each(["ECONNREFUSED", "57P03"])("none is tried behind one that finds the database away (%s)", async (code) => {
	expect(await prepared("42704", code, null)).toEqual([[0, 1], code]);
});
