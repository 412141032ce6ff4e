/** Metrics and log records about consuming from Kafka and committing offsets. Listeners; they decide nothing. */
import { assertNever } from "../../core/errors.ts";
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../../core/messages/message.ts";
import type { DisplacedOffset } from "../../core/offsets/displaced-offset.ts";
import { type RestoredStretch, restoredWords } from "../../core/offsets/position-note.ts";
import type { OffsetSet } from "../../core/offsets/set-offset.ts";
import { counted } from "../../core/text/counted.ts";
import { missingTopicHint } from "../../core/text/missing-topic.ts";
import { LogLimiter } from "../logs/log-limiter.ts";
import { readClientStatistics } from "../metrics/client-statistics.ts";
import type { ObserverParts } from "./observer-parts.ts";

/** Errors of the client come in bursts, one per broker and attempt. */
const SAME_ERROR_EVERY_MS = 10_000;

const reasons: Readonly<Record<string, string>> = {
	committed: "the committed offset",
	kafka: "Kafka's committed offset, which is lower than kafka.startFrom; the table of offsets has none",
	noted: "its offset is no longer stored (expired, deleted, or the store was changed), and the group's note says that it came this far",
	set: "it was set (offsets set)",
	new_log: "the topic was deleted and created again, and this is the beginning of the new log",
};
/** Starts that are worth a warning. */
const remarkable: readonly string[] = ["noted", "new_log"];

/** Where a partition starts, and why. */
interface StartFact extends TopicPartitionOffset {
	readonly from: string;
	readonly kept: number | null;
	readonly note: { readonly note: { readonly restored?: RestoredStretch } };
	readonly outOfRange:
		| (OutOfRangeFact & { readonly kind: "jump" | "park"; readonly log: { readonly low: number; readonly high: number } })
		| null;
}

interface OutOfRangeFact {
	readonly position: number;
	readonly offset: number;
	readonly reason: string;
}

/** Why a partition can't start yet. */
interface StartFailedFact {
	readonly message: string;
	readonly failures: number;
	readonly retryInMs: number;
}

/** What has to be read before joining could not be read. */
interface FailedLook {
	readonly message: string;
	readonly failures: number;
	readonly retryInMs: number;
	readonly isOfDatabase: boolean;
}

