/** The commands that talk to Kafka, as their users run them, on a real one. */
import { describe, expect, inject, it } from "vitest";
import { type CommandResult, jsonLines, pockaffe } from "../support/daemons/command-line.ts";
import { freePort } from "../support/free-port.ts";
import { loadTopic } from "../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";

const env = { POCKAFFE_KAFKA_BROKERS: inject("kafkaBrokers") };

function run(args: readonly string[], stdin?: string, more: Record<string, string> = {}): Promise<CommandResult> {
	return pockaffe(args, { cwd: "/", env: { ...env, ...more }, ...(stdin === undefined ? {} : { stdin }) });
}

async function topicWith(partitions: number): Promise<string> {
	const topic = uniqueName("commands");
	await loadTopic(inject("kafkaBrokers"), { name: topic, partitions }, []);
	return topic;
}

describeOnKafka("produce", () => {
	it("puts keys where Java clients put them (murmur2)", async () => {
		const topic = await topicWith(3);
		const sent: unknown[] = [];
		const keys = ["key1", "key2", "key3", "a", "21", "foobar", "äöü"];
		for (const key of keys) sent.push(jsonLines((await run(["produce", topic, "-k", key, "--json"], "x\n")).stdout)[0]?.partition);
		expect(sent).toEqual(keys.map((key) => murmur2(Buffer.from(key)) % 3));
		expect(sent[0]).toBe(2);
	});

	it("sends headers, a partition of choice, no key, and null for an empty line where asked", async () => {
		const topic = await topicWith(2);
		await run(["produce", topic, "-p", "1", "-H", "a=1", "-H", "a=2=3", "-H", "ä=ö"], "one\n\ntwo\n");
		await run(["produce", topic, "-p", "1", "-k", "k", "--null"], "\n");
		const { stdout } = await run(["consume", topic, "-g", uniqueName("g"), "--exit-at-end"]);
		const headers = [
			["a", "1"],
			["a", "2=3"],
			["ä", "ö"],
		];
		expect(jsonLines(stdout)).toMatchObject([
			{ key: null, message: "one", partition: 1, offset: 0, headers },
			{ key: null, message: "", offset: 1, headers },
			{ key: null, message: "two", offset: 2, headers },
			{ key: "k", message: null, offset: 3, headers: [] },
		]);
	});

	it("gives each line its own key where a separator is named, and stops at a line without", async () => {
		const topic = await topicWith(1);
		await run(["produce", topic, "-K", "=>", "--null"], "a=>1=>2\n=>no key\nb=>\n");
		expect(await run(["produce", topic, "-K", ":"], "c:3\nfour\nd:5\n")).toMatchObject({
			code: 1,
			stderr: 'pockaffe: line 2 was not sent: it has no ":" behind its key (--key-separator); the lines after it were not sent either\n',
		});
		const { stdout } = await run(["consume", topic, "-g", uniqueName("g"), "--exit-at-end"]);
		expect(jsonLines(stdout).map(({ key, message }) => [key, message])).toEqual([
			["a", "1=>2"],
			["", "no key"],
			["b", null],
			["c", "3"],
		]);
	});

	it("takes a Windows file, and stops at what is no UTF-8 instead of storing something else", async () => {
		const topic = await topicWith(1);
		await run(["produce", topic, "-K", ":"], "\uFEFFa:1\r\nb:2\r\n");
		expect(await run(["produce", topic], "c\uFFFDd\n")).toMatchObject({
			code: 1,
			stderr: expect.stringContaining("line 1 was not sent: it is not UTF-8"),
		});
		expect(await run(["produce", topic], "")).toMatchObject({ code: 0, stderr: expect.stringContaining("nothing was sent") });
		const { stdout } = await run(["consume", topic, "-g", uniqueName("g"), "--exit-at-end"]);
		expect(jsonLines(stdout).map(({ key, message }) => [key, message])).toEqual([
			["a", "1"],
			["b", "2"],
		]);
	});

	it("says that the topic does not have the partition", async () => {
		const topic = await topicWith(2);
		expect(await run(["produce", topic, "-p", "9"], "x\n")).toMatchObject({
			code: 1,
			stdout: "",
			stderr: `pockaffe: line 1 was not sent: topic ${topic} has no partition 9; the lines after it were not sent either\n`,
		});
	});

	it("says that the topic is missing, and sends nothing", async () => {
		const topic = uniqueName("missing");
		expect(await run(["produce", topic], "x\n")).toMatchObject({
			code: 1,
			stdout: "",
			stderr: expect.stringContaining(`there is no topic ${topic}`),
		});
	});
});

