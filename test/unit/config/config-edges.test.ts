/** Where a configuration's values end up, at the edges: variables, paths, limits, layouts, and what an embedded run adds. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { withEmbeddedProfile } from "../../../src/config/embedded-profile.ts";
import { substitute } from "../../../src/config/environment.ts";
import { loadConfig, passed, withoutFile } from "../../../src/config/load.ts";
import { missingBrokers, requireForRun } from "../../../src/config/required-keys.ts";
import { parseColumnType } from "../../../src/config/schema/column-types.ts";
import { plainDefault, renderOptionHelp } from "../../../src/config/schema/describe-options.ts";
import { type ConfigProblem, configError, keyOf, nearest } from "../../../src/config/schema/problems.ts";
import { remainingOf, remove, touches } from "../../../src/config/schema/remaining.ts";
import { configSchema } from "../../../src/config/schema/schema.ts";
import { keysAt, leaves, valueSchemaAt } from "../../../src/config/schema/schema-leaves.ts";
import { passwordsIn } from "../../../src/config/secrets.ts";
import { atomicTables, referenceWaits, tableLayouts } from "../../../src/config/table-layouts.ts";
import { knownSecrets } from "../../../src/core/text/secret-mask.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

type Written = Record<string, unknown>;

const load = (written: Written, environment: Record<string, string> = {}) => loadConfig({ written, environment, cwd: "/base" }).config;

/** The lines of the error, without the first; none: it is right. */
function problems(written: Written, environment: Record<string, string> = {}): string[] {
	try {
		load(written, environment);
		return [];
	} catch (error) {
		return (error as Error).message
			.split("\n")
			.slice(1)
			.map((line) => line.trim());
	}
}

describe("a variable in a text", () => {
	const substituted = (text: string, environment: Record<string, string> = {}) => {
		const unset: ConfigProblem[] = [];
		return [substitute(text, environment, ["a", 0], unset), ...unset.map(({ path }) => keyOf(path))];
	};

	it.each<[text: string, value: unknown]>([
		["${N}", 42],
		[" ${N} ", " 42 "],
		["${N}s", "42s"],
		["${N}${N}", "4242"],
		["${ZERO}", 0],
		["${LEADING}", "007"],
		["${NEGATIVE}", -1.5],
		["${LONG}", "1234567890123456"],
		["${YES}", true],
		["${NO}", false],
		["${EMPTY}", ""],
		["${EMPTY:-7}", 7],
		["${NONE:-}", ""],
		["${NONE:-a:-b}", "a:-b"],
		["${N:-7}", 42],
		["$N ${} $${N}", "$N ${} $42"],
		["42", "42"],
	])("%j becomes %j", (text, value) => {
		const more = { ZERO: "0", LEADING: "007", NEGATIVE: "-1.5", LONG: "1234567890123456" };
		expect(substituted(text, { N: "42", YES: "true", NO: "false", EMPTY: "", ...more })).toEqual([value]);
	});

	it("that is not set is named with its key, and the text stays", () => {
		expect(substituted("x ${NONE}")).toEqual(["x ${NONE}", "a[0]"]);
	});

	it("is found in lists and maps, and nothing else changes", () => {
		const written = { a: ["${N}", { b: "${N}" }], c: null, d: 1, e: false };
		expect(substitute(written, { N: "x" }, [], [])).toEqual({ a: ["x", { b: "x" }], c: null, d: 1, e: false });
	});
});