/** Listeners for the group consumer's events, by event. */
export function observeConsumer({ metrics, logger, clock, isEager = false }: ObserverParts) {
	const errors = new LogLimiter(() => clock.monotonic(), SAME_ERROR_EVERY_MS);
	/** Of an eager group. Their counters go on if the rebalance gives them back: what was counted since the last scrape would be lost. */
	let revoked: readonly TopicPartition[] = [];
	const logError = (fields: { message: string; code?: number }, prefix: string) => {
		const held = errors.admit(`${prefix} ${fields.code ?? fields.message}`);
		if (held !== null) logger.warn({ code: fields.code, held }, `${prefix}: ${fields.message}`);
	};
	return {
		"connect:failed"({ message, failures, retryInMs }: { message: string; failures: number; retryInMs: number }): void {
			logger.warn({ failures, retryInMs }, `Kafka: ${message}; tried again in ${Math.round(retryInMs)} ms`);
		},
		"look:failed"({ message, failures, retryInMs, isOfDatabase }: FailedLook): void {
			const what = isOfDatabase ? "the group's positions can't be read from the database yet" : "the group's offsets can't be read yet";
			logger.warn({ failures, retryInMs }, `${what}: ${message}; tried again in ${Math.round(retryInMs)} ms`);
		},
		"topics:missing"({ topics }: { topics: readonly string[] }): void {
			logger.warn(
				{ topics },
				`there is no topic ${topics.join(", ")}: ${missingTopicHint(topics[0] as string)}; it is found without a restart`,
			);
		},
		"topic:refused"({ topic, message }: { topic: string; message: string }): void {
			logger.warn({ topic }, `this user may not see topic ${topic}: ${message}; it is found without a restart once the right is given`);
		},
		"heartbeats:rare"({ intervalMs }: { intervalMs: number }): void {
			const why = `the broker wants heartbeats only every ${intervalMs} ms (group.consumer.heartbeat.interval.ms)`;
			const what = "when a daemon is replaced, a partition can stand still that long, unless the group has an interval of its own";
			logger.warn({ intervalMs }, `${why}: ${what}. Set 1000 on the broker, or use kafka.protocol: eager (docs/operating.md)`);
		},
		"group:joined"({ partitions }: { partitions: number }): void {
			logger.info({ partitions }, `member of the group with ${counted(partitions, "partition")}`);
		},
		"assignment:outdated"({ gone, unread }: { gone: readonly TopicPartition[]; unread: readonly TopicPartition[] }): void {
			const said = [
				...(gone.length > 0 ? [`${gone.map(partitionName).join(", ")} no longer there`] : []),
				...(unread.length > 0 ? [`${unread.map(partitionName).join(", ")} begun by nobody`] : []),
			];
			const fields = { gone: gone.map(partitionName), unread: unread.map(partitionName) };
			logger.warn(fields, `topics changed while this static member was away (${said.join("; ")}): it rejoins the group`);
		},
		rebalanced({ kind, partitions }: { kind: "assign" | "revoke" | "lost"; partitions: readonly TopicPartition[] }): void {
			metrics.count("rebalances_total", { kind });
			const names = partitions.map(partitionName);
			switch (kind) {
				case "assign":
					for (const each of revoked) if (!names.includes(partitionName(each))) metrics.forgetPartition(each);
					revoked = [];
					for (const partition of partitions) startPartition(metrics, partition);
					break;
				case "revoke":
					if (isEager) revoked = [...revoked, ...partitions];
					else for (const partition of partitions) metrics.forgetPartition(partition);
					break;
				case "lost":
					for (const partition of partitions) metrics.forgetPartition(partition);
			}
			if (kind === "lost")
				logger.warn(
					{ partitions: names },
					"partitions lost: the group gave this member up, another may have them; nothing more of them is committed",
				);
			else logger.info({ partitions: names }, kind === "assign" ? "partitions assigned" : "partitions revoked");
		},
		"start:resolved"({ topic, partition, offset, from, kept, outOfRange, note }: StartFact): void {
			const name = partitionName({ topic, partition });
			const { restored } = note.note;
			if (restored) logger.error({ topic, partition, ...restored }, `${name}: ${restoredWords({ topic, partition }, restored)}`);
			if (outOfRange?.kind === "jump") {
				tellJump({ metrics, logger }, { topic, partition, ...outOfRange, ...outOfRange.log });
			} else if (!outOfRange) {
				const why = reasons[from] ?? `${from}, nothing was committed`;
				const instead = kept === null ? "" : ` (the stored offset was ${kept})`;
				const fields = { topic, partition, offset, from, kept: kept ?? undefined };
				logger[remarkable.includes(from) ? "warn" : "info"](fields, `${name} starts at offset ${offset}: ${why}${instead}`);
			}
		},
		"offset:set"({ topic, partition, to, committed, again, passedOver }: OffsetSet): void {
			metrics.count("offsets_skipped_total", { topic, partition, reason: "offsets_set" }, passedOver);
			const what = `set from ${committed ?? "nothing committed"} to ${to}: ${again} offsets are read again, ${passedOver} are passed over`;
			const fields = { topic, partition, committed, to, again, passedOver };
			logger[passedOver > 0 ? "warn" : "info"](fields, `${partitionName({ topic, partition })} was ${what}`);
		},
		"start:failed"({ message, failures, retryInMs, ...partition }: TopicPartition & StartFailedFact): void {
			const name = partitionName(partition);
			const held = errors.admit(`start ${name} ${message}`);
			if (held === null) return;
			const when = `tried again in ${Math.round(retryInMs)} ms; the other partitions go on`;
			logger.warn({ ...partition, failures, held }, `${name} can't start yet: ${message}; ${when}`);
		},
		"broker:error": (fact: { message: string; code: number }): void => logError(fact, "Kafka"),
		"consume:failed": (fact: { message: string; code: number }): void => logError(fact, "consuming failed"),
		fatal({ message, code }: { message: string; code: number }): void {
			logger.error({ code }, `Kafka refuses this member for good: ${message}`);
		},
		stats({ json }: { json: string }): void {
			setClientGauges(metrics, json);
		},
		polled({ busyMs }: { messages: number; busyMs: number }): void {
			metrics.count("stage_busy_seconds_total", { stage: "consume" }, busyMs / 1000);
		},
	};
}

