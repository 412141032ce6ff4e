/** A few hundred runs of the simulation; `npm run simulate -- --seeds 100000` is for the night. */
import { describe, expect, it } from "vitest";
import { simulate } from "./simulation.ts";

const SEEDS = 300;
const IN_A_TEST = 50;

describe("the delivery, simulated", () => {
	it.each(Array.from({ length: SEEDS / IN_A_TEST }, (_, i) => 1 + i * IN_A_TEST))("loses nothing, from seed %i on", async (from) => {
		for (let seed = from; seed < from + IN_A_TEST; seed++) await simulate(seed);
	});

	it("nor where rows wait for a parent from another partition", async () => {
		for (let seed = 1; seed <= 40; seed++) await simulate(seed, ["parents elsewhere"]);
	});

	it("nor where the rows of one message land together", async () => {
		for (let seed = 1; seed <= 30; seed++) await simulate(seed, ["together", "references", "addresses"]);
	});

	it("nor where handlers produce: no offset before the broker has the records, and each partition's come in its order", async () => {
		for (let seed = 1; seed <= 40; seed++) await simulate(seed, ["records"]);
	});

	it("nor where the client brings messages again", async () => {
		for (let seed = 1; seed <= 30; seed++) await simulate(seed, ["repeats"]);
	});

	it("nor where messages take the process with them: they become dead letters, and nobody else does", async () => {
		for (let seed = 1; seed <= 20; seed++) await simulate(seed, ["deadly"]);
	});

	it("nor where the handler's module or init does: no message is charged with that", async () => {
		for (let seed = 1; seed <= 20; seed++) await simulate(seed, ["deadly beginnings"]);
	});

	it("is the same run each time for the same seed", async () => {
		const [first, second] = [await simulate(7), await simulate(7)];
		expect(second).toEqual(first);
		expect(await simulate(8)).not.toEqual({ ...first, seed: 8 });
	});
});
