/**
 * Every metric of the daemon. Names, types, labels and buckets are API: dashboards and alerts depend on them. The table in docs/metrics.md
 * is rendered from this file, and a test compares the two. Knows no values: metrics.ts keeps them.
 */
import { deadLetterReasons } from "../../core/dead-letters/dead-letter.ts";
import { readinessCodeNames } from "../readiness-codes.ts";

/** Values that a label may have; null if the configuration or the cluster decides (topics, partitions, tables, brokers). */
type LabelValues = readonly string[] | null;

/** One metric. `help` is a sentence without full stop; `buckets` are upper bounds in the unit that the name ends in. */
export interface MetricSpec {
	readonly type: "counter" | "gauge" | "histogram";
	readonly help: string;
	readonly labels: Readonly<Record<string, LabelValues>>;
	readonly buckets?: readonly number[];
}

/** Put before every name of the catalogue. Node's own metrics keep the names that prom-client's dashboards know (`nodejs_`, `process_`). */
export const metricPrefix = "pockaffe_";

const open = null;
const none = {} as const;
const topic = { topic: open } as const;
const perPartition = { topic: open, partition: open } as const;
const perGroupPartition = { consumergroup: open, topic: open, partition: open } as const;
const perBroker = { broker: open } as const;

/** One call of a handler: 0.1 ms (most are below) to the longest sensible `handler.timeoutMs`. */
const callSeconds = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;
/** One statement against a database: 1 ms to a minute. */
const statementSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;
/** Age of a message when its row is durable: live traffic to a day of catching up. */
const ageSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400] as const;
const drainSeconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 8, 10, 30, 60, 300] as const;
const rowCounts = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000] as const;
/** 1 KiB to 64 MiB, by four. */
const byteCounts = [1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864] as const;

/** States of a partition worker, also of `/status`. */
export const partitionStates = ["starting", "running", "backing-off", "paused", "parked", "draining"] as const;

/** Why a worker thread was replaced or a worker started again. */
const restartReasons = [
	"load",
	"init",
	"exception",
	"exit",
	"out_of_memory",
	"timeout",
	"shared",
	"last_attempt",
	"file_changed",
	"admin",
] as const;

function counter<const L extends Readonly<Record<string, LabelValues>>>(labels: L, help: string) {
	return { type: "counter", help, labels } as const;
}

function gauge<const L extends Readonly<Record<string, LabelValues>>>(labels: L, help: string) {
	return { type: "gauge", help, labels } as const;
}

function histogram<const L extends Readonly<Record<string, LabelValues>>>(labels: L, buckets: readonly number[], help: string) {
	return { type: "histogram", help, labels, buckets } as const;
}

