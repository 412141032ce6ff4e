import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Config } from "../../../src/config/config.ts";
import { loadConfig, withoutFile } from "../../../src/config/load.ts";
import { isUnconfigured, requireForRun } from "../../../src/config/required-keys.ts";
import { ExitError } from "../../../src/core/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

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
				version: "",
				maxOutcomeBytes: 16_777_216,
				produces: [],
				dropRepeats: false,
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

describe("the file of an embedded run", () => {
	const written = {
		kafka: {
			brokers: ["${BROKERS}"],
			group: "${GROUP}",
			topics: ["t"],
			sasl: { mechanism: "PLAIN", username: "me", password: "${PASSWORD}" },
			instanceId: "${HOSTNAME}",
			properties: { "client.id": "${HOSTNAME}" },
		},
		database: { url: "${DATABASE_URL}", connections: 5 },
	};
	const load = (environment: Record<string, string>, withoutServers: boolean) =>
		loadConfig({ written, environment, cwd: "/", withoutServers }).config;

	it("needs no variable for what the run replaces", () => {
		const { kafka, database } = load({ GROUP: "g" }, true);
		expect(kafka).toMatchObject({ brokers: [], group: "g", topics: ["t"], sasl: {}, instanceId: "", properties: {} });
		expect(database).toEqual({ url: "", connections: 5 });
	});

	it("needs those of everything else, and is read as ever where they are set", () => {
		expect(() => load({}, true)).toThrow(/^1 error in [^\n]*\n {2}kafka\.group – \$\{GROUP\} is not set[^\n]*$/);
		const all = { GROUP: "g", BROKERS: "a:1", PASSWORD: "p", HOSTNAME: "h", DATABASE_URL: "postgres://b" };
		expect(load(all, true)).toEqual(load(all, false));
		expect(load(all, true)).toMatchObject({ kafka: { brokers: ["a:1"], instanceId: "h" }, database: { url: "postgres://b" } });
		expect(() => load({ GROUP: "g" }, false)).toThrow(/^5 errors/);
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
		[
			"a column type that is none",
			"tables: {t: {columns: {a: 'text; drop'}}}",
			/tables\.t\.columns\.a: "text; drop" – a column type as Postgres writes it/,
		],
		["a type of two words that is none", "tables: {t: {columns: {a: big int}}}", /a: "big int" – a column type .*; the nearest is bigint/],
		["a type with what it can't have", "tables: {t: {columns: {a: text(5)}}}", /tables\.t\.columns\.a: "text\(5\)" – text without \(5\)/],
		[
			"an encoding of what is no bytea",
			"tables: {t: {columns: {a: {type: text, encoding: hex}}}}",
			/a\.encoding: "hex" – is for bytea, and the type is text/,
		],
		["an encoding that is none", "tables: {t: {columns: {a: {type: bytea, encoding: ascii}}}}", /a\.encoding.*utf8, hex, base64/],
		[
			"a column that no object keeps",
			"tables: {t: {columns: {__proto__: text}}}",
			/columns\.__proto__ – is a name that can't be configured/,
		],
		[
			"a version that is rounded",
			"tables: {t: {columns: {v: timestamptz(3)}, cas: {version: field, field: v}}}",
			/columns\.v: "timestamptz\(3\)" – must be timestamptz without a precision: it decides/,
		],
		["an unknown key that no key is near", "a0: {}", /^\s*a0 – is no known key$/],
		["a number that is not set", 'batch: {maxRows: "${NOPE}"}', /batch\.maxRows – \$\{NOPE\} is not set/],
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
		["a topic that can't be", "kafka: {topics: [..]}", /a topic's name/],
		["a topic to produce to that can't be", "handler: {produces: ['.']}", /a topic's name/],
		["acknowledgements of nobody", "kafka: {properties: {acks: 0}}", /acks – is refused here/],
		[
			"acknowledgements of nobody, by their other name",
			"kafka: {properties: {request.required.acks: 0}}",
			/required\.acks – is refused here/,
		],
		["records out of order", "kafka: {properties: {enable.idempotence: false}}", /enable\.idempotence – is refused here/],
		["records that are given up", "kafka: {properties: {message.timeout.ms: 1}}", /message\.timeout\.ms – is refused here/],
		[
			"records that are given up, by its other name",
			"kafka: {properties: {delivery.timeout.ms: 1}}",
			/delivery\.timeout\.ms – is refused here/,
		],
		["a client's log that nobody reads", "kafka: {properties: {log.queue: true}}", /log\.queue – is refused here/],
		["a drain longer than the poll interval", "drain: {timeoutMs: 300000}", /drain\.timeoutMs: 300000 – below max\.poll\.interval\.ms/],
		["control for whom a name leads here", "http: {host: 127.example.com, admin: true}", /http\.admin: true – needs http\.token/],
		["a token that is soon guessed", "http: {host: 0.0.0.0, token: x}", /http\.token – beyond loopback at least 16 characters/],
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

	it.each([
		["kafka: {group: ${GROUP}, topics: [a]}", true],
		["kafka: {topics: [${TOPIC}]}", true],
		["kafka:\n  group: ${GROUP}\n  topics: [a\n", false],
	])("that is not YAML is told of quotes where a variable's brace may be the reason: %j", async (text, isTold) => {
		const error = (await load(text).catch((thrown) => thrown)) as ExitError;
		expect([error.code, error.message.includes('needs quotes: {group: "${NAME}"}')]).toEqual(["config_not_yaml", isTold]);
	});

	it.each([
		["a scalar where none may be", 'kafka: ["a"] [b]\n  - s3cr3t-value\nx: y\n  s3cr3t-value'],
		["an escape", 'kafka: {sasl: {password: "\\s3cr3t-value"}}'],
		["a tag", "kafka: !s3cr3t-value [a]\nhttp: }"],
		["a header of a block", "kafka: |s3cr3t-value\n  x"],
		["an alias", "kafka: *s3cr3t-value:"],
		["quotes without an end", "kafka: \"s3cr3t-value\nhttp: 's3cr3t-value"],
		["many at once", `kafka: [a] [b]\n${"- s3cr3t-value\n".repeat(50)}`],
	])("never has a piece of a file told that is no YAML: %s", async (_, text) => {
		const error = await load(text).catch((thrown) => thrown as ExitError);
		expect(error).toMatchObject({ exitCode: 2, code: "config_not_yaml" });
		expect((error as ExitError).message).not.toContain("s3cr");
		expect((error as ExitError).message.split("\n").length).toBeLessThan(8);
	});

	it.each([
		["an alias of what it is in", "kafka: &k\n  topics: [*k]", /an alias .* is inside the value that it stands for/],
		[
			"a bomb of aliases",
			`a: &a [x,x]\n${"bcdefghij"
				.split("")
				.map((name, index) => `${name}: &${name} [${`*${"abcdefghi"[index]},`.repeat(9)}]`)
				.join("\n")}`,
			/its aliases .* too many/,
		],
		["an alias of nothing", "kafka: *nothing", /alias/],
		["deeper than a stack", `kafka: ${"[".repeat(20_000)}${"]".repeat(20_000)}`, /lists and maps are nested too deep/],
		["too deep", `kafka: ${"[".repeat(150)}${"]".repeat(150)}`, /lists and maps are nested too deep/],
		["two documents", "kafka: {}\n---\nlog: {}", /line 2, column 1: a second document begins \(---\)/],
		["a text", "hello", /a configuration is a map of keys/],
		["a list", "[1]", /a configuration is a map of keys/],
	])("that is %s is told in words", async (_, yaml, words) => {
		const error = await load(yaml).catch((thrown) => thrown as ExitError);
		expect(error).toMatchObject({ exitCode: 2, code: "config_not_yaml", message: expect.stringMatching(words) });
	});

	it("may have anchors in keys of their own, and merge them", async () => {
		const config = await load("x-table: &base {id: {type: uuid}, columns: {a: text}}\ntables: {t: {<<: *base, create: true}, u: *base}");
		expect(config.tables).toMatchObject({
			t: { id: { type: "uuid" }, columns: { a: "text" }, create: true },
			u: { id: { type: "uuid" }, columns: { a: "text" } },
		});
	});

	it.each([
		["INT", "int4"],
		["character varying ( 8 )", "varchar(8)"],
		["double  precision", "double precision"],
		["timestamp(3) with time zone", "timestamptz(3)"],
		["TEXT[]", "text[]"],
		["int[3][]", "int4[][]"],
		["numeric( 10, 2 )[]", "numeric(10,2)[]"],
		["App.Mood", "app.mood"],
		['"Odd name"."T(x)"[]', '"Odd name"."T(x)"[]'],
		["geometry(Point, 4326)", "geometry(Point,4326)"],
	])("takes any type of the server's: %s", async (written, type) => {
		const { tables } = await load(JSON.stringify({ tables: { t: { columns: { a: written } } } }));
		expect(tables.t?.columns).toEqual({ a: type });
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

	it.each([
		["database.url", 'database: {url: "mysql://u:hunter22@h/d"}'],
		["database.passwordCommand", "database: {passwordCommand: [hunter22]}"],
		["kafka.sasl.password", "kafka: {sasl: {password: {p: hunter22}}}"],
		["kafka.tls.key", "kafka: {tls: {key: [hunter22]}}"],
		["http.token", "http: {token: [hunter22]}"],
		["kafka.properties.ssl.key.password", "kafka: {properties: {ssl.key.password: [hunter22]}}"],
		["kafka.properties.ssl.key.pem", "kafka: {properties: {ssl.key.pem: [hunter22]}}"],
		["kafka.properties.sasl.oauthbearer.client.secret", "kafka: {properties: {sasl.oauthbearer.client.secret: [hunter22]}}"],
		["kafka.properties.sasl.oauthbearer.token", "kafka: {properties: {sasl.oauthbearer.token: [hunter22]}}"],
	])("tells what is wrong with %s without its value", async (key, yaml) => {
		const lines = await problems(yaml);
		expect(lines.filter((line) => line.trim().startsWith(`${key}: ***`))).toHaveLength(1);
		expect(lines.join("\n")).not.toContain("hunter22");
	});

	it.each(["database: [hunter22]", "kafka: [{sasl: {password: hunter22}}]", "kafka: {sasl: [hunter22]}", "http: [hunter22]", "[hunter22]"])(
		"tells that %s is wrong without what stands in it",
		async (yaml) => {
			expect((await problems(yaml)).join("\n")).not.toContain("hunter22");
		},
	);

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

	it.each([
		["database: postgres://u:SECRET@h/x", "database: ***"],
		["kafka: {sasl: 'PLAIN:u:SECRET'}", "kafka.sasl: ***"],
		["http: token SECRET", "http: ***"],
		["kafka: 'u:SECRET'", "kafka: ***"],
		["kafka: {properties: [sasl.password=SECRET]}", "kafka.properties: ***"],
		["kafka: {properties: {sasl.oauthbearer.config: {a: SECRET}}}", "kafka.properties.sasl.oauthbearer.config: ***"],
		["kafka: {brokers: ['u:SECRET@h:1']}", 'kafka.brokers[0]: "***@h:1"'],
		["kafka: {tls: 'SECRET'}", "kafka.tls: ***"],
		["kafka: {properties: {ssl: {key: {password: SECRET}}}}", "kafka.properties.ssl: ***"],
	])("shows no value where a map that has a secret was to stand: %s", async (yaml, shown) => {
		const text = (await problems(yaml)).join("\n");
		expect(text).not.toContain("SECRET");
		expect(text).toContain(shown);
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
		[{ POCKAFFE_TABLES: "[".repeat(9_000) + "]".repeat(9_000) }, /tables.*must be JSON, at most 100 levels deep.*POCKAFFE_TABLES/],
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

	it("is refused without a file, a broker and a database, with the ways out; with a file, by what lacks in it", async () => {
		const nothing = await load("");
		expect(() => requireForRun(nothing, withoutFile)).toThrow(
			/^there is no configuration here: .*-c FILE.*POCKAFFE_KAFKA_BROKERS.*--embedded/,
		);
		expect(() => requireForRun(nothing, withoutFile)).toThrow(expect.objectContaining({ code: "no_configuration", exitCode: 2 }));
		expect(() => requireForRun(nothing, "pockaffe.yaml")).toThrow(/kafka\.brokers/);
	});

	it("finds the embedded daemon of the folder where neither broker nor database is configured", async () => {
		expect(isUnconfigured(await load("log: {level: warn}"))).toBe(true);
		expect(isUnconfigured(await load("kafka: {brokers: [a:1]}"))).toBe(false);
		expect(isUnconfigured(await load("database: {url: postgres://h/d}"))).toBe(false);
	});

	it("needs all of broker, group, topics, handler, database and tables, and names each that lacks", async () => {
		const config = await load(complete);
		expect(() => requireForRun(config, "x")).not.toThrow();
		const missing = (lacking: Partial<Config>) => {
			let message = "";
			try {
				requireForRun({ ...config, ...lacking }, "x");
			} catch (error) {
				({ message } = error as Error);
			}
			return [...message.matchAll(/^ {2}(\S+) – is needed/gm)].map(([, key]) => key);
		};
		const { kafka, handler, database } = config;
		expect(missing({ kafka: { ...kafka, brokers: [] } })).toEqual(["kafka.brokers"]);
		expect(missing({ kafka: { ...kafka, group: "" } })).toEqual(["kafka.group"]);
		expect(missing({ kafka: { ...kafka, topics: [] } })).toEqual(["kafka.topics"]);
		expect(missing({ handler: { ...handler, module: "" } })).toEqual(["handler.module"]);
		expect(missing({ database: { ...database, url: "" } })).toEqual(["database.url"]);
		expect(missing({ tables: {} })).toEqual(["tables"]);
		const all = ["kafka.brokers", "database.url", "kafka.group", "kafka.topics", "handler.module", "tables"];
		expect(missing(await load(""))).toEqual(all);
	});

	it("needs no table for a handler that only logs, or only produces", async () => {
		const { handler, ...config } = await load(complete);
		const withoutTables = (over: Partial<Config["handler"]>) => ({ ...config, tables: {}, handler: { ...handler, ...over } });
		for (const over of [{ module: "pockaffe:log" }, { produces: ["out"] }])
			expect(() => requireForRun(withoutTables(over), "x")).not.toThrow();
		expect(() => requireForRun(withoutTables({}), "x")).toThrow("tables – is needed");
	});
});