describe("the environment", () => {
	it("reads a list without blanks, and a number only where the option is one", () => {
		const config = load(
			{},
			{ POCKAFFE_KAFKA_TOPICS: " a ,,b, ", POCKAFFE_KAFKA_GROUP: "42", POCKAFFE_HTTP_ADMIN: "true", POCKAFFE_HTTP_TOKEN: "007" },
		);
		expect([config.kafka.topics, config.kafka.group, config.http]).toMatchObject([["a", "b"], "42", { admin: true, token: "007" }]);
		expect(load({ kafka: { topics: ["a"] } }, { POCKAFFE_KAFKA_TOPICS: "" }).kafka.topics).toEqual([]);
	});

	it("leaves what is beside its key, and takes the place of what is no map", () => {
		expect(
			load(
				{ kafka: { group: "g" } },
				{ POCKAFFE_KAFKA_SASL_USERNAME: "u", POCKAFFE_KAFKA_SASL_PASSWORD: "p", POCKAFFE_KAFKA_SASL_MECHANISM: "PLAIN" },
			).kafka,
		).toMatchObject({
			group: "g",
			sasl: { username: "u", password: "p", mechanism: "PLAIN" },
		});
		expect(load({ http: null }, { POCKAFFE_HTTP_PORT: "81" }).http.port).toBe(81);
	});

	it("names the variable of a problem below its key, and none of another's", () => {
		const lines = problems(
			{ batch: { maxRows: 0 } },
			{ POCKAFFE_TABLES: '{"t":{"columns":{"a":"no such"}}}', POCKAFFE_BATCH_MAX_BYTES: "5" },
		);
		const ofTable = expect.stringMatching(/^tables\.t\.columns\.a: "no such" – .* \(from POCKAFFE_TABLES\)$/);
		expect([lines.length, lines]).toEqual([2, expect.arrayContaining(["batch.maxRows: 0 – a whole number above 0", ofTable])]);
	});

	it("knows the variables that are no options, and no other programs'", () => {
		expect(problems({}, { POCKAFFE_CONFIG: "x", OTHER_CONFIG: "y", POCKAFFE_NATIVE: "off" })).toEqual([]);
		expect(problems({}, { POCKAFFE_NATVE: "on" })).toEqual([
			"POCKAFFE_NATVE – is no variable of PocKaffe's (did you mean POCKAFFE_NATIVE?)",
		]);
		expect(problems({}, { POCKAFFE_TABLES_EVENTS_CREATE: "true" })).toEqual([
			"POCKAFFE_TABLES_EVENTS_CREATE – is no variable of PocKaffe's: POCKAFFE_TABLES has all of them, as JSON",
		]);
	});
});

