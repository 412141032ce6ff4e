/** A few seeds of each kind of input; `npm run fuzz -- --minutes N` goes on. */
import { expect, it } from "vitest";
import { Chance } from "../../fuzz/chance.ts";
import { targets } from "../../fuzz/targets.ts";

const SEEDS = 300;

it.each(Object.keys(targets))("%s: whatever comes, no crash, and an answer in words", async (name) => {
	await using target = await (targets[name] as (typeof targets)[string])();
	for (let seed = 1; seed <= SEEDS; seed++) {
		try {
			await target.run(new Chance(seed));
		} catch (error) {
			expect.fail(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
		}
	}
});
