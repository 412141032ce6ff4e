/** Rules between several keys of a valid configuration; schema.ts has those for a single value. Pure. */
import { isLoopbackName } from "../../core/loopback.ts";
import { isTopicMeant } from "../../core/messages/message.ts";
import { columnTypeOf } from "../../core/rows/column-type.ts";
import type { Config } from "../config.ts";
import { tableLayouts } from "../table-layouts.ts";
import type { ConfigProblem } from "./problems.ts";

/** librdkafka's default. */
const DEFAULT_MAX_POLL_INTERVAL_MS = 300_000;

const AFTER_ROWS = "offsets are committed only after their rows are durable";
const ALL_REPLICAS = "offsets are committed only after all in-sync replicas have the records";
const IN_ORDER = "records are produced once and in order";
const UNTIL_TAKEN = "a record is tried until the broker has it or refuses it (deliveryTimeoutMs of createProducer)";
const CALLBACKS = "the daemon sets the callbacks";

/** Properties that PocKaffe sets itself: what to use instead, or why not. */
const refusedProperties: Readonly<Record<string, string>> = {
	"group.id": "use kafka.group",
	"group.instance.id": "use kafka.instanceId",
	"group.protocol": "use kafka.protocol",
	"partition.assignment.strategy": "use kafka.protocol",
	"enable.auto.commit": AFTER_ROWS,
	"auto.commit.enable": AFTER_ROWS,
	"enable.auto.offset.store": AFTER_ROWS,
	"auto.commit.interval.ms": "use offsets.commitIntervalMs",
	"auto.offset.reset": "use kafka.startFrom and kafka.onOffsetOutOfRange",
	"enable.partition.eof": "the daemon needs the ends of partitions",
	"bootstrap.servers": "use kafka.brokers",
	"metadata.broker.list": "use kafka.brokers",
	"security.protocol": "use kafka.tls and kafka.sasl",
	"sasl.mechanism": "use kafka.sasl.mechanism",
	"sasl.mechanisms": "use kafka.sasl.mechanism",
	"sasl.username": "use kafka.sasl.username",
	"sasl.password": "use kafka.sasl.password",
	acks: ALL_REPLICAS,
	"request.required.acks": ALL_REPLICAS,
	"enable.idempotence": IN_ORDER,
	"enable.gapless.guarantee": IN_ORDER,
	"transactional.id": "records are produced without transactions",
	"message.timeout.ms": UNTIL_TAKEN,
	"delivery.timeout.ms": UNTIL_TAKEN,
	"log.queue": "the daemon reads the client's log",
	rebalance_cb: CALLBACKS,
	offset_commit_cb: CALLBACKS,
	event_cb: CALLBACKS,
};

/** Numeric properties that the daemon needs for the client's reports. */
const neededNumbers: Readonly<Record<string, { readonly least: number; readonly most: number; readonly why: string }>> = {
	"statistics.interval.ms": { least: 1, most: 60_000, why: "only the client's statistics tell that the group's coordinator is away" },
	log_level: { least: 4, most: 7, why: "only the client's warnings tell that the session is over" },
};

/** Properties that a client of a KIP-848 group may not have: librdkafka refuses to start with them. */
const brokersProperties: readonly string[] = ["session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type"];

const systemColumns = new Set(["kafka_ts", "kafka_offset", "kafka_partition", "kafka_topic", "deleted"]);
const fieldTypes = new Set(["bigint", "numeric", "timestamptz"]);

/** Everything that is wrong between keys. */
export function brokenRules(config: Config): ConfigProblem[] {
	return [
		...kafkaRules(config),
		...databaseRules(config),
		...tableRules(config),
		...ownTableRules(config),
		...limitRules(config),
		...deadLetterRules(config),
		...httpRules(config),
	];
}

/** A table has one use, because PocKaffe also alters its own tables. */
function ownTableRules({ tables, offsets, deadLetters }: Config): ConfigProblem[] {
	const uses = new Map(Object.keys(tables).map((name) => [name, `tables.${name}`]));
	const own: [path: string[], name: string][] = [
		[["deadLetters", "table"], deadLetters.table],
		[["offsets", "table"], offsets.table],
		[["offsets", "table"], `${offsets.table}_start`],
	];
	const problems: ConfigProblem[] = [];
	for (const [path, name] of own) {
		const use = uses.get(name);
		if (use !== undefined) problems.push({ path, rule: `is ${use} too (${name}): every table has one use` });
		else uses.set(name, path.join("."));
	}
	return problems;
}