describe("the file", () => {
	it("is the one of the command line, else the variable's, else the folder's, else none", async () => {
		await using folder = await temporaryFolder();
		const sourceOf = (file: string | undefined, environment: Record<string, string>) =>
			loadConfig({ file, environment, cwd: folder.path }).source;
		expect(sourceOf(undefined, {})).toBe(withoutFile);
		for (const name of ["a.yaml", "b.yaml", "pockaffe.yaml"]) await writeFile(join(folder.path, name), "");
		expect(sourceOf("a.yaml", { POCKAFFE_CONFIG: "b.yaml" })).toBe(join(folder.path, "a.yaml"));
		expect(sourceOf(undefined, { POCKAFFE_CONFIG: "b.yaml" })).toBe(join(folder.path, "b.yaml"));
		expect(sourceOf(undefined, { POCKAFFE_CONFIG: "" })).toBe(join(folder.path, "pockaffe.yaml"));
		expect(loadConfig({ written: {}, file: "a.yaml", environment: {}, cwd: folder.path }).source).toBe(passed);
	});

	it("names files relative to its folder; PEM text, absolute paths and what is built in stay", () => {
		const tls = { ca: "ca.pem", cert: "-----BEGIN CERTIFICATE-----", key: "sub/key.pem" };
		const sasl = { mechanism: "PLAIN", username: "u", passwordFile: "kafka.txt" };
		const config = load({ kafka: { tls, sasl }, database: { passwordFile: "/abs/db.txt" }, handler: { module: "h.mjs" } });
		expect(config.kafka.tls).toEqual({ ca: "/base/ca.pem", cert: tls.cert, key: "/base/sub/key.pem" });
		expect([config.kafka.sasl.passwordFile, config.database.passwordFile, config.handler.module]).toEqual([
			"/base/kafka.txt",
			"/abs/db.txt",
			"/base/h.mjs",
		]);
		const modules = ["", "pockaffe:json", "/abs/h.mjs"];
		expect(modules.map((module) => load({ handler: { module } }).handler.module)).toEqual(modules);
		expect(load({ kafka: { tls: { ca: "" } } }).kafka.tls.ca).toBe("");
		expect(load({ database: { passwordFile: "db.txt" } }).database.passwordFile).toBe("/base/db.txt");
	});

	it("that is no YAML is told five errors, and how many more there are", async () => {
		await using folder = await temporaryFolder();
		const errors = async (count: number) => {
			await writeFile(join(folder.path, "x.yaml"), '- "\\q"\n'.repeat(count));
			try {
				loadConfig({ file: "x.yaml", environment: {}, cwd: folder.path });
			} catch (error) {
				return (error as Error).message
					.split("\n")
					.slice(1)
					.map((line) => line.trim().replace(/:.*/, ""));
			}
		};
		const five = [1, 2, 3, 4, 5].map((line) => `line ${line}, column 4`);
		expect([await errors(5), await errors(7)]).toEqual([five, [...five, "and 2 more, which may follow from these"]]);
	});

	it("names tables and columns as Postgres can", () => {
		const long = "x".repeat(64);
		expect(problems({ tables: { [long]: {}, t: { columns: { "": "text" } } } })).toEqual([
			`tables.${long} – a name of at most 63 bytes`,
			expect.stringMatching(/^tables\.t\.columns\.? – a name$/),
		]);
		expect(problems({ tables: { [long.slice(1)]: {} } })).toEqual([]);
	});

	it("is frozen in its depth", () => {
		const { tables } = load({ tables: { t: { columns: { a: { type: "text" } } } } });
		expect([tables, tables.t, tables.t?.columns, tables.t?.columns.a].every(Object.isFrozen)).toBe(true);
	});

	it("does not change what a program passed", () => {
		const written = { handler: { module: "h.mjs" }, kafka: { topics: ["t"] } };
		load(written, { POCKAFFE_KAFKA_GROUP: "g" });
		expect([written, Object.isFrozen(written.kafka.topics)]).toEqual([{ handler: { module: "h.mjs" }, kafka: { topics: ["t"] } }, false]);
	});
});

