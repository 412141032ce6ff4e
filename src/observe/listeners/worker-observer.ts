/** Metrics and log records about partition workers and their supervisor. Listeners; they decide nothing. */
import type { DeadLetter } from "../../core/dead-letters/dead-letter.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { counted } from "../../core/text/counted.ts";
import { failureName } from "../../core/text/failure-name.ts";
import { withoutValues } from "../../core/text/without-values.ts";
import { type CrashFact, CrashLog } from "../logs/crash-log.ts";
import { LogLimiter } from "../logs/log-limiter.ts";
import { LogStorm, PERIOD_MS } from "../logs/log-storm.ts";
import { observeOutput } from "../logs/printed-output.ts";
import type { LabelsOf } from "../metrics/metric-catalogue.ts";
import type { ObserverParts } from "./observer-parts.ts";
import { RowlessHandler } from "./rowless-handler.ts";

/** Minimum time between two log records of deaths of a shared thread at one partition: it may die with every other message. */
const SAME_DEATH_EVERY_MS = 10_000;
/** Minimum time between two log records about a growing thread: many partitions may leak in the same way. */
const SAME_GROWTH_EVERY_MS = 10_000;

/** What the handler made of a run. */
interface HandledFact {
	readonly counts: { readonly row: number; readonly delete: number; readonly none: number; readonly rejected: number };
	readonly records?: { readonly only: number };
	readonly durationsMs: ArrayLike<number>;
	readonly warnings: readonly string[];
	readonly finished?: unknown;
}

/** Maximum characters of a letter's error in the log; the letter has all of it. */
const LONGEST_ERROR = 300;

/** The part of a letter that is logged. */
type LetterFact = Pick<DeadLetter, "topic" | "partition" | "offset" | "reason" | "sqlstate" | "table" | "attempts"> & {
	/** The cause, if nothing else in the log says it: why the handler rejected, or which column of a row was refused. */
	readonly error?: string;
};

/** A partition that goes on after failures. */
interface RecoveryFact extends TopicPartition {
	readonly offset: number;
	readonly failures: number;
	readonly stoodMs: number;
}

/** The partition at which a shared thread ended (null: the thread was replaced), and the other partitions of the thread. */
interface SharedDeathFact {
	readonly partition: TopicPartition | null;
	readonly death: { readonly reason: string };
	readonly others: readonly TopicPartition[];
}