describeOnKafka("consume", () => {
	it("ends after -n messages and commits exactly what it printed", async () => {
		const topic = await topicWith(1);
		const group = uniqueName("g");
		await run(["produce", topic], Array.from({ length: 20 }, (_, i) => `${i}\n`).join(""));
		const first = await run(["consume", topic, "-g", group, "-n", "7"]);
		expect(jsonLines(first.stdout).map(({ message }) => message)).toEqual(["0", "1", "2", "3", "4", "5", "6"]);
		expect(JSON.parse((await run(["offsets", group, "--json"])).stdout)).toMatchObject([
			{ group, topic, partition: 0, committed: 7, latest: 20, lag: 13 },
		]);
		const second = await run(["consume", topic, "-g", group, "--exit-at-end"]);
		expect(jsonLines(second.stdout).map(({ offset }) => offset)).toEqual(Array.from({ length: 13 }, (_, i) => i + 7));
	});

	it("shows bytes that are no UTF-8 as base64, and keeps null from empty", async () => {
		const topic = uniqueName("bytes");
		await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: 1 }, [
			{ topic, key: Buffer.from([0xff, 0]), value: Buffer.from([0xfe]) },
			{ topic, key: "", value: "" },
			{ topic, key: null, value: null },
		]);
		const { stdout } = await run(["consume", topic, "-g", uniqueName("g"), "--exit-at-end"]);
		expect(jsonLines(stdout)).toMatchObject([
			{ key: { base64: "/wA=" }, message: { base64: "/g==" } },
			{ key: "", message: "" },
			{ key: null, message: null },
		]);
	});

	it("ends at once at the end of an empty topic", async () => {
		const topic = await topicWith(3);
		expect(await run(["consume", topic, "-g", uniqueName("g"), "--exit-at-end"])).toEqual({ code: 0, stdout: "", stderr: "" });
	});
});

describeOnKafka("offsets and topic", () => {
	it("shows - where nothing is committed", async () => {
		const topic = await topicWith(2);
		const group = uniqueName("g");
		await run(["produce", topic, "-p", "0"], "x\ny\n");
		await run(["consume", topic, "-g", group, "-n", "1"]);
		const { stdout } = await run(["offsets", group, "--topic", topic]);
		expect(stdout).toMatch(new RegExp(`${group}\\s+${topic}\\s+0\\s+1\\s+50%\\s+1\\s+2\\s+-\\s+-\\s+-`));
		expect(stdout).toMatch(new RegExp(`${group}\\s+${topic}\\s+1\\s+-\\s+-\\s+-\\s+0`));
	});

	it("creates a topic once, and says so the second time", async () => {
		const topic = uniqueName("once");
		expect(await run(["topic", "create", topic, "-p", "2"])).toMatchObject({ code: 0 });
		expect(await run(["topic", "create", topic, "-p", "2"])).toMatchObject({
			code: 1,
			stderr: expect.stringContaining("is there already"),
		});
		expect(await run(["topic", "describe", uniqueName("gone")])).toMatchObject({
			code: 1,
			stderr: expect.stringContaining("there is no topic"),
		});
	});
});

