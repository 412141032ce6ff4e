/** A short run of the chaos on daemons and servers; `npm run chaos -- --minutes 60` is for the night. */
import { expect, it } from "vitest";
import { runChaos } from "../../chaos/chaos.ts";
import { describeOnKafka } from "../../support/kafka/real-kafka.ts";

const SECONDS = 40;

describeOnKafka("chaos on daemons, broker and database", () => {
	it.each([1])("leaves the table as the log says (seed %i)", async (seed) => {
		const said: string[] = [];
		const result = await runChaos({ seconds: SECONDS, seed, perSecond: 500, say: (line) => said.push(line) });
		expect(result.findings, `${said.join("\n")}\nlogs in ${result.folder}`).toEqual([]);
		expect(result.counts?.matched).toBeGreaterThan(5_000);
	});
});
