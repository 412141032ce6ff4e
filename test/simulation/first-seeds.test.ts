/** The first runs of the simulation, for each save of a file; `npm test` has hundreds (simulation.test.ts). */
import { it } from "vitest";
import { simulate } from "./simulation.ts";

const SEEDS = 25;

it(`loses nothing (${SEEDS} seeds)`, async () => {
	for (let seed = 1; seed <= SEEDS; seed++) await simulate(seed);
});
