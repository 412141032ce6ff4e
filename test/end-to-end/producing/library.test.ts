/** PocKaffe in another program's process: the example of the handbook, as it stands there. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, inject, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { awaitTopic, createTopic } from "../../../src/kafka/topics.ts";
import { kafkaAt } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { isAboutAddon } from "../../support/project/with-addon.ts";

const example = new URL("../../../config/example-library.mjs", import.meta.url).pathname;

describeOnKafka("the library", () => {
	it("produces, brings it into a table, tells how it is, and stops: config/example-library.mjs", async () => {
		await using db = await createTestDatabase();
		const [brokers, topic, group] = [inject("kafkaBrokers"), uniqueName("greetings"), uniqueName("g")];
		await createTopic(kafkaAt(brokers), { name: topic, partitions: 3, replication: 1 });
		await awaitTopic(kafkaAt(brokers), systemClock, topic, 3);
		const { stdout, stderr } = await promisify(execFile)(process.execPath, [example, brokers, db.url, topic, group]);
		const lines = stdout.trim().split("\n");
		expect(lines.filter((line) => !(line.startsWith("{") && isAboutAddon(JSON.parse(line).msg)))).toEqual([
			expect.stringMatching(/^one went to partition \d, offset 0$/),
			"ready: true",
			"drained: true",
		]);
		expect(stderr).toBe("");
		const rows = await db.database.query("select id, words from greetings order by id");
		expect(rows).toEqual([
			{ id: "cs", words: "Dobré ráno" },
			{ id: "de", words: "Guten Morgen" },
			{ id: "en", words: "Good morning" },
		]);
	});
});
