/** From a message that fails to one that is mended: listed, shown, replayed under its own coordinates, or discarded. */
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { Producer } from "../../../src/kafka/producer.ts";
import { jsonLines, pockaffe } from "../../support/daemons/command-line.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { createTopicWith, kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const broken = `
	export function handleMessage({ key, value }) {
		const text = value.toString();
		if (text.startsWith("exit")) process.exit(1);
		if (text.startsWith("bad")) throw new TypeError("can't be handled yet");
		return { id: key?.toString() ?? "none", fields: { name: text, amount: text.startsWith("large") ? "9223372036854775808" : 1 } };
	}`;
const mended = `
	export const handleMessage = ({ key, value }) => value.toString() === "bad for ever"
		? Promise.reject(new Error("still \\u0000 bad"))
		: { id: key?.toString() ?? "none", fields: { name: "mended " + value, amount: 2 } };`;

describeOnKafka("dead letters", () => {
	it("are listed, shown, replayed without moving newer rows back, discarded and purged", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, brokers] = [uniqueName("letters"), inject("kafkaBrokers")];
		await loadTopic(brokers, { name: topic, partitions: 1 }, []);
		await using producer = await Producer.connect(kafkaAt(brokers));
		await writeFile(join(folder.path, "handler.mjs"), broken);
		const config = {
			kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
			handler: { module: "./handler.mjs", maxAttempts: 2, retryBackoffMs: 1 },
			supervisor: { minBackoffMs: 1, maxBackoffMs: 5 },
			database: { url: db.url },
			tables: { events: { columns: { name: "text", amount: "bigint" }, create: true } },
			http: { port: 0 },
		};
		await using daemon = await runDaemon(folder.path, config);
		const values = [
			["a", "bad a"],
			["b", "good b"],
			["c", "large c"],
			["d", "exit d"],
			["e", "bad e"],
			["e", "good e"],
			["f", "bad for ever"],
		] as const;
		for (const [key, value] of values) await producer.produce({ topic, key, value, headers: [["h", "ä"]] });
		await producer.produce({ topic, key: null, value: Buffer.from([0x62, 0x61, 0x64, 0xff]) });
		await waitFor("six letters", async () => (await daemon.metric("pockaffe_dead_letters_total")) === 6);
		expect(await daemon.stop()).toBe(0);

		const run = (...args: string[]) => pockaffe(["dead-letters", ...args, "-c", "pockaffe.yaml"], { cwd: folder.path });
		const listed = await run("list", "--json");
		expect(jsonLines(listed.stdout)).toMatchObject([
			{
				topic,
				partition: 0,
				offset: 0,
				reason: "poison",
				attempts: 2,
				state: "open",
				key: "a",
				value: "bad a",
				headers: [["h", "ä"]],
				error: "can't be handled yet",
			},
			{ offset: 2, reason: "row_fault", sqlstate: "22003", table: "events", rowId: "c" },
			{ offset: 3, reason: "poison", error: expect.stringContaining("process.exit(1)") },
			{ offset: 4, reason: "poison" },
			{ offset: 6, reason: "poison" },
			{ offset: 7, key: null, value: { base64: "YmFk/w==" } },
		]);
		expect((await run("list", "--reason", "row_fault")).stdout).toMatch(
			new RegExp(`^TOPIC.*\\n${topic}\\s+0\\s+2\\s+row_fault\\s+22003\\s+open`),
		);
		expect((await run("show", topic, "0", "0")).stdout).toMatch(/error\s+can't be handled yet[\s\S]*stack\s+TypeError[\s\S]*value\s+bad a/);
		expect(await run("show", topic, "0", "1")).toMatchObject({ code: 1, stderr: expect.stringContaining("there is no dead letter") });
		expect(await run("replay")).toMatchObject({ code: 2, stderr: expect.stringContaining("say which: --all") });
		for (const verb of [["replay"], ["discard", "--yes"], ["discard", "--purge", "--yes"]]) {
			expect(await run(...verb, "--topic", "nope")).toMatchObject({
				code: 1,
				stdout: "",
				stderr: expect.stringContaining(`matches: topic nope has no letters; the group has ${topic}: 6 open`),
			});
		}
		expect((await run("list", "--topic", "nope")).stderr).toContain("topic nope has no letters");
		expect((await run("replay", "--all", "--dry-run")).stdout).toBe(
			`Would replay 6 letters (${topic}: 6 open). Nothing was changed (--dry-run).\n`,
		);
		const two = await run("list", "--limit", "2", "--json");
		expect([jsonLines(two.stdout).length, two.stderr]).toEqual([2, "2 of 6 letters: --limit all lists every one.\n"]);
		expect([jsonLines((await run("list", "--limit", "all", "--json")).stdout).length, listed.stderr]).toEqual([6, ""]);
		// Open ones are not deleted by a word that is meant for all.
		expect((await run("discard", "--all", "--purge", "--yes")).stdout).toBe("0 deleted.\n");

		await writeFile(join(folder.path, "handler.mjs"), "export const nothing = 1;");
		expect(await run("replay", "--all")).toMatchObject({ code: 1, stderr: expect.stringContaining("nothing was replayed") });
		await writeFile(join(folder.path, "handler.mjs"), mended);
		await db.database.query("alter table events rename to elsewhere");
		expect(await run("replay", "--offset", "0")).toMatchObject({
			code: 1,
			stderr: expect.stringMatching(/^(?!.*goes on by itself).*rows of events can't be written: .*does not exist.*stay as they are/),
		});
		await db.database.query("alter table elsewhere rename to events");
		const replayed = await run("replay", "--all");
		expect([replayed.code, replayed.stdout.trim().split("\n").at(-1)]).toEqual([
			1,
			"5 replayed (1 of them left a newer row as it is), 1 still fails.",
		]);
		expect(replayed.stdout).toContain(`${topic}/0 offset 4: replayed: events "e" keeps the newer row of ${topic}/0 offset 5\n`);
		expect(replayed.stdout.match(/keeps the newer row/g)).toHaveLength(1);
		const rows = await db.database.query("select id, name, kafka_offset::int as offset from events order by id");
		expect(rows).toEqual([
			{ id: "a", name: "mended bad a", offset: 0 },
			{ id: "b", name: "good b", offset: 1 },
			{ id: "c", name: "mended large c", offset: 2 },
			{ id: "d", name: "mended exit d", offset: 3 },
			// The newer row of the same id stays.
			{ id: "e", name: "good e", offset: 5 },
			{ id: "none", name: expect.stringContaining("mended bad"), offset: 7 },
		]);
		const still = jsonLines((await run("list", "--json")).stdout);
		// One record: what it met now takes the place of all that was said before.
		expect(still).toMatchObject([
			{ offset: 6, state: "open", error: "still  bad", attempts: 3, stack: expect.stringMatching(/^Error: still {2}bad/) },
		]);
		expect(jsonLines((await run("list", "--json", "--state", "replayed")).stdout)).toHaveLength(5);

		// What destroys says what it will do, and asks before.
		const asked = `This will discard 1 letter (${topic}: 1 open). Say --yes to do it`;
		expect(await run("discard", "--offset", "6")).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(asked) });
		expect((await run("discard", "--all", "--dry-run")).stdout).toBe(
			`Would discard 1 letter (${topic}: 1 open). Nothing was changed (--dry-run).\n`,
		);
		expect(jsonLines((await run("list", "--json")).stdout)).toHaveLength(1);
		expect(await run("discard", "--state", "replayed", "--yes")).toMatchObject({
			code: 2,
			stderr: expect.stringContaining("discard does nothing with letters that are replayed"),
		});
		expect((await run("discard", "--offset", "6", "--yes")).stdout).toBe("1 discarded.\n");
		expect(jsonLines((await run("list", "--json")).stdout)).toEqual([]);
		// Discarded ones are replayed where they are asked for; they stay discarded where that fails.
		expect(await run("replay", "--state", "discarded")).toMatchObject({
			code: 1,
			stdout: expect.stringContaining("0 replayed, 1 still fail"),
		});
		expect(jsonLines((await run("list", "--json", "--state", "discarded")).stdout)).toMatchObject([{ offset: 6, error: "still  bad" }]);
		expect((await run("discard", "--state", "replayed", "--purge", "--yes")).stdout).toBe("5 deleted.\n");
		expect(await db.database.query("select state from pockaffe_dead_letters")).toEqual([{ state: "discarded" }]);
	});

	it("stop at the breaker: the partition parks, says so, and a person lets one message decide", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, brokers] = [uniqueName("breaker"), inject("kafkaBrokers")];
		const records = Array.from({ length: 60 }, (_, i) => ({
			topic,
			partition: i % 2,
			key: `k${i}`,
			value: i % 2 === 0 ? "not JSON" : "{}",
		}));
		await loadTopic(brokers, { name: topic, partitions: 2 }, records);
		await using daemon = await runDaemon(folder.path, {
			kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
			handler: { module: "pockaffe:json" },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
			http: { port: 0, admin: true },
			offsets: { commitIntervalMs: 100 },
		});
		try {
			const parked = await waitFor("the breaker", async () => (await daemon.notReady()).find(({ code }) => code === "parked"));
			expect(parked).toMatchObject({
				topic,
				partition: 0,
				message: `breaker: 20 dead letters in a row, the last at ${topic}/0 offset 19: rejected by pockaffe:json; correct the cause, then save the handler's file or \`pockaffe resume ${topic} 0\`: then one message decides`,
			});
			const letters = async () => (await db.database.query("select count(*)::int as letters from pockaffe_dead_letters"))[0]?.letters;
			await waitFor("the other partition", async () => (await db.database.query("select 1 from events")).length === 30);
			const committed = async () => (await daemon.status()).partitions.map((each) => each.committed);
			await waitFor("what is finished to be committed", async () => (await committed()).join() === "19,30");
			expect([await letters(), await daemon.metric("pockaffe_breaker_open", 'partition="0"')]).toEqual([19, 1]);
			const said = (words: string) => daemon.records.filter(({ msg }) => msg.startsWith(`${topic}/0 is ${words}`)).length;
			expect([said("parked"), said("no longer parked")]).toEqual([1, 0]);
			expect(await pockaffe(["resume", topic, "0", "--url", await daemon.url()], { cwd: "/" })).toMatchObject({ code: 0 });
			await waitFor("the decision", () => said("parked") === 2);
			expect([said("no longer parked"), (await daemon.status()).partitions[0]?.state]).toEqual([1, "parked"]);
			expect([await letters(), (await committed()).join()]).toEqual([19, "19,30"]);
		} finally {
			expect(await daemon.stop()).toBe(0);
		}
	});

	it("go to a topic: made where it is missing, readable by other tools, listed, shown, replayed there", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, brokers, group] = [uniqueName("letters"), inject("kafkaBrokers"), uniqueName("g")];
		await loadTopic(brokers, { name: topic, partitions: 3 }, []);
		await using producer = await Producer.connect(kafkaAt(brokers));
		await writeFile(join(folder.path, "handler.mjs"), broken);
		const deadLetters = { target: "topic", topic: `${topic}.dead` };
		await using daemon = await runDaemon(folder.path, {
			kafka: { brokers: [brokers], topics: [topic], group },
			handler: { module: "./handler.mjs", maxAttempts: 2, retryBackoffMs: 1 },
			database: { url: db.url },
			tables: { events: { columns: { name: "text", amount: "bigint" }, create: true } },
			deadLetters,
		});
		const produce = (partition: number, key: string | null, value: string | Buffer) =>
			producer.produce({ topic, partition, key, value, headers: [["h", "ä"]] });
		await produce(2, "a", "bad a");
		await produce(2, "c", "large c");
		await produce(2, "e", "bad e");
		await produce(2, "e", "good e");
		await produce(1, "f", "bad for ever");
		await produce(0, null, Buffer.from([0x62, 0x61, 0x64, 0xff]));
		await waitFor("five letters", async () => (await daemon.metric("pockaffe_dead_letters_total")) === 5);
		expect(await daemon.stop()).toBe(0);

		// The letters can be read without a database.
		await writeFile(join(folder.path, "kafka.yaml"), JSON.stringify({ kafka: { brokers: [brokers], group }, deadLetters }));
		const run = (...args: string[]) => pockaffe(args, { cwd: folder.path });
		const letters = (...args: string[]) => run("dead-letters", ...args, "-c", "kafka.yaml");
		const described = await run("topic", "describe", `${topic}.dead`, "--json", "-c", "kafka.yaml");
		expect(JSON.parse(described.stdout).partitions).toHaveLength(3);
		const consumed = await run("consume", `${topic}.dead`, "-g", uniqueName("other"), "--exit-at-end", "-c", "kafka.yaml");
		const first = jsonLines(consumed.stdout).find(({ partition, offset }) => partition === 2 && offset === 0);
		expect(first).toMatchObject({ key: "a", message: "bad a" });
		expect(first?.headers).toEqual(
			expect.arrayContaining([
				["h", "ä"],
				["__connect.errors.topic", topic],
				["__connect.errors.partition", "2"],
				["__connect.errors.offset", "0"],
				["kafka_dlt-exception-fqcn", "TypeError"],
				["pockaffe.attempts", "2"],
			]),
		);
		const listed = await letters("list", "--json");
		expect(jsonLines(listed.stdout)).toMatchObject([
			{ topic, partition: 0, offset: 0, key: null, value: { base64: "YmFk/w==" } },
			{ topic, partition: 1, offset: 0, reason: "poison", state: "open" },
			{ topic, partition: 2, offset: 0, key: "a", value: "bad a", headers: [["h", "ä"]], error: "can't be handled yet" },
			{ topic, partition: 2, offset: 1, reason: "row_fault", sqlstate: "22003", table: "events", rowId: "c" },
			{ topic, partition: 2, offset: 2, reason: "poison" },
		]);
		expect((await letters("show", topic, "2", "0")).stdout).toMatch(/stack\s+TypeError[\s\S]*value\s+bad a/);
		expect(await letters("discard", "--all", "--state", "open", "--purge", "--yes")).toMatchObject({
			code: 2,
			stderr: expect.stringContaining("retention.ms"),
		});
		const all = await letters("list", "--limit", "3", "--json");
		expect([jsonLines(all.stdout).length, all.stderr]).toEqual([3, "3 of 5 letters: --limit all lists every one.\n"]);

		await writeFile(join(folder.path, "handler.mjs"), mended);
		const replayed = await run("dead-letters", "replay", "--all", "-c", "pockaffe.yaml");
		expect([replayed.code, replayed.stdout.trim().split("\n").at(-1)]).toEqual([
			1,
			"4 replayed (1 of them left a newer row as it is), 1 still fails.",
		]);
		expect(await db.database.query("select id, name, kafka_offset::int as offset from events order by id")).toEqual([
			{ id: "a", name: "mended bad a", offset: 0 },
			{ id: "c", name: "mended large c", offset: 1 },
			{ id: "e", name: "good e", offset: 3 },
			{ id: "none", name: expect.stringContaining("mended bad"), offset: 0 },
		]);
		// One record: what it met now takes the place of all that was said before.
		expect(jsonLines((await letters("list", "--json")).stdout)).toMatchObject([
			{ partition: 1, state: "open", key: "f", value: "bad for ever", headers: [["h", "ä"]], error: "still  bad", attempts: 3 },
		]);
		expect(jsonLines((await letters("list", "--json", "--state", "replayed")).stdout)).toHaveLength(4);
		expect((await letters("discard", "--topic", topic, "--yes")).stdout).toBe("1 discarded.\n");
		expect(jsonLines((await letters("list", "--json", "--state", "discarded")).stdout)).toMatchObject([
			{ partition: 1, value: "bad for ever" },
		]);
		const again = await run("dead-letters", "replay", "--all", "--state", "discarded", "-c", "pockaffe.yaml");
		expect([again.code, again.stdout.trim().split("\n").at(-1)]).toEqual([1, "0 replayed, 1 still fails."]);
		expect(jsonLines((await letters("list", "--json", "--state", "discarded")).stdout)).toMatchObject([
			{ error: "still  bad", attempts: 4 },
		]);
	});

	it("that end the process are told by name, stay as they are, and are replayed again only by name", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, brokers] = [uniqueName("letters"), inject("kafkaBrokers")];
		await loadTopic(
			brokers,
			{ name: topic, partitions: 1 },
			["bad a", "bad deadly", "bad c"].map((value) => ({ topic, key: value, value })),
		);
		await writeFile(join(folder.path, "handler.mjs"), broken);
		await using daemon = await runDaemon(folder.path, {
			kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
			handler: { module: "./handler.mjs", maxAttempts: 1 },
			database: { url: db.url },
			tables: { events: { columns: { name: "text", amount: "bigint" }, create: true } },
		});
		await waitFor("three letters", async () => (await daemon.metric("pockaffe_dead_letters_total")) === 3);
		expect(await daemon.stop()).toBe(0);
		const deadly = mended.replace(
			"({ key, value }) =>",
			"({ key, value }) => value.toString() === 'bad deadly' ? process.kill(process.pid, 'SIGKILL') && new Promise(() => {}) :",
		);
		await writeFile(join(folder.path, "handler.mjs"), deadly);
		const run = (...args: string[]) => pockaffe(["dead-letters", ...args], { cwd: folder.path });
		// The first may be through and stored by then, or not.
		const open = async () =>
			jsonLines((await run("list", "--json")).stdout)
				.filter(({ offset }) => offset !== 0)
				.map(({ offset, error, attempts }) => [offset, error, attempts]);

		const died = await run("replay", "--all");
		const words = `pockaffe: the handler ended the process .*: ${topic}/0 offset 1. The letter stays as it is.\n$`;
		expect(died).toMatchObject({ code: 137, stderr: expect.stringMatching(new RegExp(words)) });
		const asBefore = [
			[1, "can't be handled yet", 1],
			[2, "can't be handled yet", 1],
		];
		expect(await open()).toEqual(asBefore);

		// As the daemon would have it after so many deaths.
		await db.database.query(`update pockaffe_dead_letters set reason = 'process_died' where "offset" = 1`);
		const others = await run("replay", "--all");
		expect([others.code, others.stdout, others.stderr]).toEqual([
			1,
			expect.stringMatching(
				/offset 1: still fails: it ended the daemon's process[\s\S]*offset 2: replayed\n\d replayed, 1 still fails\.\n$/,
			),
			"",
		]);
		expect(await run("replay", "--topic", topic, "--partition", "0", "--offset", "1")).toMatchObject({
			code: 137,
			stdout: "",
			stderr: expect.stringMatching(new RegExp(words)),
		});
		expect(await open()).toEqual(asBefore.slice(0, 1));
		await writeFile(join(folder.path, "handler.mjs"), mended);
		expect(await run("replay", "--reason", "process_died")).toMatchObject({
			code: 0,
			stdout: expect.stringContaining("1 replayed"),
			stderr: "",
		});
	});

	it("too large for their topic go in without their value, with its size and hash, and that is told", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, brokers] = [uniqueName("letters"), inject("kafkaBrokers")];
		const dead = { name: `${topic}.dead`, partitions: 2 };
		const large = `bad ${randomBytes(4_000).toString("hex")}`;
		await loadTopic(brokers, { name: topic, partitions: 1 }, [
			{ topic, key: "a", value: large },
			{ topic, key: "b", value: "good b" },
			{ topic, key: "c", value: "bad c" },
		]);
		await createTopicWith(brokers, dead, { "max.message.bytes": "5000" });
		await writeFile(join(folder.path, "handler.mjs"), broken);
		await using daemon = await runDaemon(folder.path, {
			kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
			handler: { module: "./handler.mjs", maxAttempts: 1 },
			database: { url: db.url },
			tables: { events: { columns: { name: "text", amount: "bigint" }, create: true } },
			deadLetters: { target: "topic", topic: dead.name },
			offsets: { commitIntervalMs: 100 },
		});
		await waitFor("all", async () => (await daemon.status()).partitions.map((each) => each.committed).join() === "3");
		const sha256 = createHash("sha256").update(large).digest("hex");
		expect(daemon.output).toContain(`${topic}/0 offset 0 is stored without its value (${large.length} bytes, SHA-256 ${sha256})`);
		expect(await daemon.stop()).toBe(0);
		const run = (...args: string[]) => pockaffe(["dead-letters", ...args, "-c", "pockaffe.yaml"], { cwd: folder.path });
		const omitted = { value: { bytes: large.length, sha256 } };
		expect(jsonLines((await run("list", "--json")).stdout)).toMatchObject([
			{ offset: 0, key: "a", value: null, omitted },
			{ offset: 2, key: "c", value: "bad c", omitted: {} },
		]);
		await writeFile(join(folder.path, "handler.mjs"), mended);
		const replayed = await run("replay", "--all");
		expect(replayed).toMatchObject({
			code: 1,
			stdout: expect.stringMatching(/offset 0: still fails: .*too large[\s\S]*1 replayed, 1 still fail/),
		});
		expect(await db.database.query("select id from events order by id")).toEqual([{ id: "b" }, { id: "c" }]);
	});
});
