import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { isUnconfigured, requireForRun } from "../../src/config/requirements.ts";
import { ExitError } from "../../src/core/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

type Environment = Record<string, string>;

/** Loads a file with this text. */
async function load(yaml: string, environment: Environment = {}): Promise<Config> {
	await using folder = await temporaryFolder();
	const file = join(folder.path, "pockaffe.yaml");
	await writeFile(file, yaml);
	return loadConfig({ file, environment, cwd: "/" }).config;
}

/** The lines of the error, without the first. */
async function problems(yaml: string, environment: Environment = {}): Promise<string[]> {
	const error: unknown = await load(yaml, environment).then(
		() => null,
		(thrown) => thrown,
	);
	if (!(error instanceof ExitError)) throw new Error(`no problem was found: ${error}`);
	expect(error.exitCode).toBe(2);
	return error.message.split("\n").slice(1);
}

describe("the defaults", () => {
	it("are the contract's", () => {
		const { config } = loadConfig({ environment: {}, cwd: "/nowhere" });
		expect(config).toEqual({
			kafka: {
				brokers: [],
				group: "",
				topics: [],
				startFrom: "earliest",
				onOffsetOutOfRange: "park",
				protocol: "classic",
				instanceId: "",
				timestampType: "",
				tls: {},
				sasl: {},
				properties: {},
			},
			handler: {
				module: "",
				options: {},
				concurrency: 1,
				timeoutMs: 30_000,
				maxAttempts: 5,
				retryBackoffMs: 50,
				maxRetryBackoffMs: 5_000,
				maxOutcomeBytes: 16_777_216,
				onPoison: "dead-letter",
			},
			supervisor: { maxRestarts: 10, withinMs: 60_000, onExceeded: "park", minBackoffMs: 50, maxBackoffMs: 30_000 },
			workers: { maxThreads: 0, maxQueuedMessages: 100_000, maxQueuedBytes: 67_108_864, maxHeapMb: 256 },
			database: { url: "", connections: 2 },
			tables: {},
			cas: { version: "timestamp", field: "", maxFutureMs: 86_400_000 },
			batch: { maxRows: 5_000, maxBytes: 4_194_304, lingerMs: 5, minRows: 100, answerMs: 250 },
			offsets: { store: "kafka", commitIntervalMs: 1_000, table: "pockaffe_offsets" },
			deadLetters: {
				target: "table",
				table: "pockaffe_dead_letters",
				topic: "",
				breaker: { share: 0.1, minMessages: 100, withinMs: 60_000, consecutive: 20 },
			},
			drain: { timeoutMs: 8_000 },
			http: { host: "127.0.0.1", port: 9464, admin: false, token: "" },
			log: { level: "info", format: "auto" },
		});
		expect(Object.isFrozen(config.kafka.topics)).toBe(true);
	});
});

