/** What `check` says of Kafka, of an inspector that the test plays. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { kafkaFindings } from "../../../src/commands/check/check-kafka.ts";
import "../../../src/commands/check/check.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { KafkaError, kafkaErrors } from "../../../src/kafka/client/kafka-error.ts";
import { ClusterInspector } from "../../../src/kafka/topics.ts";
import type { MissingRight } from "../../../src/kafka/watches/access-check.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";
import { playedCommand, playedEnvironment } from "../../support/fakes/played-command.ts";

interface Inspected {
	readonly topics?: Record<string, number>;
	readonly missing?: readonly MissingRight[] | Error;
	readonly settings?: Record<string, Record<string, string>> | KafkaError | null;
	readonly committed?: Record<string, (number | null)[]> | Error;
	/** Whether its one broker listens. */
	readonly isThere?: boolean;
}

let server: ReturnType<typeof createServer>;
let asked: unknown[];

beforeEach(async () => {
	asked = [];
	server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
});
afterEach(async () => {
	vi.restoreAllMocks();
	await new Promise((resolve) => server.close(resolve));
});

const port = () => (server.address() as AddressInfo).port;

function play({ topics = { orders: 3, payments: 1 }, missing = [], settings = null, committed = {}, isThere = true }: Inspected) {
	const names = Object.keys(topics);
	const settle = async <T>(value: T | Error) => {
		if (value instanceof Error) throw value;
		return value;
	};
	vi.spyOn(ClusterInspector, "connect").mockResolvedValue({
		metadata: {
			brokers: [{ id: 7, host: "127.0.0.1", port: isThere ? port() : 1 }],
			topics: names.map((name) => ({ name, partitions: Array.from({ length: topics[name] as number }, (_, id) => ({ id })) })),
		},
		topics: names,
		partitionsOf: (topic: string) => Array.from({ length: topics[topic] ?? 0 }, (_, id) => id),
		missingRights: (needs: unknown) => {
			asked.push(needs);
			return settle(missing);
		},
		topicSettings: () =>
			settle(
				settings && !(settings instanceof Error)
					? new Map(Object.entries(settings).map(([name, each]) => [name, new Map(Object.entries(each))]))
					: settings,
			),
		groupOffsets: (wanted: string[]) => {
			asked.push(wanted);
			return settle(
				committed instanceof Error ? committed : wanted.flatMap((topic) => (committed[topic] ?? []).map((each) => ({ committed: each }))),
			);
		},
		[Symbol.asyncDispose]: async () => void asked.push("closed"),
	} as unknown as ClusterInspector);
}

async function findings(inspected: Inspected, environment: Record<string, string> = {}) {
	play(inspected);
	const { config } = loadConfig({ environment: { ...playedEnvironment, ...environment }, cwd: "/nowhere" });
	return (await kafkaFindings(config, new ManualClock())).map(({ item, result, detail, commands }) =>
		commands ? [item, result, detail, commands] : [item, result, detail],
	);
}

const right = (operation: MissingRight["operation"], resource: MissingRight["resource"], name: string): MissingRight => ({
	operation,
	resource,
	name,
	words: "no access",
});
const acl = (operation: string, what: string) =>
	`kafka-acls.sh --bootstrap-server 127.0.0.1:1 --add --allow-principal User:ANONYMOUS --operation ${operation} --${what}`;
const lack = (item: string, operation: string, what: string) => [
	item,
	"failed",
	`this user lacks the right ${operation}: no access; give it: ${acl(operation, what)}`,
	[acl(operation, what)],
];

