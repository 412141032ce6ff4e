/**
 * The one schema of the configuration: validation, `--help`, docs/configuration.md and config/example.yaml come from it.
 * Keys, nesting and defaults are API. Rules that concern several keys are in rules.ts.
 */
import * as z from "zod";
import { bytesEncodings } from "../../core/rows/rows.ts";
import { idTypes, parseColumnType, typeHelp } from "./column-types.ts";

const positive = (rule = "a whole number above 0") => z.int(rule).min(1, rule);
const notNegative = (rule = "a whole number, 0 or more") => z.int(rule).min(0, rule);
/** A duration with a limit that depends on its use: longer values are mistakes, and may exceed what a timer can hold. */
const duration = (least: 0 | 1, most: keyof typeof durations) => {
	const rule = `milliseconds: a whole number from ${least} to ${durations[most]} (${most})`;
	return z.int(rule).min(least, rule).max(durations[most], rule);
};
const durations = {
	"a minute": 60_000,
	"a day": 86_400_000,
	"a week": 604_800_000,
	"a hundred years": 3_155_760_000_000,
} as const;
const text = () => z.string("a text");
const oneOf = <const V extends readonly [string, ...string[]]>(...values: V) => z.enum(values, { error: `one of ${values.join(", ")}` });
const broker = z.string("host:port").regex(/^(\[[0-9a-fA-F:]+\]|[^\s:/,]+):\d{1,5}$/, "host:port, e.g. 127.0.0.1:9092");

const topic = z.string("a topic's name, or ^… for a regular expression").check((context) => {
	const { value } = context;
	const issue = (message: string) => context.issues.push({ code: "custom", input: value, message });
	if (!value.startsWith("^")) {
		if (!/^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/.test(value))
			issue("a topic's name (letters, digits, . _ -; at most 249), or ^… for a regular expression");
		return;
	}
	try {
		new RegExp(value);
	} catch {
		issue("a valid regular expression after ^");
	}
});

const producedTopic = z
	.string("a topic's name")
	.regex(/^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/, "a topic's name (letters, digits, . _ -; at most 249)");

/** A date or a number of ms becomes ms. */
const startFrom = z
	.union([oneOf("earliest", "latest"), z.number(), z.string()], { error: "earliest, latest, or a timestamp (ISO date or ms)" })
	.transform((value, context) => {
		if (value === "earliest" || value === "latest") return value;
		const ms = typeof value === "number" ? value : /^\d{10,}$/.test(value) ? Number(value) : Date.parse(value);
		if (Number.isSafeInteger(ms) && ms >= 0) return ms;
		context.issues.push({ code: "custom", input: value, message: "earliest, latest, or a timestamp (ISO date or ms)" });
		return z.NEVER;
	});