describe("the file", () => {
	it("is read with variables in its texts, and paths relative to itself", async () => {
		await using folder = await temporaryFolder();
		const file = join(folder.path, "other.yaml");
		await writeFile(
			file,
			'kafka: {group: "${GROUP}", brokers: ["${HOST:-localhost}:9092"]}\nhandler: {module: ./h.mjs}\ndatabase: {connections: "${N}"}',
		);
		const { config, source } = loadConfig({ file, environment: { GROUP: "g", N: "4" }, cwd: "/" });
		expect([config.kafka.group, config.kafka.brokers, config.database.connections]).toEqual(["g", ["localhost:9092"], 4]);
		expect([config.handler.module, source]).toEqual([join(folder.path, "h.mjs"), file]);
	});

	it("can't be changed in its structure by a variable's value", async () => {
		const config = await load('kafka: {group: "${G}"}', { G: 'x", topics: [evil], a: "${HOME}' });
		expect(config.kafka).toMatchObject({ group: 'x", topics: [evil], a: "${HOME}', topics: [] });
	});

	it.each([
		["a variable that is not set", 'kafka: {group: "${NOPE}"}', /kafka\.group.*\$\{NOPE\} is not set/],
		["an unknown key with the nearest known one", "kafka: {brokres: [a:1]}", /kafka\.brokres – is no known key \(did you mean brokers\?\)/],
		["an unknown key deep inside", "tables: {t: {columns: {a: {type: text, frm: x}}}}", /tables\.t\.columns\.a\.frm.*from/],
		["a wrong type", "batch: {maxRows: many}", /batch\.maxRows: "many" – a whole number above 0/],
		["a value that is not one of", "handler: {onPoison: drop}", /handler\.onPoison: "drop" – one of dead-letter, park, skip, stop/],
		["an unknown column type", "tables: {t: {columns: {a: txt}}}", /tables\.t\.columns\.a: "txt"/],
		["a column of PocKaffe's own", "tables: {t: {columns: {kafka_ts: bigint}}}", /kafka_ts – is the name of a column of PocKaffe's own/],
		["what is atomic in no way", "tables: {t: {atomic: batch}}", /tables\.t\.atomic: "batch" – one of none, message/],
		["a wait of another kind", "tables: {t: {references: wait}}", /tables\.t\.references: "wait" – none, or \{waitMs\}/],
		["a wait without end", "tables: {t: {references: {waitMs: 86400001}}}", /tables\.t\.references.*(a day|none, or \{waitMs\})/],
		["a wait of no time", "tables: {t: {references: {waitMs: 0}}}", /tables\.t\.references/],
		["a version column that isn't there", "tables: {t: {cas: {version: field, field: v}}}", /tables\.t\.cas\.field: "v"/],
		["a property that delivery depends on", "kafka: {properties: {enable.auto.commit: true}}", /enable\.auto\.commit – is refused here/],
		[
			"a client without statistics",
			"kafka: {properties: {statistics.interval.ms: 0}}",
			/statistics\.interval\.ms: 0 – from 1 to 60000: .*coordinator/,
		],
		[
			"statistics once in a while",
			"kafka: {properties: {statistics.interval.ms: '60001'}}",
			/statistics\.interval\.ms: "60001" – from 1 to 60000/,
		],
		["a client that warns of nothing", "kafka: {properties: {log_level: 3}}", /log_level: 3 – from 4 to 7: .*session/],
		["a client's log that nobody reads", "kafka: {properties: {log.queue: true}}", /log\.queue – is refused here/],
		["a drain longer than the poll interval", "drain: {timeoutMs: 300000}", /drain\.timeoutMs: 300000 – below max\.poll\.interval\.ms/],
		["user without mechanism", "kafka: {sasl: {username: a, password: b}}", /kafka\.sasl\.mechanism – is needed/],
		["a built-in handler that isn't one", "handler: {module: pockaffe:jsn}", /pockaffe:jsn.*did you mean pockaffe:json/],
		["a URL of another database", "database: {url: mysql://h/d}", /database\.url: \*\*\* – postgres:/],
		["a negative number of threads", "workers: {maxThreads: -1}", /workers\.maxThreads: -1 – a whole number, 0 or more/],
		["a dead-letter topic without name", "deadLetters: {target: topic}", /deadLetters\.topic – is needed where/],
		[
			"a dead-letter topic that is read",
			"kafka: {topics: [a, ^b]}\ndeadLetters: {target: topic, topic: b.dead}",
			/deadLetters\.topic: "b\.dead" – is read by kafka\.topics \(\^b\)/,
		],
		[
			"a regular expression beside a dead-letter topic",
			"kafka: {topics: ['^(']}\ndeadLetters: {target: topic, topic: d}",
			/kafka\.topics\[0\]/,
		],
		["a regular expression that is none", "kafka: {topics: ['^(']}", /kafka\.topics\[0\]/],
	])("is refused for %s", async (_, yaml, line) => {
		const lines = await problems(yaml);
		expect(lines).toHaveLength(1);
		expect(lines[0]).toMatch(line);
	});

	it("is told everything that is wrong with it at once, rules between keys too", async () => {
		const lines = await problems("kafka: {gruop: x, properties: {group.id: y}}\nbatch: {maxRows: 0}\nlgo: {}\ndrain: {timeoutMs: 300000}");
		expect(lines.map((line) => line.trim().split(/[: ]/)[0]).sort()).toEqual([
			"batch.maxRows",
			"drain.timeoutMs",
			"kafka.gruop",
			"kafka.properties.group.id",
			"lgo",
		]);
	});

	it("that is not YAML is told line and column", async () => {
		const error = await load("kafka:\n  brokers: [a:1\n").catch((thrown) => thrown as ExitError);
		expect(error).toMatchObject({ exitCode: 2, code: "config_not_yaml", message: expect.stringMatching(/line \d+, column \d+/) });
	});

	it("that isn't there is an error where it was named", () => {
		expect(() => loadConfig({ file: "gone.yaml", environment: {}, cwd: "/" })).toThrow(/can't be read.*gone\.yaml/);
		expect(() => loadConfig({ environment: { POCKAFFE_CONFIG: "/gone.yaml" }, cwd: "/" })).toThrow(/can't be read/);
	});

	it("takes POCKAFFE_NATIVE for a switch", () => {
		const load = (POCKAFFE_NATIVE: string) => () => loadConfig({ file: undefined, environment: { POCKAFFE_NATIVE }, cwd: "/" });
		for (const value of ["on", "off"]) expect(load(value)).not.toThrow();
		expect(load("no")).toThrow(/POCKAFFE_NATIVE.*must be on or off, not "no"/);
	});

	it("never has its secrets printed", async () => {
		const secrets = ["hunter22", "sasl-secret", "key-secret", "token-secret", "tls-secret"];
		const yaml = `
			kafka: {sasl: {mechanism: NOPE, username: u, password: {p: sasl-secret}}, tls: {key: [tls-secret]}, properties: {ssl.key.password: [key-secret]}}
			database: {url: "mysql://u:hunter22@h/d"}
			http: {token: [token-secret], port: 70000}`;
		const text = (await problems(yaml.replaceAll("\t", " "))).join("\n");
		for (const secret of secrets) expect(text).not.toContain(secret);
		expect(text).toContain("http.port: 70000");
	});
});

describe("the environment", () => {
	it("lies over the file: texts, numbers, lists, maps as JSON", async () => {
		const config = await load("batch: {maxRows: 7}\nkafka: {brokers: [file:1]}", {
			POCKAFFE_BATCH_MAX_ROWS: "9",
			POCKAFFE_KAFKA_BROKERS: "a:1, b:2",
			POCKAFFE_KAFKA_START_FROM: "latest",
			POCKAFFE_TABLES: '{"t":{"columns":{"a":"text"}}}',
			POCKAFFE_HTTP_PORT: "0",
			POCKAFFE_DEAD_LETTERS_TABLE: "letters",
		});
		expect(config.batch.maxRows).toBe(9);
		expect(config.kafka).toMatchObject({ brokers: ["a:1", "b:2"], startFrom: "latest" });
		expect(config.tables.t?.columns).toEqual({ a: "text" });
		expect([config.http.port, config.deadLetters.table]).toEqual([0, "letters"]);
	});

	it.each([
		[{ POCKAFFE_BATCH_MAXROWS: "9" }, /POCKAFFE_BATCH_MAXROWS.*did you mean POCKAFFE_BATCH_MAX_ROWS/],
		[{ POCKAFFE_BATCH_MAX_ROWS: "many" }, /batch\.maxRows: "many".*from POCKAFFE_BATCH_MAX_ROWS/],
		[{ POCKAFFE_TABLES: "{" }, /tables.*must be JSON.*POCKAFFE_TABLES/],
	])("is told what is wrong with it, and from where: %o", async (environment, line) => {
		expect((await problems("{}", environment as unknown as Environment)).join("\n")).toMatch(line);
	});

	it("takes a timestamp as a date or in ms", async () => {
		expect((await load("{}", { POCKAFFE_KAFKA_START_FROM: "2026-01-01T00:00:00Z" })).kafka.startFrom).toBe(1_767_225_600_000);
		expect((await load("kafka: {startFrom: 1767225600000}")).kafka.startFrom).toBe(1_767_225_600_000);
		expect((await load("kafka: {startFrom: 2026-01-01T00:00:00Z}")).kafka.startFrom).toBe(1_767_225_600_000);
	});
});

describe("run", () => {
	const complete =
		"kafka: {brokers: [a:1], group: g, topics: [t]}\nhandler: {module: pockaffe:json}\ndatabase: {url: postgres://h/d}\ntables: {t: {}}";

	it("is embedded where neither broker nor database is configured", async () => {
		expect(isUnconfigured(await load("log: {level: warn}"))).toBe(true);
		expect(isUnconfigured(await load("kafka: {brokers: [a:1]}"))).toBe(false);
		expect(isUnconfigured(await load("database: {url: postgres://h/d}"))).toBe(false);
	});

	it("needs all of broker, group, topics, handler, database and tables, and names each that lacks", async () => {
		const config = await load(complete);
		expect(() => requireForRun(config, "x")).not.toThrow();
		const without = { ...config, database: { ...config.database, url: "" } };
		expect(() => requireForRun(without, "x")).toThrow(/database\.url – is needed/);
	});
});
