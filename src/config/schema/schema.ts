/**
 * The one schema of the configuration: validation, `--help`, docs/configuration.md and config/example.yaml come from it.
 * Keys, nesting and defaults are API. Rules that concern several keys are in rules.ts.
 */
import { z } from "zod";
import { bytesEncodings } from "../../core/rows/rows.ts";
import { idTypes, parseColumnType, typeHelp } from "./column-types.ts";

const positive = (rule = "a whole number above 0") => z.int(rule).min(1, rule);
const notNegative = (rule = "a whole number, 0 or more") => z.int(rule).min(0, rule);
/** A duration, bounded by what it is for: what is longer is a slip of the pen, and more than a timer can hold. */
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
		if (!/^[a-zA-Z0-9._-]{1,249}$/.test(value))
			issue("a topic's name (letters, digits, . _ -; at most 249), or ^… for a regular expression");
		return;
	}
	try {
		new RegExp(value);
	} catch {
		issue("a valid regular expression after ^");
	}
});

const producedTopic = z.string("a topic's name").regex(/^[a-zA-Z0-9._-]{1,249}$/, "a topic's name (letters, digits, . _ -; at most 249)");

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
	brokers: z.array(broker, "a list of host:port").default([]).describe("Addresses to find the cluster by"),
	group: text().default("").describe("Consumer group"),
	topics: z.array(topic, "a list of topics").default([]).describe("Topics; `^…` is a regular expression"),
	startFrom: startFrom
		.default("earliest")
		.describe("Where a group without commits starts: earliest, latest, or a timestamp; committed at once"),
	onOffsetOutOfRange: oneOf("park", "earliest", "latest").default("park").describe("What to do where the position is outside the log"),
	protocol: oneOf("classic", "eager", "consumer").default("classic").describe("classic (cooperative-sticky), eager, or consumer (KIP-848)"),
	instanceId: text().default("").describe("Static membership: a restart within the session timeout causes no rebalance"),
	timestampType: oneOf("", "create", "append")
		.default("")
		.describe("What record timestamps are, where the client can't tell: without the addon"),
	tls: z
		.strictObject({
			ca: text().optional().describe("CA certificates: a file, or PEM text"),
			cert: text().optional().describe("Client certificate: a file, or PEM text"),
			key: text().optional().describe("Client key: a file, or PEM text"),
		})
		.default({})
		.describe('TLS; any key given turns it on, `{ca: ""}` uses the system\'s certificates'),
	sasl: z
		.strictObject({
			mechanism: oneOf("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512").optional().describe("PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
			username: text().optional().describe("User"),
			password: text().optional().describe("Password; never printed"),
			passwordFile: text()
				.optional()
				.describe("A file with the password in its first line, relative to this file; a new one is taken without a restart"),
		})
		.default({})
		.describe("SASL"),
	properties: z
		.record(z.string(), z.union([z.string(), z.number(), z.boolean()], "a text, number or boolean"))
		.default({})
		.describe("Any other librdkafka property; those that delivery depends on are refused"),
});

const handler = z.strictObject({
	module: text()
		.default("")
		.describe("ES module with handleMessage or handleMessages, relative to this file; or pockaffe:json, pockaffe:log"),
	options: z
		.record(z.string(), z.unknown())
		.default({})
		.describe("Handed to the handler's init; pockaffe:json takes `id`, a field or a path to it (after.id)"),
	concurrency: positive().default(1).describe("Messages of one partition whose handleMessage may overlap; never two with one key"),
	timeoutMs: duration(1, "a day").default(30_000).describe("Longest a single call of the handler may take"),
	maxAttempts: positive().default(5).describe("Failed attempts that make a message poison"),
	retryBackoffMs: duration(0, "a day").default(50).describe("Wait before the second attempt; doubles"),
	maxRetryBackoffMs: duration(0, "a day").default(5_000).describe("Longest wait between attempts"),
	version: z
		.string()
		.max(100)
		.default("")
		.describe("What this handler is called in /status, the log, metrics and dead letters; empty: a hash of its files"),
	maxOutcomeBytes: positive("bytes: a whole number above 0").default(16_777_216).describe("Largest outcome of one call"),
	onPoison: oneOf("dead-letter", "park", "skip", "stop").default("dead-letter").describe("What becomes of a poison message"),
	produces: z
		.array(producedTopic, "a list of topics")
		.default([])
		.describe("Topics that the handler may produce to: `check` looks at them, and any other is a failed attempt; empty: any"),
	dropRepeats: z
		.boolean("true or false")
		.default(false)
		.describe("Messages that PocKaffe produced again (by their source's headers) are finished without a call of the handler"),
});

const supervisor = z.strictObject({
	maxRestarts: notNegative().default(10).describe("Restarts of a partition's thread, more of which are too many"),
	withinMs: duration(1, "a week").default(60_000).describe("The period in which they are counted"),
	onExceeded: oneOf("park", "stop").default("park").describe("Then: park the partition, or stop the daemon (exit 3)"),
	minBackoffMs: duration(0, "a day").default(50).describe("Wait before the first restart; doubles, with jitter"),
	maxBackoffMs: duration(0, "a day").default(30_000).describe("Longest wait; also how often a parked partition is tried again"),
});

const workers = z.strictObject({
	maxThreads: notNegative().default(0).describe("Most threads, which partitions then share; 0: one per assigned partition"),
	maxQueuedMessages: positive().default(100_000).describe("Messages received and not yet committable, in the whole daemon"),
	maxQueuedBytes: positive("bytes: a whole number above 0").default(67_108_864).describe("The same in bytes"),
	maxHeapMb: positive("MiB: a whole number above 0").default(256).describe("Memory of a worker thread: its heap, and its Buffers"),
});