/** Log records about renewed files of `kafka.tls` and of the password. */
export function observeRenewedFiles({ logger }: Pick<ObserverParts, "logger">) {
	return {
		renewed(files: readonly string[]): void {
			logger.info(
				{ files },
				`renewed files are used now: ${files.join(", ")}; the member left the group for a moment, with everything in hand committed`,
			);
		},
		refused(files: readonly string[], why: string): void {
			logger.warn({ files }, `renewed on disk, but not used yet: ${files.join(", ")}; connections keep the old ones: ${why}`);
		},
	};
}

/** Listeners for the offset committer's events, by event. */
export function observeCommitter({ metrics, logger, clock }: ObserverParts) {
	const failures = new LogLimiter(() => clock.monotonic(), SAME_ERROR_EVERY_MS);
	return {
		"offsets:committed"({ durationMs = 0 }: { offsets: readonly TopicPartitionOffset[]; durationMs?: number }): void {
			metrics.count("offset_commits_total", { result: "committed" });
			metrics.count("stage_busy_seconds_total", { stage: "commit" }, durationMs / 1000);
		},
		"offsets:commit_failed"({ message, code }: { message: string; code: string | number | null }): void {
			metrics.count("offset_commits_total", { result: "failed" });
			const held = failures.admit(String(code));
			if (held !== null) logger.warn({ code, held }, `offsets could not be committed: ${message}; the next commit includes them`);
		},
	};
}

/** Log records about offsets that are kept in the database. */
export function observeDelivery({ metrics, logger, clock }: ObserverParts) {
	const failures = new LogLimiter(() => clock.monotonic(), SAME_ERROR_EVERY_MS);
	return {
		offsetsDisplaced(partitions: readonly DisplacedOffset[]): void {
			for (const each of partitions) {
				const { topic, partition, kind, expected, found } = each;
				metrics.count("offsets_displaced_total", { kind });
				logger.error({ topic, partition, kind, expected, found }, `${partitionName(each)}: ${displacedWords(each)}`);
			}
		},
		notesDisplaced(partitions: readonly DisplacedOffset[]): void {
			for (const each of partitions) {
				const { topic, partition, expected, found } = each;
				const what = `its note in the database ${noteWords(expected, found)}`;
				const why = "another member took it over, or the database was restored to an earlier time";
				const next = "the member rejoins the group, and the partition's start tells which";
				logger.warn({ topic, partition, expected, found }, `${partitionName(each)}: ${what}: ${why}; ${next}`);
			}
		},
		logsRemade(partitions: readonly TopicPartition[], what: "made_again" | "deleted"): void {
			const names = partitions.map(partitionName);
			const again = "was deleted and created again: the member rejoins the group to begin with the new log";
			const gone = "was deleted, and messages not read yet are lost; a new topic of this name is found and read from its beginning";
			logger.warn({ partitions: names }, `${names.join(", ")} ${what === "deleted" ? gone : again}`);
		},
		jumped(fact: TopicPartition & OutOfRangeFact & { low: number; high: number }): void {
			tellJump({ metrics, logger }, fact);
		},
		logsNotForgotten(message: string): void {
			const held = failures.admit("forget");
			if (held !== null)
				logger.warn({ held }, `it could not be stored yet that a topic was created again; its partitions wait: ${message}`);
		},
		mirrorFailed(message: string): void {
			const held = failures.admit("mirror");
			if (held !== null)
				logger.warn({ held }, `Kafka's copy of the table's offsets could not be updated: ${message}; the next update covers it`);
		},
		startsNotRecorded(message: string): void {
			const what = "a group that Kafka forgets begins as if it were new, and verify has to assume where it began";
			logger.warn({}, `positions can't be noted: ${what}; ${message}`);
		},
	};
}

