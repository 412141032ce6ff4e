/** A letters topic that somebody else made: what Kafka would do to the letters in it is told by check and by a run, on real servers. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { createTopicWith, deleteTopic, kafkaAt, removeTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { withAddon } from "../../support/project/with-addon.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

describeOnKafka("a letters topic that is there already", () => {
	const brokers = inject("kafkaBrokers");
	const topic = uniqueName("source");
	let db: TestDatabase;
	let folder: Awaited<ReturnType<typeof temporaryFolder>>;

	beforeAll(async () => {
		[db, folder] = await Promise.all([createTestDatabase(), temporaryFolder()]);
		await createTopicWith(brokers, { name: topic, partitions: 1 }, { "max.message.bytes": "3000000" });
	});
	afterAll(async () => {
		await db?.[Symbol.asyncDispose]();
		await folder?.[Symbol.asyncDispose]();
	});

	const configFor = (letters: string) => ({
		kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
		handler: { module: "pockaffe:json" },
		database: { url: db.url },
		tables: { events: { columns: { name: "text" }, create: true } },
		deadLetters: { target: "topic", topic: letters },
	});

	async function found(letters: string, env: Record<string, string> = {}) {
		await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(configFor(letters)));
		const { stdout, code } = await pockaffe(["check", "--json"], { cwd: folder.path, env });
		const all = JSON.parse(stdout) as { item: string; result: string; detail: string }[];
		return { code, letters: all.filter(({ item }) => item === `dead letters ${letters}`).map(({ result, detail }) => [result, detail]) };
	}

	it("is told by check: compacted as a failure, short-lived and too small as warnings, and one that fits as that", withAddon, async () => {
		const [compacted, brief, fitting] = [uniqueName("compacted"), uniqueName("brief"), uniqueName("fitting")];
		await createTopicWith(
			brokers,
			{ name: compacted, partitions: 1 },
			{ "cleanup.policy": "compact", "retention.ms": "-1", "max.message.bytes": "3000000" },
		);
		// As Kafka's default is; of the size, the broker's own.
		await createTopicWith(brokers, { name: brief, partitions: 1 }, { "retention.ms": "604800000" });
		await createTopicWith(brokers, { name: fitting, partitions: 1 }, { "retention.ms": "-1", "max.message.bytes": "3000000" });
		expect(await found(compacted)).toEqual({
			code: 1,
			letters: [
				["failed", expect.stringMatching(/^it has cleanup\.policy=compact: .*--entity-name \S+ --add-config cleanup\.policy=delete$/)],
			],
		});
		expect(await found(brief)).toEqual({
			code: 0,
			letters: [
				[
					"warning",
					expect.stringMatching(/^Kafka deletes its letters after 7 days \(retention\.ms=604800000\), open or not; .* retention\.ms=-1$/),
				],
				[
					"warning",
					expect.stringMatching(
						new RegExp(`^it takes records of up to 10485\\d\\d bytes .* ${topic} messages of up to 3000000: .*=3000000$`),
					),
				],
			],
		});
		expect(await found(fitting)).toEqual({ code: 0, letters: [["ok", "the topic is there, and keeps letters for ever"]] });
		expect(await found(compacted, { POCKAFFE_NATIVE: "off" })).toEqual({
			code: 0,
			letters: [["warning", expect.stringMatching(/is not known: without the addon Kafka can't be asked$/)]],
		});
	});

	it(
		"and is compacted gets no letter: the daemon is not ready and says why, and goes on with a topic that keeps them",
		withAddon,
		async () => {
			const letters = uniqueName("compacted");
			await createTopicWith(brokers, { name: letters, partitions: 1 }, { "cleanup.policy": "compact" });
			await using producer = await Producer.connect(kafkaAt(brokers));
			await producer.produce({ topic, key: "a", value: "no JSON" });
			await producer.produce({ topic, key: "b", value: '{"name":"x"}' });
			await using daemon = await runDaemon(folder.path, configFor(letters));
			await notReadyFor(daemon, "dead_letter_target", /cleanup\.policy=compact: .* cleanup\.policy=delete/);
			await waitFor("the row behind it", async () => (await db.database.query("select 1 from events")).length === 1);
			expect(await daemon.metric("pockaffe_dead_letters_total")).toBe(0);
			// The daemon makes one that keeps letters, at once.
			await removeTopic(brokers, letters);
			await waitFor("the letter", async () => (await daemon.metric("pockaffe_dead_letters_total")) === 1);
			await daemon.ready();
			expect((await found(letters)).letters).toEqual([["ok", "the topic is there, and keeps letters for ever"]]);
			expect(await daemon.stop()).toBe(0);
		},
	);

	it("and is short-lived takes letters, and a run tells it once", withAddon, async () => {
		const letters = uniqueName("brief");
		await createTopicWith(brokers, { name: letters, partitions: 1 }, { "retention.ms": "604800000", "max.message.bytes": "3000000" });
		await using producer = await Producer.connect(kafkaAt(brokers));
		await producer.produce({ topic, key: "a", value: "no JSON" });
		await using daemon = await runDaemon(folder.path, configFor(letters));
		await waitFor("the letter", async () => (await daemon.metric("pockaffe_dead_letters_total")) > 0);
		const told = () => daemon.records.filter(({ msg }) => msg.startsWith(`dead letters go to topic ${letters}: `));
		await daemon.record("its life is short", ({ msg }) => /after 7 days \(retention\.ms=604800000\), open or not/.test(msg));
		expect(told()).toMatchObject([{ level: "warn" }]);
		expect(await daemon.stop()).toBe(0);
	});

	it("and is deleted while letters come: the daemon makes it anew for the next one", withAddon, async () => {
		const letters = uniqueName("deleted");
		const source = uniqueName("source");
		await createTopicWith(brokers, { name: source, partitions: 1 }, {});
		await using producer = await Producer.connect(kafkaAt(brokers));
		const config = configFor(letters);
		await using daemon = await runDaemon(folder.path, { ...config, kafka: { ...config.kafka, topics: [source] } });
		await daemon.ready();
		await producer.produce({ topic: source, key: "a", value: "no JSON" });
		await waitFor("the first letter", async () => (await daemon.metric("pockaffe_dead_letters_total")) === 1);
		await deleteTopic(brokers, letters);
		await producer.produce({ topic: source, key: "b", value: "no JSON either" });
		await waitFor("the second letter", async () => (await daemon.metric("pockaffe_dead_letters_total")) === 2);
		const { stdout } = await pockaffe(["dead-letters", "list", "--json"], { cwd: folder.path });
		expect(
			stdout
				.trim()
				.split("\n")
				.map((line) => JSON.parse(line).key),
		).toEqual(["b"]);
		expect(await daemon.stop()).toBe(0);
	});
});
