/** `npm run chaos -- --minutes N --seed S [--rate R]`: see chaos.ts. Exit code 1 if anything was found. */
import { kafkaMissing } from "../support/kafka/kafka-server.ts";
import { scriptOptions } from "../support/script-options.ts";
import { runChaos } from "./chaos.ts";

const usage = `type: npm run chaos -- --minutes 5 --seed 1 --rate 1000
Kills, freezes, replaces and cuts off three daemons, a real Kafka and a real Postgres, and runs verify at the end.
--seed: what happens and when; by default another one each time. --rate: messages per second.`;
const values = scriptOptions(usage, {
	minutes: { type: "string", default: "5" },
	seed: { type: "string", default: String(Date.now() % 1_000_000) },
	rate: { type: "string", default: "1000" },
});
const [minutes, seed, perSecond] = [Number(values.minutes), Number(values.seed), Number(values.rate)];
if (![minutes, seed, perSecond].every((value) => Number.isFinite(value) && value >= 0)) {
	console.error(usage);
	process.exit(2);
}
const missing = await kafkaMissing();
if (missing) {
	console.error(missing);
	process.exit(2);
}
const result = await runChaos({ seconds: minutes * 60, seed, perSecond, say: (line) => console.error(line) });
console.log(JSON.stringify(result, null, 1));
process.exit(result.findings.length > 0 ? 1 : 0);