function kafkaRules({ kafka }: Config): ConfigProblem[] {
	const problems: ConfigProblem[] = Object.keys(kafka.properties)
		.filter((name) => name in refusedProperties)
		.map((name) => ({ path: ["kafka", "properties", name], rule: `is refused here: ${refusedProperties[name]}` }));
	for (const [name, { least, most, why }] of Object.entries(neededNumbers)) {
		const value = kafka.properties[name];
		const isRight = value === undefined || (Number(value) >= least && Number(value) <= most);
		if (!isRight) problems.push({ path: ["kafka", "properties", name], value, rule: `from ${least} to ${most}: ${why}` });
	}
	if (kafka.protocol === "consumer") {
		for (const name of brokersProperties.filter((each) => each in kafka.properties)) {
			problems.push({ path: ["kafka", "properties", name], rule: "is set on the broker if kafka.protocol is consumer" });
		}
	}
	const { mechanism, username, password, passwordFile } = kafka.sasl;
	if (password && passwordFile) problems.push({ path: ["kafka", "sasl"], rule: "takes password or passwordFile, not both" });
	if (mechanism && !(username && (password || passwordFile)))
		problems.push({ path: ["kafka", "sasl"], rule: "needs username and password (or passwordFile) together with mechanism" });
	if (!mechanism && (username || password || passwordFile))
		problems.push({ path: ["kafka", "sasl", "mechanism"], rule: "is needed together with username and password" });
	if ((kafka.tls.cert && !kafka.tls.key) || (kafka.tls.key && !kafka.tls.cert)) {
		problems.push({ path: ["kafka", "tls"], rule: "needs cert and key together" });
	}
	return problems;
}

function databaseRules({ database: { passwordFile, passwordCommand } }: Config): ConfigProblem[] {
	return passwordFile && passwordCommand ? [{ path: ["database"], rule: "takes passwordFile or passwordCommand, not both" }] : [];
}

function tableRules(config: Config): ConfigProblem[] {
	return tableLayouts(config).flatMap((layout) => {
		const problems: ConfigProblem[] = [];
		const path = ["tables", layout.name];
		for (const { name, type, encoding } of layout.columns) {
			if (encoding && columnTypeOf(type).name !== "bytea")
				problems.push({ path: [...path, "columns", name, "encoding"], value: encoding, rule: `is for bytea, and the type is ${type}` });
			if (systemColumns.has(name)) problems.push({ path: [...path, "columns", name], rule: "is the name of a column of PocKaffe's own" });
			if (name === layout.id.column) problems.push({ path: [...path, "columns", name], rule: "is the id column already" });
		}
		if (layout.version.kind === "field") {
			const { column, type } = layout.version;
			const rule = "cas.version field needs cas.field: one of the table's columns, of type bigint, numeric or timestamptz";
			if (!fieldTypes.has(type)) problems.push({ path: [...path, "cas", "field"], value: column, rule });
			const written = layout.columns.find(({ name }) => name === column)?.type ?? "";
			if (written.startsWith("timestamptz("))
				problems.push({
					path: [...path, "columns", column],
					value: written,
					rule: "must be timestamptz without a precision: it decides which version is newer",
				});
		}
		return problems;
	});
}

function limitRules({ drain, kafka, handler, supervisor }: Config): ConfigProblem[] {
	const problems: ConfigProblem[] = [];
	const maxPollMs = Number(kafka.properties["max.poll.interval.ms"] ?? DEFAULT_MAX_POLL_INTERVAL_MS);
	if (drain.timeoutMs >= maxPollMs) {
		problems.push({ path: ["drain", "timeoutMs"], value: drain.timeoutMs, rule: `below max.poll.interval.ms (${maxPollMs})` });
	}
	if (supervisor.minBackoffMs > supervisor.maxBackoffMs) {
		problems.push({
			path: ["supervisor", "minBackoffMs"],
			value: supervisor.minBackoffMs,
			rule: `at most maxBackoffMs (${supervisor.maxBackoffMs})`,
		});
	}
	if (handler.retryBackoffMs > handler.maxRetryBackoffMs) {
		const rule = `at most maxRetryBackoffMs (${handler.maxRetryBackoffMs})`;
		problems.push({ path: ["handler", "retryBackoffMs"], value: handler.retryBackoffMs, rule });
	}
	return problems;
}

function deadLetterRules({ deadLetters: { target, topic }, kafka }: Config): ConfigProblem[] {
	if (target !== "topic") return [];
	const path = ["deadLetters", "topic"];
	if (topic === "") return [{ path, rule: "is needed where deadLetters.target is topic" }];
	const reader = kafka.topics.find((entry) => isTopicMeant(entry, topic));
	if (reader === undefined) return [];
	return [{ path, value: topic, rule: `is read by kafka.topics (${reader}): letters would come back as messages` }];
}

/** Minimum token length beyond loopback, where anybody may try tokens. */
const SHORTEST_TOKEN = 16;

function httpRules({ http }: Config): ConfigProblem[] {
	if (isLoopbackName(http.host)) return [];
	const rule = `beyond loopback at least ${SHORTEST_TOKEN} characters, e.g. of \`openssl rand -hex 16\``;
	if (http.token !== "" && [...http.token].length < SHORTEST_TOKEN) return [{ path: ["http", "token"], rule }];
	if (!http.admin || http.token !== "") return [];
	return [{ path: ["http", "admin"], value: true, rule: "needs http.token where http.host is not loopback (127.0.0.1, ::1, localhost)" }];
}