function noteWords(expected: number, found: number | null): string {
	if (found === expected) return `says ${found}, as this daemon had noted, but is older than what was written last`;
	return `${found === null ? "is gone" : `says ${found}`}, and this daemon had noted ${expected}`;
}

function displacedWords({ kind, expected, found }: DisplacedOffset): string {
	switch (kind) {
		case "taken_over":
			return "another member took the offsets over: this one stores them no more, and rejoins the group";
		case "changed":
			return `${changedWords(expected, found)}: it was restored to an earlier time (a backup, a fail-over to a server that lagged), or somebody set it. This member rejoins the group, and the partition is read from ${found} on`;
		case "gone":
			return `its row in the table of offsets is gone, and this daemon had stored ${expected}: the table was restored to an earlier time, or somebody emptied it. This member rejoins the group, and the partition is read again`;
		default:
			return assertNever(kind);
	}
}

function changedWords(expected: number, found: number | null): string {
	if (found !== expected) return `the table of offsets says ${found}, and this daemon had stored ${expected}`;
	return `the table of offsets says ${found}, as this daemon had stored, but its row is older than what was written last`;
}

/** A partition went on elsewhere, because its position was outside the log. */
function tellJump(
	{ metrics, logger }: Pick<ObserverParts, "metrics" | "logger">,
	{ topic, partition, position, offset, reason, low, high }: TopicPartition & OutOfRangeFact & { low: number; high: number },
): void {
	const skipped = Math.max(0, offset - position);
	metrics.count("offsets_skipped_total", { topic, partition, reason: reason as "log_begins_after" }, skipped);
	const what =
		reason === "log_begins_after"
			? `${low - position} offsets were removed from the log before they were read`
			: `the log lost its last ${position - high} offsets`;
	const where = `${partitionName({ topic, partition })} goes on at offset ${offset} instead of ${position}, as kafka.onOffsetOutOfRange says`;
	logger.warn({ topic, partition, position, offset, reason, skipped, low, high }, `${where}: ${what} (it has ${low} to ${high})`);
}

function startPartition(metrics: ObserverParts["metrics"], { topic, partition }: TopicPartition): void {
	metrics.start("messages_consumed_total", { topic, partition });
	metrics.start("message_bytes_total", { topic });
	metrics.start("timestamp_regressions_total", { topic, partition });
	metrics.start("worker_restarts_total", { topic, partition });
	metrics.start("offsets_skipped_total", { topic, partition });
	metrics.start("handler_outcomes_total", { topic });
	metrics.start("dead_letters_total", { topic });
}

function setClientGauges(metrics: ObserverParts["metrics"], json: string): void {
	const statistics = readClientStatistics(json);
	if (!statistics) return;
	const { partitions, brokers } = statistics;
	metrics.set("kafka_reply_queue_operations", [[{}, statistics.replyQueueOperations]]);
	metrics.set(
		"kafka_fetch_queue_messages",
		partitions.map(({ topic, partition, fetchQueueMessages }) => [{ topic, partition }, fetchQueueMessages]),
	);
	metrics.set(
		"kafka_fetch_queue_bytes",
		partitions.map(({ topic, partition, fetchQueueBytes }) => [{ topic, partition }, fetchQueueBytes]),
	);
	metrics.set(
		"kafka_broker_queue_requests",
		brokers.map(({ broker, queuedRequests }) => [{ broker }, queuedRequests]),
	);
	metrics.set(
		"kafka_broker_round_trip_p50_seconds",
		brokers.map(({ broker, roundTripP50 }) => [{ broker }, roundTripP50]),
	);
	metrics.set(
		"kafka_broker_round_trip_p99_seconds",
		brokers.map(({ broker, roundTripP99 }) => [{ broker }, roundTripP99]),
	);
	metrics.set(
		"kafka_broker_throttle_p99_seconds",
		brokers.map(({ broker, throttleP99 }) => [{ broker }, throttleP99]),
	);
}