/** The listener of partition workers. */
export function observeWorkers({ metrics, logger, clock, module, makesRows, totals }: ObserverParts) {
	const crashes = new CrashLog(module);
	const storm = new LogStorm<CrashFact>(clock, (last, held) => {
		const { fields, message } = crashes.summary(last, held, PERIOD_MS);
		logger.error(fields, message);
	});
	// The letters themselves are kept: a topic full of bad messages must not fill the disk with log records about them.
	const letters = new LogStorm<LetterFact>(clock, (last, held) => {
		const more = `${held} more ${held === 1 ? "dead letter" : "dead letters"} of ${last.topic} within ${PERIOD_MS / 1000} s, the last at`;
		logger.warn({ ...last, held }, `${more} ${partitionName(last)} offset ${last.offset}: ${letterCause(last)}`);
	});
	// A handler that fails again and again also goes on again and again.
	const recoveries = new LogStorm<RecoveryFact>(clock, (last, held) => {
		const more = `${held} more times partitions of ${last.topic} went on after failures within ${PERIOD_MS / 1000} s, the last`;
		logger.info({ ...last, held }, `${more} ${partitionName(last)}: ${recoveryWords(last)}`);
	});
	const deaths = new LogLimiter(() => clock.monotonic(), SAME_DEATH_EVERY_MS);
	const growths = new LogLimiter(() => clock.monotonic(), SAME_GROWTH_EVERY_MS);
	const warned = new Set<string>();
	const rowless = makesRows ? new RowlessHandler() : null;
	return {
		...observeOutput({ metrics, logger, clock }),
		started({ topic, partition }: TopicPartition): void {
			logger.debug({ topic, partition }, `worker thread of ${partitionName({ topic, partition })} started`);
		},
		handled({ topic }: TopicPartition, { counts, records, durationsMs, warnings, finished }: HandledFact): void {
			for (const outcome of ["row", "delete", "none", "rejected"] as const) {
				metrics.count("handler_outcomes_total", { topic, outcome }, counts[outcome]);
			}
			if (records) metrics.count("handler_outcomes_total", { topic, outcome: "produced" }, records.only);
			metrics.observe("handler_duration_seconds", { topic }, durationsMs, 0.001);
			metrics.count("stage_busy_seconds_total", { stage: "handle" }, sumOf(durationsMs) / 1000);
			for (const warning of warnings) {
				if (warned.has(warning)) continue;
				warned.add(warning);
				logger.warn({ module, topic }, warning);
			}
			const why = rowless?.handled({ counts, finished, ...(records ? { records } : {}) });
			if (why) logger.warn({ module, topic }, `${module}: ${why}`);
		},
		crashed(fact: CrashFact): void {
			const { topic, kind, attempt } = fact;
			if (attempt > 0) metrics.count("handler_outcomes_total", { topic, outcome: kind === "timeout" ? "timeout" : "failed" });
			if (!storm.admit(`${partitionName(fact)} ${failureName(fact)}`, fact)) return;
			const { fields, message } = crashes.record(fact);
			logger.error(fields, message);
		},
		repeated({ topic }: TopicPartition, count: number): void {
			metrics.count("handler_outcomes_total", { topic, outcome: "repeated" }, count);
		},
		restarted({ topic, partition }: TopicPartition, reason: LabelsOf<"worker_restarts_total">["reason"]): void {
			totals.restarts++;
			metrics.count("worker_restarts_total", { topic, partition, reason });
		},
		terminateFailed({ topic, partition }: TopicPartition, error: { name: string; message: string; stack: string | null }): void {
			const place = partitionName({ topic, partition });
			logger.warn({ module, topic, partition, error }, `${module}: terminate failed at ${place}: ${error.name}: ${error.message}`);
		},
		heldTooMuch({ topic, partition }: TopicPartition, heldMb: number): void {
			const held = growths.admit("");
			if (held === null) return;
			const place = partitionName({ topic, partition });
			const advice = "does it keep what it has handled? Else raise workers.maxHeapMb";
			logger.warn(
				{ module, topic, partition, heldMb, held },
				`${module} holds ${heldMb} MiB at ${place}: its thread is replaced; ${advice}`,
			);
		},
		carefulBegan({ topic, partition }: TopicPartition, why: string): void {
			logger.warn({ topic, partition }, `${partitionName({ topic, partition })} is handled carefully: ${why}`);
		},
		carefulEnded({ topic, partition }: TopicPartition): void {
			logger.info({ topic, partition }, `${partitionName({ topic, partition })} is handled as usual again: the process survived`);
		},
		parked({ topic, partition }: TopicPartition, { code, message }: ParkReason): void {
			logger.error({ topic, partition, code, reason: message }, `${partitionName({ topic, partition })} is parked: ${message}`);
		},
		resumed({ topic, partition }: TopicPartition): void {
			logger.info({ topic, partition }, `${partitionName({ topic, partition })} is no longer parked: it goes on`);
		},
		recovered({ topic, partition }: TopicPartition, { offset, failures, stoodMs }: Omit<RecoveryFact, keyof TopicPartition>): void {
			const fact = { topic, partition, offset, failures, stoodMs: Math.round(stoodMs) };
			if (!recoveries.admit(topic, fact)) return;
			logger.info({ ...fact, held: 0 }, `${partitionName(fact)} goes on: ${recoveryWords(fact)}`);
		},
		breakerClosed({ topic, partition }: TopicPartition, offset: number): void {
			const name = partitionName({ topic, partition });
			logger.info({ topic, partition, offset }, `${name} goes on: offset ${offset} went well, and dead letters are made again`);
		},
		deadLettered({ topic, partition, offset, reason, sqlstate, table, attempts, error }: DeadLetter): void {
			// Leaves out the message, which may be large.
			const isTold = reason !== "rejected" && reason !== "row_fault";
			const fact = { topic, partition, offset, reason, sqlstate, table, attempts, ...(!isTold && { error: briefly(error) }) };
			totals.deadLetters++;
			metrics.count("dead_letters_total", { topic, reason });
			if (!letters.admit(`${topic} ${reason} ${sqlstate}`, fact)) return;
			logger.warn({ ...fact, held: 0 }, `${partitionName(fact)} offset ${offset} is a dead letter: ${letterCause(fact)}`);
		},
		skipped({ topic, partition }: TopicPartition, offset: number, why: string | null): void {
			metrics.count("handler_outcomes_total", { topic, outcome: "skipped" });
			metrics.count("dead_letters_total", { topic, reason: "skipped" });
			logger.warn(
				{ topic, partition, offset, ...(why !== null && { why }) },
				`${partitionName({ topic, partition })} offset ${offset} is skipped, ${why === null ? "as handler.onPoison says" : `on request: ${why}`}`,
			);
		},
		/** A shared thread ended, and partitions that had no part in it start again. */
		threadEndedForOthers({ partition, death, others }: SharedDeathFact): void {
			const held = deaths.admit(partition ? partitionName(partition) : "");
			if (held === null) return;
			const why = partition ? `ended at ${partitionName(partition)} (${death.reason})` : "is replaced, to load its module again";
			const fields = { ...partition, reason: death.reason, others: others.map(partitionName), held };
			logger.warn(fields, `a shared thread ${why}: ${counted(others.length, "other partition")} of it must start again, without a charge`);
		},
		stopRequested({ topic, partition }: TopicPartition, { code, message }: ParkReason): void {
			logger.error({ topic, partition, code, reason: message }, `${partitionName({ topic, partition })} stops the daemon: ${message}`);
		},
	};
}