describe("rules between keys", () => {
	const sasl = (over: object) => problems({ kafka: { sasl: over } });
	const [mechanism, username, password, passwordFile] = ["PLAIN", "u", "p", "f"];

	it("of a log-in to Kafka", () => {
		expect(sasl({ mechanism, username, password })).toEqual([]);
		expect(sasl({ mechanism, username, passwordFile })).toEqual([]);
		expect(sasl({ mechanism, username, password, passwordFile })).toEqual(["kafka.sasl – takes password or passwordFile, not both"]);
		for (const lacking of [{ mechanism }, { mechanism, username }, { mechanism, password }])
			expect(sasl(lacking)).toEqual(["kafka.sasl – needs username and password (or passwordFile) together with mechanism"]);
		for (const lacking of [{ username }, { password }, { passwordFile }])
			expect(sasl(lacking)).toEqual(["kafka.sasl.mechanism – is needed together with username and password"]);
	});

	it("of a certificate and its key, and of the database's password", () => {
		const tls = (over: object) => problems({ kafka: { tls: over } });
		expect([tls({ cert: "c", key: "k" }), tls({ ca: "c" })]).toEqual([[], []]);
		for (const lacking of [{ cert: "c" }, { key: "k" }]) expect(tls(lacking)).toEqual(["kafka.tls – needs cert and key together"]);
		const database = (over: object) => problems({ database: over });
		expect([database({ passwordFile }), database({ passwordCommand: "c" })]).toEqual([[], []]);
		expect(database({ passwordFile, passwordCommand: "c" })).toEqual(["database – takes passwordFile or passwordCommand, not both"]);
	});

	it("of properties that the client needs, at their limits", () => {
		const property = (name: string, value: unknown) => problems({ kafka: { properties: { [name]: value } } }).length;
		expect([0, 1, 60_000, 60_001, "x"].map((value) => property("statistics.interval.ms", value))).toEqual([1, 0, 0, 1, 1]);
		expect([3, 4, "7", 8].map((value) => property("log_level", value))).toEqual([1, 0, 0, 1]);
	});

	it("of properties that are the broker's with protocol consumer", () => {
		const of = (protocol: string) => problems({ kafka: { protocol, properties: { "session.timeout.ms": 9_000, "client.id": "x" } } });
		expect(of("consumer")).toEqual(["kafka.properties.session.timeout.ms – is set on the broker if kafka.protocol is consumer"]);
		expect(of("classic")).toEqual([]);
	});

	it("of limits that belong together, at their edges", () => {
		const of = (written: Written) => problems(written).map((line) => line.split(" – ")[1]);
		expect(of({ drain: { timeoutMs: 299_999 } })).toEqual([]);
		expect(of({ drain: { timeoutMs: 300_000 } })).toEqual(["below max.poll.interval.ms (300000)"]);
		expect(of({ drain: { timeoutMs: 9_000 }, kafka: { properties: { "max.poll.interval.ms": 9_000 } } })).toEqual([
			"below max.poll.interval.ms (9000)",
		]);
		expect(of({ supervisor: { minBackoffMs: 70, maxBackoffMs: 70 } })).toEqual([]);
		expect(of({ supervisor: { minBackoffMs: 71, maxBackoffMs: 70 } })).toEqual(["at most maxBackoffMs (70)"]);
		expect(of({ handler: { retryBackoffMs: 70, maxRetryBackoffMs: 70 } })).toEqual([]);
		expect(of({ handler: { retryBackoffMs: 71, maxRetryBackoffMs: 70 } })).toEqual(["at most maxRetryBackoffMs (70)"]);
	});

	it("of a table's columns", () => {
		const of = (table: object, more: Written = {}) => problems({ tables: { t: table }, ...more });
		for (const name of ["kafka_ts", "kafka_offset", "kafka_partition", "kafka_topic", "deleted"])
			expect(of({ columns: { [name]: "text" } })).toEqual([`tables.t.columns.${name} – is the name of a column of PocKaffe's own`]);
		expect(of({ columns: { id: "text" } })).toEqual(["tables.t.columns.id – is the id column already"]);
		expect(of({ id: { column: "key" }, columns: { id: "text", key: "text" } })).toEqual([
			"tables.t.columns.key – is the id column already",
		]);
		expect(of({ columns: { a: { type: "bytea", encoding: "hex" }, b: { type: "bytea[]", encoding: "hex" } } })).toHaveLength(
			of({ columns: { b: { type: "bytea[]", encoding: "hex" } } }).length,
		);
		const field = (type: string) => of({ columns: { v: type }, cas: { version: "field", field: "v" } }).length;
		expect(["bigint", "numeric(10,2)", "timestamptz", "text", "int", "timestamptz(3)"].map(field)).toEqual([0, 0, 0, 1, 1, 1]);
		expect(of({ columns: { v: "bigint" } }, { cas: { version: "field", field: "v" } })).toEqual([]);
		expect(of({ columns: { v: "bigint" } }, { cas: { version: "field" } })).toHaveLength(1);
	});

	it("of tables that have another use, and of letters' topics", () => {
		expect(problems({ tables: { pockaffe_offsets_start: {}, a: {} }, deadLetters: { table: "a" }, offsets: {} })).toEqual([
			"deadLetters.table – is tables.a too (a): every table has one use",
			"offsets.table – is tables.pockaffe_offsets_start too (pockaffe_offsets_start): every table has one use",
		]);
		expect(problems({ deadLetters: { table: "x" }, offsets: { table: "x" } })).toEqual([
			"offsets.table – is deadLetters.table too (x): every table has one use",
		]);
		const letters = (topics: string[], target = "topic") => problems({ kafka: { topics }, deadLetters: { target, topic: "dead" } }).length;
		expect([letters(["a"]), letters(["dead"]), letters(["a", "^de"]), letters(["dead"], "table")]).toEqual([0, 1, 1, 0]);
	});

	it("of who may reach the daemon", () => {
		const http = (over: object) => problems({ http: { host: "0.0.0.0", ...over } }).map((line) => line.split(/[: ]/)[0]);
		expect([http({}), http({ token: "x".repeat(15) }), http({ token: "x".repeat(16), admin: true }), http({ admin: true })]).toEqual([
			[],
			["http.token"],
			[],
			["http.admin"],
		]);
		expect(problems({ http: { token: "x", admin: true } })).toEqual([]);
		// Characters, and not what JavaScript counts.
		expect(http({ token: "😀".repeat(8) })).toEqual(["http.token"]);
	});
});