const kafka = z.strictObject({
	brokers: z
		.array(broker, "a list of host:port")
		.default([])
		.describe("Broker addresses (host:port) for the first connection to the cluster"),
	group: text().default("").describe("Consumer group"),
	topics: z.array(topic, "a list of topics").default([]).describe("Topics to read; one that begins with ^ is a regular expression"),
	startFrom: startFrom
		.default("earliest")
		.describe(
			"Where a group without committed offsets starts: earliest, latest, or a timestamp (ISO date or ms); the start is committed at once",
		),
	onOffsetOutOfRange: oneOf("park", "earliest", "latest")
		.default("park")
		.describe("If the next offset is outside the log: park the partition, or jump to the earliest or latest offset"),
	protocol: oneOf("classic", "eager", "consumer")
		.default("classic")
		.describe("Group protocol: classic (cooperative-sticky), eager, or consumer (KIP-848)"),
	instanceId: text()
		.default("")
		.describe("Static membership (group.instance.id): a restart within the session timeout causes no rebalance"),
	timestampType: oneOf("", "create", "append")
		.default("")
		.describe("Type of all record timestamps (tsType); used only without the addon, because node-rdkafka does not report it"),
	tls: z
		.strictObject({
			ca: text().optional().describe("CA certificates: a file or PEM text"),
			cert: text().optional().describe("Client certificate: a file or PEM text"),
			key: text().optional().describe("Private key of the client certificate: a file or PEM text"),
		})
		.default({})
		.describe('TLS; any of its keys turns it on; `{ca: ""}` trusts the system\'s CAs'),
	sasl: z
		.strictObject({
			mechanism: oneOf("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
				.optional()
				.describe("SASL mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
			username: text().optional().describe("User name"),
			password: text().optional().describe("Password; never printed"),
			passwordFile: text()
				.optional()
				.describe("File whose first line is the password (path relative to this file); a changed password is used without a restart"),
		})
		.default({})
		.describe("SASL"),
	properties: z
		.record(z.string(), z.union([z.string(), z.number(), z.boolean()], "a text, number or boolean"))
		.default({})
		.describe("Other librdkafka properties; an error for those that delivery depends on"),
});

const handler = z.strictObject({
	module: text()
		.default("")
		.describe("ES module with handleMessage or handleMessages (path relative to this file); or pockaffe:json, pockaffe:log"),
	options: z
		.record(z.string(), z.unknown())
		.default({})
		.describe("Passed to the handler's init; for pockaffe:json: `id`, the field (or path, like after.id) with the row's id"),
	concurrency: positive()
		.default(1)
		.describe("How many async handleMessage calls of one partition may run at once; never two for the same key"),
	timeoutMs: duration(1, "a day").default(30_000).describe("Time limit for one call of the handler"),
	maxAttempts: positive().default(5).describe("Failed attempts after which a message is poison"),
	retryBackoffMs: duration(0, "a day").default(50).describe("Wait before the second attempt; doubles with each further attempt"),
	maxRetryBackoffMs: duration(0, "a day").default(5_000).describe("Maximum wait between attempts"),
	version: z
		.string()
		.max(100)
		.default("")
		.describe("Name of the handler's version in /status, the log, metrics and dead letters; empty: a hash of its files"),
	maxOutcomeBytes: positive("bytes: a whole number above 0").default(16_777_216).describe("Maximum size of what one call returns"),
	onPoison: oneOf("dead-letter", "park", "skip", "stop")
		.default("dead-letter")
		.describe("What happens to a poison message: store a dead letter, park the partition, skip the message, or stop the daemon"),
	produces: z
		.array(producedTopic, "a list of topics")
		.default([])
		.describe(
			"Topics that the handler may produce to; `check` checks them; a record for any other topic is a failed attempt; empty: all topics allowed",
		),
	dropRepeats: z
		.boolean("true or false")
		.default(false)
		.describe(
			"Do not call the handler for records that PocKaffe produced a second time (recognised by the headers that name their source)",
		),
});

const supervisor = z.strictObject({
	maxRestarts: notNegative().default(10).describe("Maximum restarts of a partition's thread within `withinMs`"),
	withinMs: duration(1, "a week").default(60_000).describe("Period in which restarts are counted"),
	onExceeded: oneOf("park", "stop").default("park").describe("After too many restarts: park the partition, or stop the daemon (exit 3)"),
	minBackoffMs: duration(0, "a day").default(50).describe("Wait before the first restart; doubles, with jitter"),
	maxBackoffMs: duration(0, "a day")
		.default(30_000)
		.describe("Maximum wait before a restart; also how often a parked partition is tried again"),
});

const workers = z.strictObject({
	maxThreads: notNegative().default(0).describe("Maximum handler threads, shared by the partitions; 0: one thread per assigned partition"),
	maxQueuedMessages: positive().default(100_000).describe("Maximum messages in hand (received, not yet finished) in the whole daemon"),
	maxQueuedBytes: positive("bytes: a whole number above 0").default(67_108_864).describe("Maximum bytes of the messages in hand"),
	maxHeapMb: positive("MiB: a whole number above 0").default(256).describe("Memory limit of one handler thread: its heap and its Buffers"),
});

const database = z.strictObject({
	url: text()
		.regex(/^(postgres(ql)?:\/\/.*)?$/s, "postgres://user:password@host:port/name")
		.default("")
		.describe("Connection URL as for psql: postgres://user:password@host:port/name?sslmode=…; never printed"),
	passwordFile: text()
		.optional()
		.describe("File whose first line is the password (path relative to this file); read for each new connection"),
	passwordCommand: text().optional().describe("Shell command that prints the password; run for each new connection; never printed"),
	connections: positive().default(2).describe("Database connections for writing; each runs one statement at a time"),
});

const version = {
	version: oneOf("timestamp", "offset", "field").describe(
		"Which of two rows is newer: by record timestamp, by offset, or by a column (`field`)",
	),
	field: text().describe("Column that decides when `version` is `field`"),
	maxFutureMs: duration(0, "a hundred years").describe(
		"With version `timestamp`: a message whose timestamp is further in the future than this becomes a dead letter",
	),
};

const columnType = z
	.string("a column type")
	.check((context) => {
		const problem = parseColumnType(context.value).problem;
		if (problem) context.issues.push({ code: "custom", input: context.value, message: problem });
	})
	.transform((value) => parseColumnType(value).type);

const column = z.union(
	[
		columnType,
		z.strictObject({
			type: columnType.describe(`One of ${typeHelp}`),
			encoding: oneOf(...bytesEncodings)
				.optional()
				.describe("How a string for a bytea column is read: utf8 (default: its characters), hex or base64"),
			from: text().min(1, "a path, e.g. price.amount").optional().describe("Path of the value in `fields`, e.g. price.amount"),
			null: z.boolean("true or false").optional().describe("false: a row without this value is refused"),
		}),
	],
	{ error: "a column type, or {type, from, null, encoding}" },
);

const identifier = z
	.string("a name")
	.min(1, "a name")
	.refine((name) => !name.includes("\0") && Buffer.byteLength(name) <= 63, "a name of at most 63 bytes");

const table = z.strictObject({
	id: z
		.strictObject({
			column: identifier.default("id").describe("Name of the id column, the primary key"),
			type: oneOf(...idTypes)
				.default("text")
				.describe(`One of ${idTypes.join(", ")}`),
		})
		.prefault({})
		.describe("The id column"),
	columns: z.record(identifier, column).default({}).describe("Data columns by name: a type, or {type, from, null, encoding}"),
	create: z.boolean("true or false").default(false).describe("Create the table at start if it is missing"),
	atomic: oneOf("none", "message")
		.default("none")
		.describe("message: a message's rows in all tables with this setting are written in one transaction, or none of them is"),
	references: z
		.union([oneOf("none"), z.strictObject({ waitMs: duration(1, "a day").describe("How long, in ms") })], { error: "none, or {waitMs}" })
		.default("none")
		.describe(
			"`{waitMs: …}`: how long a row waits for the row that its foreign key refers to, if that comes from another partition or topic",
		),
	cas: z
		.strictObject({ version: version.version.optional(), field: version.field.optional(), maxFutureMs: version.maxFutureMs.optional() })
		.default({})
		.describe("Overrides `cas` for this table"),
});

const cas = z.strictObject({
	version: version.version.default("timestamp"),
	field: version.field.default(""),
	maxFutureMs: version.maxFutureMs.default(86_400_000),
});

const batch = z.strictObject({
	maxRows: positive().default(5_000).describe("Maximum rows per statement"),
	maxBytes: positive("bytes: a whole number above 0").default(4_194_304).describe("Maximum bytes per statement"),
	lingerMs: duration(0, "a minute")
		.default(5)
		.describe("Maximum time a batch waits for more rows; it does not wait if only few would arrive"),
	minRows: positive()
		.default(100)
		.describe("If the database is slow, statements get smaller, but not below this number of rows (at most maxRows)"),
	answerMs: duration(1, "a minute").default(250).describe("Target latency per statement; the number of rows is tuned to meet it"),
});

const offsets = z.strictObject({
	store: oneOf("kafka", "postgres")
		.default("kafka")
		.describe("Where offsets are stored: kafka; or postgres (in the database, fenced by an epoch, and afterwards in Kafka too)"),
	commitIntervalMs: duration(1, "a day").default(1_000).describe("Interval between commits of finished offsets"),
	table: text()
		.min(1, "a table's name")
		.default("pockaffe_offsets")
		.describe(
			"Table for store `postgres`; with either store, the table <table>_start has PocKaffe's notes of where the group began and how far it came",
		),
});

const deadLetters = z.strictObject({
	target: oneOf("table", "topic").default("table").describe("Where dead letters are stored: a table or a topic"),
	table: text().min(1, "a table's name").default("pockaffe_dead_letters").describe("Table for the target `table`"),
	topic: text().default("").describe("Topic for the target `topic`; created at start if it is missing"),
	breaker: z
		.strictObject({
			share: z
				.number("a number above 0, at most 1")
				.gt(0, "a number above 0, at most 1")
				.max(1, "a number above 0, at most 1")
				.default(0.1)
				.describe("Share of a period's messages that may become dead letters; a larger share opens the breaker; 1 disables this check"),
			minMessages: positive().default(100).describe("Minimum messages in the period before the share is checked"),
			withinMs: duration(1, "a week").default(60_000).describe("Period in which messages and dead letters are counted"),
			consecutive: notNegative().default(20).describe("Consecutive dead letters that open the breaker; 0 disables this check"),
		})
		.prefault({})
		.describe(
			"The breaker parks a partition before it makes too many dead letters; after a changed handler, a resume or a restart, one message decides whether it stays parked",
		),
});

/** The whole configuration, with the default of every key. */
export const configSchema = z.strictObject({
	kafka: kafka.prefault({}).describe("Where messages come from"),
	handler: handler.prefault({}).describe("What is done with messages"),
	supervisor: supervisor.prefault({}).describe("How often a partition's thread is restarted, and what happens after too many restarts"),
	workers: workers.prefault({}).describe("Threads and queues"),
	database: database.prefault({}).describe("Where rows go"),
	tables: z.record(identifier, table).default({}).describe("The tables by name"),
	cas: cas.prefault({}).describe("Compare-and-set: which of two rows is newer"),
	batch: batch.prefault({}).describe("How rows are batched"),
	offsets: offsets.prefault({}).describe("How offsets are stored and committed"),
	deadLetters: deadLetters.prefault({}).describe("Messages that can't be handled or written"),
	drain: z
		.strictObject({ timeoutMs: duration(1, "a day").default(8_000).describe("Maximum time for a drain") })
		.prefault({})
		.describe("Drain at a stop or when a partition is revoked: finish, write and commit what is in hand"),
	http: z
		.strictObject({
			host: text().min(1, "an address").default("127.0.0.1").describe("Address to listen on"),
			port: z
				.int("0 to 65535")
				.min(0, "0 to 65535")
				.max(65_535, "0 to 65535")
				.default(9464)
				.describe("Port to listen on; 0: any free port"),
			admin: z
				.boolean("true or false")
				.default(false)
				.describe("Allow control over HTTP: pause, resume, restart, skip, set offsets, drain"),
			token: text()
				.default("")
				.describe("Bearer token for control, and for /status and the details of /readyz if host is not loopback; never printed"),
		})
		.prefault({})
		.describe("Metrics, health, status"),
	log: z
		.strictObject({
			level: oneOf("trace", "debug", "info", "warn", "error", "fatal", "silent").default("info").describe("Lowest level to log"),
			format: oneOf("auto", "json", "text").default("auto").describe("Log format; auto: text on a terminal, JSON elsewhere"),
		})
		.prefault({})
		.describe("Logs"),
});