/** Why a partition is parked, or the daemon stops. */
interface ParkReason {
	readonly code: string;
	readonly message: string;
}

/** A delivery that the supervisor took. */
interface ReceivedFact extends TopicPartition {
	readonly count: number;
	readonly bytes: number;
	readonly timestampRegressions: number;
}

/** Partitions that were given away. */
interface DrainedFact {
	readonly partitions: readonly TopicPartition[];
	readonly durationMs: number;
	readonly timedOut: boolean;
	readonly committed: boolean;
	readonly unfinished: number;
}

/** The listener of the group supervisor. */
export function observeSupervisor({ metrics, logger, totals }: ObserverParts) {
	const regressed = new Set<string>();
	return {
		received({ topic, partition, count, bytes, timestampRegressions }: ReceivedFact): void {
			totals.messages += count;
			metrics.count("messages_consumed_total", { topic, partition }, count);
			metrics.count("message_bytes_total", { topic }, bytes);
			metrics.count("timestamp_regressions_total", { topic, partition }, timestampRegressions);
			const name = partitionName({ topic, partition });
			if (timestampRegressions === 0 || regressed.has(name)) return;
			regressed.add(name);
			const advice = "with cas.version timestamp such an update counts as stale and is lost; cas.version offset or field avoids that";
			logger.warn({ topic, partition }, `${name} has messages with an older timestamp than an earlier message: ${advice}`);
		},
		drained({ durationMs, timedOut, committed, unfinished, ...fact }: DrainedFact): void {
			const partitions = fact.partitions.map(partitionName);
			metrics.observe("drain_duration_seconds", {}, [durationMs], 0.001);
			if (timedOut) metrics.count("drain_timeouts_total", {});
			const again = "handled again by the next member";
			if (timedOut) {
				logger.warn({ partitions, unfinished }, `drain.timeoutMs passed before all was finished: what was left is ${again}`);
			} else if (!committed) {
				logger.warn({ partitions }, `drained, but the offsets could not be committed: what was finished is ${again}, and changes nothing`);
			} else if (unfinished > 0) {
				const why = "that can't be stored now or were left unfinished by the handler";
				logger.warn({ partitions, unfinished }, `drained without ${counted(unfinished, "message")} ${why}: they are ${again}`);
			} else logger.info({ partitions, durationMs: Math.round(durationMs) }, "drained");
		},
		positionParked({ topic, partition, code, message }: TopicPartition & { code: string; message: string }): void {
			logger.error({ topic, partition, code }, `${partitionName({ topic, partition })} is parked: ${message}`);
		},
		positionUnparked({ topic, partition, offset }: TopicPartition & { offset: number }): void {
			logger.info({ topic, partition, offset }, `${partitionName({ topic, partition })} goes on at offset ${offset}`);
		},
		rewound({ topic, partition, offset, from }: TopicPartition & { offset: number; from: number }): void {
			const name = partitionName({ topic, partition });
			logger.warn(
				{ topic, partition, offset, from },
				`${name} went back from offset ${from} to ${offset}: the topic was created again or reset`,
			);
		},
	};
}

function sumOf(values: ArrayLike<number>): number {
	let sum = 0;
	for (let index = 0; index < values.length; index++) sum += values[index] as number;
	return sum;
}

function recoveryWords({ offset, failures, stoodMs }: RecoveryFact): string {
	const stood = stoodMs < 10_000 ? `${(stoodMs / 1000).toFixed(1)} s` : `${Math.round(stoodMs / 1000)} s`;
	return `offset ${offset} is handled, after ${counted(failures, "failure")} in ${stood}`;
}

function letterCause({ reason, sqlstate, error }: LetterFact): string {
	const isNamed = !sqlstate || error?.includes(`SQLSTATE ${sqlstate}`);
	return `${isNamed ? reason : `${reason} (SQLSTATE ${sqlstate})`}${error ? `: ${error}` : ""}`;
}

function briefly(text: string): string {
	const line = withoutValues(text).replaceAll(/\s+/g, " ");
	return line.length > LONGEST_ERROR ? `${line.slice(0, LONGEST_ERROR)}…` : line;
}