describe("the layout of a table", () => {
	const layout = (table: object, more: Written = {}) => tableLayouts(load({ tables: { t: table }, ...more }))[0];

	it("has each column's path, and whether it may be null", () => {
		const columns = { a: "text", b: { type: "int", from: "x.y", null: false }, c: { type: "bytea", encoding: "hex", null: true } };
		expect(layout({ columns, id: { column: "key", type: "uuid" }, create: true })).toMatchObject({
			...{
				name: "t",
				id: { column: "key", type: "uuid" },
				create: true,
				withTopic: false,
				version: { kind: "timestamp" },
				maxFutureMs: 86_400_000,
			},
			columns: [
				{ name: "a", type: "text", path: ["a"], nullable: true },
				{ name: "b", type: "int4", path: ["x", "y"], nullable: false },
				{ name: "c", type: "bytea", encoding: "hex", path: ["c"], nullable: true },
			],
		});
		expect(layout({ columns: { a: "text" } })?.columns[0]).not.toHaveProperty("encoding");
	});

	it("takes its own way to compare versions, else the common one", () => {
		const cas = { version: "field", field: "v", maxFutureMs: 5 };
		const columns = { v: "numeric(10,2)" };
		expect(layout({ columns }, { cas })).toMatchObject({ version: { kind: "field", column: "v", type: "numeric" }, maxFutureMs: 5 });
		expect(layout({ columns, cas: { version: "offset" } }, { cas })).toMatchObject({ version: { kind: "offset" }, maxFutureMs: 5 });
		expect(layout({ columns, cas: { maxFutureMs: 6 } }, { cas: { maxFutureMs: 5 } })).toMatchObject({ maxFutureMs: 6 });
	});

	it("has the topic in its versions where several topics feed it", () => {
		const of = (...topics: string[]) => layout({}, { kafka: { topics } })?.withTopic;
		expect([of(), of("a"), of("a", "b"), of("^a")]).toEqual([false, false, true, true]);
	});

	it("says which tables wait for others, and which are written as one", () => {
		const config = load({ tables: { a: { references: { waitMs: 7 } }, b: { atomic: "message" }, c: {} } });
		expect([[...referenceWaits(config)], [...atomicTables(config)]]).toEqual([[["a", 7]], ["b"]]);
	});
});

describe("an embedded run", () => {
	const at = { brokers: ["127.0.0.1:5"], databaseUrl: "postgres://u:embedded-secret@127.0.0.1:6/d" };

	it("adds the example to a configuration that has nothing", () => {
		const config = withEmbeddedProfile(load({ database: { connections: 9 } }), at);
		expect(config.kafka).toMatchObject({
			brokers: at.brokers,
			group: "pockaffe-example",
			topics: ["events"],
			onOffsetOutOfRange: "earliest",
		});
		expect([config.handler.module, Object.keys(config.tables), config.database]).toEqual([
			"pockaffe:example",
			["events"],
			{ url: at.databaseUrl, connections: 9 },
		]);
		expect(knownSecrets.mask("it is embedded-secret")).toBe("it is ***");
	});

	it("keeps the user's own settings, but no log-in", () => {
		const kafka = { brokers: ["k:1"], group: "g", topics: ["t"], instanceId: "i", tls: { ca: "x" }, properties: { "client.id": "c" } };
		const config = withEmbeddedProfile(
			load({ kafka, handler: { module: "/h.mjs" }, tables: { own: {} }, database: { url: "postgres://x", passwordFile: "f" } }),
			at,
		);
		expect(config.kafka).toMatchObject({
			brokers: at.brokers,
			group: "g",
			topics: ["t"],
			instanceId: "",
			tls: {},
			sasl: {},
			properties: {},
		});
		expect([config.handler.module, Object.keys(config.tables), config.database]).toEqual([
			"/h.mjs",
			["own"],
			{ url: at.databaseUrl, connections: 2 },
		]);
	});
});

