/**
 * `npm run simulate -- --seeds N [--from S] | --seed S`: see simulation.ts. Prints the seeds that fail; exit code 1 if one does. `--kinds
 * a,b` forces kinds of scenarios (drawScenario); `--until CODE` goes on to the first seed that breaks this invariant.
 */
import { messageOf } from "../../src/core/errors.ts";
import { scriptOptions } from "../support/script-options.ts";
import { simulate } from "./simulation.ts";
import { Violation } from "./world.ts";

const usage = `type: npm run simulate -- --seeds 1000 [--from 1] [--keep-going] [--kinds a,b] [--until CODE], or --seed 42
Runs the real delivery code with simulated Kafka, threads, database and clocks, once per seed, and stops at the first seed that fails.
--from: the first seed. --keep-going: also after a failure. --kinds: force these kinds of scenarios.
--until: go on to the first seed that breaks this invariant. --seed: only this one.`;
const values = scriptOptions(usage, {
	seeds: { type: "string", default: "1000" },
	from: { type: "string", default: "1" },
	seed: { type: "string" },
	kinds: { type: "string", default: "" },
	until: { type: "string" },
	"keep-going": { type: "boolean", default: false },
});
const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
if (!Number.isInteger(from) || !Number.isInteger(count)) {
	console.error(usage);
	process.exit(2);
}
const kinds = values.kinds.split(",").filter(Boolean);
const begunAt = performance.now();
const failures: Record<string, number> = {};
let messages = 0;
for (let seed = from; seed < from + count; seed++) {
	try {
		const summary = await simulate(seed, kinds);
		messages += summary.messages;
		if (values.seed !== undefined) console.log(JSON.stringify(summary));
	} catch (error) {
		const code = error instanceof Violation ? error.code : "crash";
		failures[code] = (failures[code] ?? 0) + 1;
		console.log(messageOf(error));
		if (values.until === undefined ? !values["keep-going"] : code === values.until) break;
	}
	if ((seed - from + 1) % 10_000 === 0) console.error(`${seed - from + 1} seeds`);
}
const seconds = (performance.now() - begunAt) / 1000;
console.log(JSON.stringify({ from, seeds: count, failures, messages, seconds: Math.round(seconds) }));
process.exit(Object.keys(failures).length > 0 ? 1 : 0);
