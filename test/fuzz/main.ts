/**
 * `npm run fuzz -- --minutes N [--seed S] [--target NAME]`: each target for N minutes, one seed after the other. Prints the seed of what
 * went wrong; `--seed` runs that one again, alone. Exit code 1 if anything went wrong.
 */
import { scriptOptions } from "../support/script-options.ts";
import { Chance } from "./chance.ts";
import { targets } from "./targets.ts";

const usage = `type: npm run fuzz -- --minutes 60 [--seed 7] [--target ${Object.keys(targets).join(" | ")}]
--minutes: for each target; by default 1. --seed: only this one, to repeat a finding. --target: only this one.`;
const values = scriptOptions(usage, { minutes: { type: "string", default: "1" }, seed: { type: "string" }, target: { type: "string" } });
const minutes = Number(values.minutes);
const names = Object.keys(targets).filter((name) => values.target === undefined || name === values.target);
if (!(minutes > 0) || names.length === 0) {
	console.error(usage);
	process.exit(2);
}
let failures = 0;
for (const name of names) {
	await using target = await (targets[name] as (typeof targets)[string])();
	const until = performance.now() + minutes * 60_000;
	let seeds = 0;
	for (let seed = Number(values.seed ?? 1); performance.now() < until; seed++) {
		seeds++;
		try {
			await target.run(new Chance(seed));
		} catch (error) {
			failures++;
			console.log(`${name}, seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
			break;
		}
		if (values.seed !== undefined) break;
	}
	console.log(JSON.stringify({ target: name, seeds }));
}
process.exit(failures > 0 ? 1 : 0);