describe("check finds of Kafka", () => {
	it("that all is well, and closes what it opened", async () => {
		expect(await findings({ committed: { orders: [5, null, 7] } })).toEqual([
			["broker", "ok", `127.0.0.1:${port()}`],
			["topic orders", "ok", "3 partitions"],
			["topic payments", "ok", "1 partition"],
			["group ours", "ok", "has committed offsets for 2 partitions"],
		]);
		expect(asked).toEqual([{ group: "ours", topics: ["orders", "payments"], written: [], produced: [] }, ["orders", "payments"], "closed"]);
	});

	it("topics that are missing, and patterns", async () => {
		const found = await findings({ topics: { orders: 3, "old-orders": 1 } }, { POCKAFFE_KAFKA_TOPICS: "orders,payments,^.*orders$,^x" });
		expect(found.slice(1)).toEqual([
			["topic orders", "ok", "3 partitions"],
			["topic payments", "failed", expect.stringMatching(/^is missing: /)],
			["topic ^.*orders$", "ok", "orders, old-orders"],
			["topic ^x", "warning", "no topic matches yet; one made later is found"],
			["group ours", "ok", "has committed nothing yet"],
		]);
		expect(await findings({ topics: { orders: 0, payments: 1 } })).toContainEqual([
			"topic orders",
			"failed",
			expect.stringMatching(/^is missing: /),
		]);
	});

	it("each right that is missing, with the command that gives it", async () => {
		const missing = [
			...[
				right("Read", "topic", "orders"),
				right("Read", "topic", "old-orders"),
				right("Write", "topic", "made"),
				right("Read", "group", "ours"),
			],
			right("Create", "topic", "letters"),
		];
		const environment = {
			POCKAFFE_KAFKA_TOPICS: "orders,^old",
			POCKAFFE_HANDLER_PRODUCES: "made,other",
			POCKAFFE_DEAD_LETTERS_TARGET: "topic",
			POCKAFFE_DEAD_LETTERS_TOPIC: "letters",
		};
		const found = await findings({ topics: { orders: 3, "old-orders": 1, other: 2 }, missing }, environment);
		expect(found.slice(1)).toEqual([
			lack("topic orders", "Read", "topic orders"),
			["topic ^old", "ok", "old-orders"],
			lack("topic old-orders", "Read", "topic old-orders"),
			lack("dead letters letters", "Create", "topic letters"),
			lack("produces made", "Write", "topic made"),
			["produces other", "ok", "2 partitions"],
			lack("group ours", "Read", "group ours"),
		]);
		expect(asked[0]).toEqual({ group: "ours", topics: ["orders", "old-orders"], written: ["letters"], produced: ["made", "other"] });
	});

	it("a right to the group and one to a topic of its name apart", async () => {
		const environment = { POCKAFFE_KAFKA_TOPICS: "ours" };
		expect((await findings({ topics: { ours: 1 }, missing: [right("Read", "group", "ours")] }, environment)).slice(1)).toEqual([
			["topic ours", "ok", "1 partition"],
			lack("group ours", "Read", "group ours"),
		]);
		expect((await findings({ topics: { ours: 1 }, missing: [right("Read", "topic", "ours")] }, environment)).slice(1)).toEqual([
			lack("topic ours", "Read", "topic ours"),
			["group ours", "ok", "has committed nothing yet"],
		]);
	});

	it("that a produced topic is missing", async () => {
		const found = await findings({}, { POCKAFFE_HANDLER_PRODUCES: "made" });
		expect(found).toContainEqual([
			"produces made",
			"warning",
			expect.stringMatching(/^the topic is missing, and its records would wait for it: /),
		]);
	});

	it("whether the topic of dead letters keeps them", async () => {
		const environment = { POCKAFFE_DEAD_LETTERS_TARGET: "topic", POCKAFFE_DEAD_LETTERS_TOPIC: "letters" };
		const topics = { orders: 3, payments: 1, letters: 1 };
		const of = async (inspected: Inspected) =>
			(await findings({ topics, ...inspected }, environment)).filter(([item]) => String(item).startsWith("dead letters"));
		const item = "dead letters letters";
		expect(await of({ topics: { orders: 3, payments: 1 } })).toEqual([[item, "warning", "the topic is missing; run creates it"]]);
		expect(await of({ settings: { letters: { "retention.ms": "-1", "retention.bytes": "-1" } } })).toEqual([
			[item, "ok", "the topic is there, and keeps letters for ever"],
		]);
		expect(await of({ settings: { letters: { "retention.ms": "1000" } } })).toEqual([
			[item, "warning", expect.stringContaining("retention.ms=1000")],
		]);
		expect(await of({ settings: { letters: { "cleanup.policy": "compact", "retention.ms": "1000" } } })).toEqual([
			[item, "failed", expect.stringContaining("cleanup.policy=compact")],
			[item, "warning", expect.stringContaining("retention.ms=1000")],
		]);
		expect(await of({ settings: new KafkaError("no answer", kafkaErrors.transport) })).toEqual([
			[item, "warning", expect.stringContaining("no answer")],
		]);
	});

	it("that a broker can't be reached at the address that it advertises: nobody else is asked", async () => {
		expect(await findings({ isThere: false })).toEqual([
			[
				"broker",
				"failed",
				"the cluster is found at 127.0.0.1:1, but 127.0.0.1:1 of broker 7 can't be reached (ECONNREFUSED); that is the address it advertises to clients: look at its advertised.listeners",
			],
			["topic orders", "ok", "3 partitions"],
			["topic payments", "ok", "1 partition"],
		]);
		expect(asked).toEqual(["closed"]);
	});

	it("that Kafka does not answer about rights, or about the group", async () => {
		const silent = new KafkaError("no answer", kafkaErrors.transport);
		expect((await findings({ missing: silent })).slice(1)).toEqual([
			["topic orders", "ok", "3 partitions"],
			["topic payments", "ok", "1 partition"],
			["group ours", "failed", "no answer"],
		]);
		expect((await findings({ committed: silent })).at(-1)).toEqual(["group ours", "failed", "no answer"]);
		vi.spyOn(ClusterInspector, "connect").mockRejectedValue(silent);
		const { config } = loadConfig({ environment: playedEnvironment, cwd: "/nowhere" });
		expect(await kafkaFindings(config, new ManualClock())).toEqual([{ item: "broker", result: "failed", detail: "no answer" }]);
	});

	it("nothing about a group that is not configured", async () => {
		const found = await findings({}, { POCKAFFE_KAFKA_GROUP: "" });
		expect(found.map(([item]) => item)).toEqual(["broker", "topic orders", "topic payments"]);
	});
});