describe("a broker that can't be reached", () => {
	it("is named, in one line, with what to look at", async () => {
		const broker = `127.0.0.1:${await freePort()}`;
		const { code, stderr } = await pockaffe(["offsets", "g"], { cwd: "/", env: { POCKAFFE_KAFKA_BROKERS: broker } });
		expect([code, stderr.trim().split("\n").length]).toEqual([1, 1]);
		expect(stderr).toContain(`no connection to ${broker} (plaintext)`);
	});

	it("fails check, which goes on to the database", async () => {
		const broker = `127.0.0.1:${await freePort()}`;
		const environment = {
			POCKAFFE_KAFKA_BROKERS: broker,
			POCKAFFE_KAFKA_GROUP: "g",
			POCKAFFE_KAFKA_TOPICS: "t",
			POCKAFFE_HANDLER_MODULE: "pockaffe:json",
			POCKAFFE_DATABASE_URL: inject("postgresUrl"),
			POCKAFFE_TABLES: '{"nowhere":{"columns":{"name":"text"}}}',
		};
		const { code, stdout } = await pockaffe(["check", "--json"], { cwd: "/", env: environment });
		expect(code).toBe(1);
		expect(JSON.parse(stdout)).toMatchObject([
			{ item: "configuration", result: "ok" },
			{ item: "handler", result: "ok" },
			{ item: "codecs" },
			{ item: "addon" },
			{ item: "broker", result: "failed", detail: expect.stringContaining(broker) },
			{ item: "database", result: "ok" },
			{ item: "table nowhere", result: "failed", detail: expect.stringContaining("pockaffe schema") },
			{ item: "table pockaffe_dead_letters", result: "ok", detail: "is missing; the daemon creates it at start" },
			{ item: "table pockaffe_offsets_start", result: "ok", detail: "is missing; the daemon creates it at start" },
		]);
		expect(stdout).not.toContain(new URL(inject("postgresUrl")).password);
	});
});

describeOnKafka("check, with pockaffe:json", () => {
	/** What `check` says of the messages of a topic with these values. */
	async function ofMessages(values: readonly string[], columns: object, options: object = {}): Promise<unknown[]> {
		const topic = uniqueName("sampled");
		const records = values.map((value, at) => ({ topic, partition: at % 2, key: Buffer.from(`k${at}`), value: Buffer.from(value) }));
		await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: 3 }, records);
		const { stdout } = await run(["check", "--json"], undefined, {
			POCKAFFE_KAFKA_GROUP: uniqueName("g"),
			POCKAFFE_KAFKA_TOPICS: topic,
			POCKAFFE_HANDLER_MODULE: "pockaffe:json",
			POCKAFFE_HANDLER_OPTIONS: JSON.stringify(options),
			POCKAFFE_DATABASE_URL: inject("postgresUrl"),
			POCKAFFE_TABLES: JSON.stringify({ orders: { columns, create: true } }),
		});
		const findings = JSON.parse(stdout) as { item: string; result: string; detail: string }[];
		return findings.filter(({ item }) => item === `messages of ${topic}`).map(({ result, detail }) => [result, detail]);
	}
	const orders = Array.from({ length: 40 }, (_, id) => JSON.stringify({ id, customer: { name: "Ada" }, amount: id }));

	it("looks for the configured fields in the newest messages of every partition, and names a mistyped one", async () => {
		const mistyped = { customer: { type: "text", from: "customer.nmae" }, amount: "bigint" };
		expect(await ofMessages(orders, mistyped, { id: "id" })).toEqual([
			[
				"warning",
				"column customer of orders would be null in every row: none of the 14 newest messages has customer.nmae (did you mean customer.name?)",
			],
		]);
		expect(await ofMessages(orders, { customer: { type: "text", from: "customer.name" } })).toEqual([
			["ok", "each configured field is in one of the 14 newest messages"],
		]);
	});

	it("says nothing of an empty topic", async () => {
		expect(await ofMessages([], { amount: "bigint" })).toEqual([]);
	});
});

/** Kafka's own murmur2, written from its description: seed 0x9747b28c, the result made positive. */
function murmur2(data: Buffer): number {
	const m = 0x5bd1e995;
	let h = 0x9747b28c ^ data.length;
	const whole = data.length & ~3;
	for (let i = 0; i < whole; i += 4) {
		let k = Math.imul(data.readInt32LE(i), m);
		k ^= k >>> 24;
		h = Math.imul(h, m) ^ Math.imul(k, m);
	}
	const rest = data.length & 3;
	if (rest === 3) h ^= (data[whole + 2] as number) << 16;
	if (rest >= 2) h ^= (data[whole + 1] as number) << 8;
	if (rest >= 1) h = Math.imul(h ^ (data[whole] as number), m);
	h = Math.imul(h ^ (h >>> 13), m);
	return (h ^ (h >>> 15)) & 0x7fffffff;
}