describe("what is told of a problem", () => {
	const told = (problem: ConfigProblem) => configError("x.yaml", [problem]).message.split("\n  ")[1];

	it("counts them", () => {
		const one = { path: ["a", 0, "b"], rule: "is wrong" };
		expect([configError("x.yaml", [one]).message, configError("x.yaml", [one, one]).message.split("\n")[0]]).toEqual([
			"1 error in the configuration (x.yaml):\n  a[0].b – is wrong",
			"2 errors in the configuration (x.yaml):",
		]);
	});

	it("has the value, cut at 80 characters and without accounts", () => {
		const of = (value: unknown, path = ["a"]) => told({ path, rule: "r", value });
		expect([of(null), of(undefined), of(0), of({ b: 1n }), of("x", [])]).toEqual([
			"a: null – r",
			"a: nothing – r",
			"a: 0 – r",
			'a: {"b":"1"} – r',
			"*** – r",
		]);
		expect([of("x".repeat(78)), of("x".repeat(79))]).toEqual([`a: "${"x".repeat(78)}" – r`, `a: "${"x".repeat(79)}… – r`]);
		expect(of("kafka://user:pass@h:1,user2:pass2@h:2")).toBe('a: "kafka://***@h:1,***@h:2" – r');
		expect(told({ path: ["a"], rule: "r", from: "POCKAFFE_A" })).toBe("a – r (from POCKAFFE_A)");
	});

	it("names a near key only where it is near, in any case, and where two letters are swapped", () => {
		const known = ["group", "topics", "startFrom"];
		expect([nearest("gruop", known), nearest("GROUP", known), nearest("startfrm", known), nearest("zzz", known), nearest("x", [])]).toEqual(
			[" (did you mean group?)", " (did you mean group?)", " (did you mean startFrom?)", "", ""],
		);
		// A third of its letters, and no more.
		expect([nearest("topxxs", ["topics"]), nearest("toxxxs", ["topics"])]).toEqual([" (did you mean topics?)", ""]);
	});

	it("says how to name what is missing, in the words of whoever configured it", () => {
		const config = load({});
		expect([missingBrokers(config, "x.yaml"), missingBrokers(config, passed)].map(([problem]) => problem?.rule)).toEqual([
			"is needed: set it in the file, or POCKAFFE_KAFKA_BROKERS=host:port",
			"is needed: host:port",
		]);
		expect(missingBrokers(load({ kafka: { brokers: ["a:1"] } }), passed)).toEqual([]);
		expect(() => requireForRun(load({ database: { url: "postgres://h/d" } }), withoutFile)).toThrow("kafka.brokers – is needed");
	});
});

it("the rest of a configuration is what no issue names; a list goes whole", () => {
	const rest = remainingOf(configSchema, {
		kafka: { group: "g", topics: ["a", 5], brokres: 1 },
		batch: { maxRows: 0, maxBytes: 7 },
		lgo: {},
	});
	expect(rest?.data).toMatchObject({ kafka: { group: "g", topics: [] }, batch: { maxRows: 5_000, maxBytes: 7 } });
	expect(rest?.removed.map(keyOf).sort()).toEqual(["batch.maxRows", "kafka.brokres", "kafka.topics[1]", "lgo"]);
	expect(remainingOf(configSchema, 5)).toBeNull();
	const touching = [
		touches(["a", "b"], ["a"]),
		touches(["a"], ["a", "b"]),
		touches(["a", "b", "c"], ["a", "b", "d"]),
		touches(["a", "b"], ["a", "c"]),
		touches(["b"], ["a"]),
	];
	expect(touching).toEqual([true, true, true, false, false]);
});