describe("check prints", () => {
	const environment = { POCKAFFE_KAFKA_BROKERS: "127.0.0.1:1", POCKAFFE_KAFKA_GROUP: "ours", POCKAFFE_KAFKA_TOPICS: "orders,gone" };
	const check = (...args: string[]) => playedCommand(["check", ...args], { environment });

	it("a table with the result of each item; one that failed makes the exit code 1", async () => {
		play({ committed: { orders: [5] } });
		const { code, stdout } = await check();
		const rows = stdout
			.trimEnd()
			.split("\n")
			.map((line) => line.split(/ {2,}/));
		expect([code, rows[0]]).toEqual([1, ["RESULT", "ITEM", "DETAIL"]]);
		expect(rows).toContainEqual(["ok", "topic orders", "3 partitions"]);
		expect(rows).toContainEqual(["ok", "codecs", "gzip, snappy, lz4, zstd"]);
		expect(rows).toContainEqual(["failed", "topic gone", expect.stringMatching(/^is missing/)]);
	});

	it("the commands that give rights, each once, and what else failed as comments", async () => {
		play({ missing: [right("Read", "topic", "orders"), right("Read", "group", "ours")] });
		const { code, stdout } = await check("--rights");
		expect([code, stdout.trimEnd().split("\n")]).toEqual([
			1,
			[
				acl("Read", "topic orders"),
				acl("Read", "group ours"),
				expect.stringMatching(/^# configuration: \d errors/),
				expect.stringMatching(/^# topic gone: is missing/),
			],
		]);
	});

	it("that offsets of several topics can't be compared", async () => {
		const told = async (more: Record<string, string>) => {
			const tables = { POCKAFFE_TABLES: '{"events":{"columns":{"name":"text"}}}', POCKAFFE_CAS_VERSION: "offset" };
			const { stdout } = await playedCommand(["check", "--json"], { environment: { ...tables, ...more } });
			return (JSON.parse(stdout) as { item: string; result: string }[])
				.filter(({ item }) => item === "table events")
				.map(({ result }) => result);
		};
		expect(await told({ POCKAFFE_KAFKA_TOPICS: "orders,payments" })).toEqual(["warning"]);
		expect(await told({ POCKAFFE_KAFKA_TOPICS: "orders" })).toEqual([]);
		expect(await told({ POCKAFFE_KAFKA_TOPICS: "orders,payments", POCKAFFE_CAS_VERSION: "timestamp" })).toEqual([]);
	});
});