const database = z.strictObject({
	url: text()
		.regex(/^(postgres(ql)?:\/\/.*)?$/s, "postgres://user:password@host:port/name")
		.default("")
		.describe("postgres://user:password@host:port/name?sslmode=…, as for psql; never printed"),
	passwordFile: text().optional().describe("A file with the password in its first line, relative to this file; read at each connection"),
	passwordCommand: text().optional().describe("A command that prints the password, run at each connection; never printed"),
	connections: positive().default(2).describe("Connections, and so statements at a time"),
});

const version = {
	version: oneOf("timestamp", "offset", "field").describe("What decides which of two rows is newer"),
	field: text().describe("The column that decides, for `field`"),
	maxFutureMs: duration(0, "a hundred years").describe("A timestamp further ahead than this is a dead letter (version timestamp)"),
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
				.describe("What a string means that goes into bytea; utf8 (the default): its characters"),
			from: text().min(1, "a path, e.g. price.amount").optional().describe("Where the value is in `fields`, e.g. price.amount"),
			null: z.boolean("true or false").optional().describe("false: a row without a value is refused"),
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
	create: z.boolean("true or false").default(false).describe("Create the table at start where it is missing"),
	atomic: oneOf("none", "message")
		.default("none")
		.describe("message: the rows of one message in the tables that say so land in one transaction, or are refused together"),
	references: z
		.union([oneOf("none"), z.strictObject({ waitMs: duration(1, "a day").describe("How long, ms") })], { error: "none, or {waitMs}" })
		.default("none")
		.describe("`{waitMs: …}`: how long a row waits for the row of another partition or topic that its foreign key asks for"),
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
	maxRows: positive().default(5_000).describe("Most rows of a statement"),
	maxBytes: positive("bytes: a whole number above 0").default(4_194_304).describe("Most bytes of a statement"),
	lingerMs: duration(0, "a minute").default(5).describe("Longest the first row of a batch waits for more; not at all where few would come"),
	minRows: positive().default(100).describe("A slow database gets smaller statements, down to so many rows (or maxRows)"),
	answerMs: duration(1, "a minute")
		.default(250)
		.describe("Time in which the database should answer a statement: its rows are chosen by that"),
});

const offsets = z.strictObject({
	store: oneOf("kafka", "postgres")
		.default("kafka")
		.describe("Where offsets are kept; postgres: in the database, fenced, with Kafka's following"),
	commitIntervalMs: duration(1, "a day").default(1_000).describe("How often finished offsets are committed"),
	table: text()
		.min(1, "a table's name")
		.default("pockaffe_offsets")
		.describe("The table, for `postgres`; where a group began is in <table>_start"),
});

const deadLetters = z.strictObject({
	target: oneOf("table", "topic").default("table").describe("Where dead letters go"),
	table: text().min(1, "a table's name").default("pockaffe_dead_letters").describe("The table, for `table`"),
	topic: text().default("").describe("The topic, for `topic`; created at start where it is missing"),
	breaker: z
		.strictObject({
			share: z
				.number("a number above 0, at most 1")
				.gt(0, "a number above 0, at most 1")
				.max(1, "a number above 0, at most 1")
				.default(0.1)
				.describe("More than this share of the messages of the period; 1: never by share"),
			minMessages: positive().default(100).describe("Messages of the period from which the share counts"),
			withinMs: duration(1, "a week").default(60_000).describe("The period"),
			consecutive: notNegative().default(20).describe("So many dead letters in a row; 0: never by a row"),
		})
		.prefault({})
		.describe("Parks a partition before it makes too many dead letters; one message decides after a changed file, resume or restart"),
});

/** See the file's header. */
export const configSchema = z.strictObject({
	kafka: kafka.prefault({}).describe("Where messages come from"),
	handler: handler.prefault({}).describe("What is done with them"),
	supervisor: supervisor.prefault({}).describe("When a partition's thread is restarted, and when no more"),
	workers: workers.prefault({}).describe("Threads and queues"),
	database: database.prefault({}).describe("Where rows go"),
	tables: z.record(identifier, table).default({}).describe("The tables by name"),
	cas: cas.prefault({}).describe("Compare-and-set: which of two rows is newer"),
	batch: batch.prefault({}).describe("How rows are batched"),
	offsets: offsets.prefault({}).describe("How offsets are committed"),
	deadLetters: deadLetters.prefault({}).describe("What can't be handled or written"),
	drain: z
		.strictObject({ timeoutMs: duration(1, "a day").default(8_000).describe("Longest a drain may take") })
		.prefault({})
		.describe("Stops and revocations"),
	http: z
		.strictObject({
			host: text().min(1, "an address").default("127.0.0.1").describe("Address to listen at"),
			port: z.int("0 to 65535").min(0, "0 to 65535").max(65_535, "0 to 65535").default(9464).describe("Port; 0: any free one"),
			admin: z.boolean("true or false").default(false).describe("Control over HTTP: pause, resume, restart, drain"),
			token: text()
				.default("")
				.describe("Bearer token for control, and beyond loopback for /status and the words of /readyz; never printed"),
		})
		.prefault({})
		.describe("Metrics, health, status"),
	log: z
		.strictObject({
			level: oneOf("trace", "debug", "info", "warn", "error", "fatal", "silent").default("info").describe("Lowest level that is logged"),
			format: oneOf("auto", "json", "text").default("auto").describe("auto: text on a terminal, JSON elsewhere"),
		})
		.prefault({})
		.describe("Logs"),
});