/** The catalogue, in the order of a message's route. Keys are names without the prefix. */
export const metricCatalogue = {
	build_info: gauge(
		{ version: open, node: open, librdkafka: open, addon: ["topic_ids", "none"], consuming: ["packed", "node_rdkafka"] },
		"Always 1; the labels are versions, and how messages are received. `addon`: `none` if PocKaffe's addon is missing. `consuming`: `packed` by the addon, or `node_rdkafka` by node-rdkafka's own call",
	),
	handler_info: gauge(
		{ module: open, version: open },
		"Partitions that run this version of the handler; several series above 0 mean that different versions run",
	),
	embedded: gauge(none, "1 if the daemon runs with `--embedded` (a demo or a trial, never production), else 0"),
	ready: gauge(none, "1 when /readyz answers 200, else 0"),
	not_ready_reasons: gauge({ code: readinessCodeNames }, "Reasons in the answer of /readyz, by code; 0 if there is none of that code"),

	messages_consumed_total: counter(perPartition, "Messages received from Kafka"),
	message_bytes_total: counter(topic, "Bytes of keys and values received"),
	handler_outcomes_total: counter(
		{ topic: open, outcome: ["row", "delete", "produced", "none", "rejected", "failed", "timeout", "skipped", "repeated"] },
		"Outcomes of the handler; `failed` and `timeout` count attempts, the others messages; `produced`: records but no row; `none`: neither; `repeated`: dropped by handler.dropRepeats",
	),
	handler_duration_seconds: histogram(
		topic,
		callSeconds,
		"Duration of one call of the handler; one call of pockaffe:json handles up to 64 messages",
	),
	worker_restarts_total: counter({ ...perPartition, reason: restartReasons }, "Restarts of partition workers, by reason"),
	workers: gauge({ state: partitionStates }, "Partition workers by state"),
	threads_stuck: gauge(none, "Handler threads that can't be ended and still run beside their replacements"),
	partitions_assigned: gauge(none, "Partitions assigned to this member"),
	partitions_paused: gauge({ reason: open }, "Paused partitions, by reason: queue_full, database, admin"),
	partitions_parked: gauge(
		{ reason: open },
		"Parked partitions, by reason: poison, restart_intensity, breaker, standstill (nothing arrives), out_of_range, not_taken (being fetched again); they are stopped until somebody acts, or until the next try",
	),

	cas_rows_total: counter(
		{ table: open, result: ["inserted", "updated", "deleted", "stale", "suppressed", "coalesced", "refused"] },
		"Rows returned by handlers, by result. `stale`: not written, because the stored row was as new or newer; `coalesced`: superseded by a newer row of the same id before it was written; `suppressed`: left out by a trigger or rule of the table",
	),
	stale_rows_total: counter(
		{ table: open, cause: ["replay", "older", "other_partition"] },
		"Rows not written because the stored row was as new or newer, by cause. `replay`: its message was handled again; `older`: an update lost because a producer's clock stepped back; `other_partition`: another partition or topic wrote the id more recently",
	),
	timestamp_regressions_total: counter(perPartition, "Messages with an older timestamp than an earlier message of their partition"),
	write_batch_rows: histogram(none, rowCounts, "Rows per batch sent to the database"),
	write_batch_bytes: histogram(none, byteCounts, "Bytes per batch sent to the database"),
	write_batches_total: counter(
		{ trigger: ["rows", "bytes", "linger", "drain"] },
		"Batches, by what completed them: enough rows, enough bytes, the linger time, or a drain",
	),
	write_duration_seconds: histogram({ table: open }, statementSeconds, "Duration of a batch's statement, without the waits before retries"),
	write_retries_total: counter({ sqlstate: open }, "Batches sent again, by SQLSTATE or the client's error code"),
	write_queue_rows: gauge(none, "Rows handed to the writer but not yet durable"),
	write_queue_bytes: gauge(none, "Bytes handed to the writer but not yet durable"),
	write_queue_oldest_seconds: gauge(none, "Age of the oldest row in the writer; 0 when it is empty"),
	write_awaiting_parent_rows: gauge({ table: open }, "Rows that wait for their foreign key's row (`references`)"),
	write_statement_rows: gauge(
		{ table: open },
		"Current maximum of rows per statement, tuned by how fast the database answers (`batch.answerMs`)",
	),
	write_lanes: gauge(
		{ table: open },
		"Lanes (queues of rows with one statement in flight each) in use: one, or one per connection if one could not keep up",
	),
	write_linger_seconds: gauge(
		{ table: open },
		"How long a batch currently waits for more rows (linger), tuned by the rate at which they arrive",
	),
	stage_busy_seconds_total: counter(
		{ stage: ["consume", "handle", "write", "commit"] },
		"Seconds spent per stage; `handle` and `write` run in parallel and may grow by more than a second per second",
	),

	offset_commits_total: counter({ result: ["committed", "failed"] }, "Offset commits by result"),
	offsets_displaced_total: counter(
		{ kind: ["taken_over", "changed", "gone"] },
		"How often the offset in the database was not the one that this member stored last. `taken_over`: another member has the partition; `changed`: the database was restored, or somebody set the offset; `gone`: its row is missing",
	),
	offsets_skipped_total: counter(
		{ ...perPartition, reason: ["log_begins_after", "log_ends_before", "offsets_set"] },
		"Offsets skipped without being read: the next offset was outside the log (kafka.onOffsetOutOfRange), or `offsets set` moved it forward",
	),
	restored_offsets: gauge(
		perPartition,
		"Committed offsets whose rows may be missing because the database was restored to an earlier time; 0 if none",
	),
	committed_offset: gauge(perPartition, "Committed offset: the first message to be read after a restart"),
	high_watermark: gauge(perPartition, "Offset of the next message to be produced"),
	consumer_lag_messages: gauge(perGroupPartition, "High watermark minus committed offset"),
	consumer_lag_seconds: gauge(perGroupPartition, "Age of the oldest unfinished message; 0 without lag"),
	end_to_end_latency_seconds: histogram(topic, ageSeconds, "Time from the message's timestamp until its row is durable"),

	produced_records_total: counter(
		{ topic: open, result: ["acknowledged", "refused", "resent"] },
		"Records that handlers produced, by result. `refused`: by the broker; `resent`: sent again, because the client failed before it reported what became of them",
	),
	produced_bytes_total: counter(topic, "Bytes of acknowledged records: keys, values, headers"),
	produced_latency_seconds: histogram(topic, ageSeconds, "Time from a message's receipt to the broker's acknowledgement of its record"),
	produce_queue_bytes: gauge(none, "Bytes of records that wait for the broker's acknowledgement"),

	rebalances_total: counter({ kind: ["assign", "revoke", "lost"] }, "Changes of this member's assignment"),
	drain_duration_seconds: histogram(none, drainSeconds, "Duration of drains, at a revocation or a stop"),
	drain_timeouts_total: counter(none, "Drains that left messages unfinished at their deadline (drain.timeoutMs)"),

	dead_letters_total: counter(
		{ topic: open, reason: deadLetterReasons },
		"Messages stored as dead letters (skipped: by a person, or by `handler.onPoison: skip`)",
	),
	breaker_open: gauge(perPartition, "1 while the breaker is open: too many dead letters parked the partition"),
	admin_actions_total: counter(
		{ action: ["pause", "resume", "restart", "skip", "set_offsets", "drain"] },
		"Control requests received over HTTP",
	),

	kafka_reply_queue_operations: gauge(none, "Operations of librdkafka waiting to be polled; grows when the event loop is blocked"),
	kafka_fetch_queue_messages: gauge(perPartition, "Messages that librdkafka prefetched but PocKaffe has not yet polled"),
	kafka_fetch_queue_bytes: gauge(perPartition, "Bytes that librdkafka prefetched but PocKaffe has not yet polled"),
	kafka_broker_queue_requests: gauge(perBroker, "Requests waiting to be sent to the broker"),
	kafka_broker_round_trip_p50_seconds: gauge(perBroker, "Median round trip of requests, over the client's statistics window"),
	kafka_broker_round_trip_p99_seconds: gauge(perBroker, "99th percentile of the round trip, over the client's statistics window"),
	kafka_broker_throttle_p99_seconds: gauge(perBroker, "99th percentile of the broker's throttling, over the client's statistics window"),
	output_dropped_total: counter(
		perPartition,
		"Lines printed by a handler that were left out of the log because there were too many; topic and partition are empty if partitions share the thread",
	),
	log_records_dropped_total: counter(none, "Log records lost because the output was closed, full or too slow"),
} satisfies Record<string, MetricSpec>;

type Catalogue = typeof metricCatalogue;

/** Names without the prefix. */
export type MetricName = keyof Catalogue;
/** Names of the metrics of one type. */
export type NamesOf<T extends MetricSpec["type"]> = { [N in MetricName]: Catalogue[N]["type"] extends T ? N : never }[MetricName];
/** Exactly the labels of a metric; a label with listed values takes only those. */
export type LabelsOf<N extends MetricName> = {
	readonly [L in keyof Catalogue[N]["labels"]]: Catalogue[N]["labels"][L] extends readonly (infer V)[] ? V : string | number;
};

/** The catalogue's entry, with the type's details widened for code that walks all metrics. */
export function specOf(name: MetricName): MetricSpec {
	return metricCatalogue[name];
}

/** All names, in the catalogue's order. */
export const metricNames = Object.keys(metricCatalogue) as MetricName[];