describe("the schema's options", () => {
	const kinds = new Map(leaves(configSchema).map(({ path, kind, type, default: fallback }) => [path.join("."), [kind, type, fallback]]));

	it.each([
		["kafka.brokers", ["list", "list", []]],
		["kafka.properties", ["map", "map", {}]],
		["kafka.startFrom", ["scalar", "earliest | latest | number | text", "earliest"]],
		["kafka.timestampType", ["text", "create | append", ""]],
		["kafka.sasl.password", ["text", "text", undefined]],
		["http.port", ["scalar", "number", 9464]],
		["http.admin", ["scalar", "true | false", false]],
		["tables", ["map", "map", {}]],
	])("%s is %j", (name, leaf) => {
		expect(kinds.get(name)).toEqual(leaf);
	});

	it("are known by name below each path, also in a map and in a value of several forms", () => {
		expect(keysAt(configSchema, ["http"])).toEqual(["host", "port", "admin", "token"]);
		expect(keysAt(configSchema, ["tables", "any", "columns", "any"])).toEqual(["type", "encoding", "from", "null"]);
		expect([
			keysAt(configSchema, ["kafka", "properties"]),
			keysAt(configSchema, ["nowhere"]),
			keysAt(configSchema, ["http", "port"]),
		]).toEqual([null, null, null]);
		expect([
			valueSchemaAt(configSchema, ["tables"]) === null,
			valueSchemaAt(configSchema, ["kafka", "properties"]),
			valueSchemaAt(configSchema, ["nowhere"]),
		]).toEqual([false, null, null]);
	});

	it("have defaults that are shown, unless they are empty", () => {
		expect([undefined, "", [], {}, 0, false, "x", [1]].map(plainDefault)).toEqual(["", "", "", "", "0", "false", "x", "[1]"]);
		const lines = renderOptionHelp().split("\n");
		expect(lines.find((line) => line.includes(" http.port "))).toMatch(/any free port \[9464\]$/);
		expect(lines.find((line) => line.includes(" kafka.group "))).toMatch(/Consumer group$/);
	});
});

it.each<[written: string, type: string | null]>([
	["timestamp(9)", "timestamp(9)"],
	["timestamp(10)", null],
	["numeric(1,-2)", "numeric(1,-2)"],
	["bool(1)", null],
	["geometry(1)", "geometry(1)"],
	['"My Type"', '"My Type"'],
	["time with time zone", "timetz"],
	["bit varying", "varbit"],
	["", null],
	["big int", null],
])("a column type %j is sent as %j", (written, type) => {
	const parsed = parseColumnType(written);
	expect([parsed.problem === null, parsed.problem === null ? parsed.type : null]).toEqual([type !== null, type]);
});

it("passwords are found in a URL before the host and among its parameters", () => {
	expect(passwordsIn("postgres://u:a@b@h/d?password=c&sslpassword=d&user=e").filter(Boolean)).toEqual(["a@b", "c", "d"]);
	expect(passwordsIn("postgres://u@h:1/d?host=x:y@z").filter(Boolean)).toEqual([]);
});

it("a key below what is empty or missing is removed without a word, as below a text", () => {
	for (const written of [{ kafka: null }, {}, { kafka: "a" }]) {
		remove(written, ["kafka", "brokers"]);
		remove(written, []);
	}
	const written = { kafka: { brokers: ["a:1"], topics: ["t"] } };
	remove(written, ["kafka", "brokers"]);
	expect(written).toEqual({ kafka: { topics: ["t"] } });
});

it("kafka.startFrom may be the beginning of time, and nothing before it", () => {
	const startFrom = (value: number | string) => load({ kafka: { startFrom: value } }).kafka.startFrom;
	expect([startFrom(0), startFrom("1970-01-01T00:00:00Z"), startFrom(1)]).toEqual([0, 0, 1]);
	expect(problems({ kafka: { startFrom: -1 } })).toEqual([expect.stringContaining("earliest, latest, or a timestamp")]);
});
