/**
 * Metrics and log records about the batch writer. Listeners; they decide nothing. They name codes and objects of the database, and ids of
 * rows that can't be written, but no other values.
 */
import { partitionName } from "../../core/messages/message.ts";
import type { AwaitedFact, StuckFact } from "../../core/rows/waiting-rows.ts";
import { counted } from "../../core/text/counted.ts";
import { LogLimiter } from "../logs/log-limiter.ts";
import type { LabelsOf } from "../metrics/metric-catalogue.ts";
import { stuckWords } from "../stuck-rows-words.ts";
import { awaitedWords } from "../waiting-rows-words.ts";
import type { ObserverParts, RunTotals } from "./observer-parts.ts";

/** A batch whose rows are all settled or refused. Counts are rows. */
export interface WrittenFact {
	readonly table: string;
	readonly rows: number;
	readonly bytes: number;
	readonly trigger: LabelsOf<"write_batches_total">["trigger"];
	readonly inserted: number;
	readonly updated: number;
	readonly deleted: number;
	/** Left out by a trigger or rule of the table. */
	readonly suppressed: number;
	readonly stale: { readonly replay: number; readonly older: number; readonly other_partition: number };
	readonly coalesced: number;
	readonly refused: number;
	readonly durationMs: number;
	/** Timestamps (ms, -1 unknown) of messages that are durable now, by topic. */
	readonly samples?: readonly { readonly topic: string; readonly timestamps: ArrayLike<number> }[];
}

/** A statement failed as a whole; its rows are sent again. */
interface RetriedFact {
	readonly table: string;
	readonly sqlstate: string;
	readonly delayMs: number;
	readonly message: string;
	/** What to do, if known. */
	readonly hint: string | null;
}

const SAME_RETRY_EVERY_MS = 10_000;
/** Minimum time between two log records about the same rows, even if the server's message changes with every attempt. */
const SAME_ROWS_EVERY_MS = 60_000;

/** Listeners for the batch writer's events, by event. */
export function observeWriter({ metrics, logger, clock, totals }: ObserverParts) {
	const retries = new LogLimiter(() => clock.monotonic(), SAME_RETRY_EVERY_MS);
	const stuck = new LogLimiter(() => clock.monotonic(), SAME_ROWS_EVERY_MS);
	const failing = new LogLimiter(() => clock.monotonic(), SAME_ROWS_EVERY_MS);
	/** Tables that the log says can't be written. */
	const toldAway = new Set<string>();
	const awaited = new LogLimiter(() => clock.monotonic(), SAME_ROWS_EVERY_MS);
	const suppressing = new Set<string>();
	return {
		"batch:written"(fact: WrittenFact): void {
			countRows(metrics, totals, fact);
			if (fact.suppressed > 0 && !suppressing.has(fact.table)) {
				suppressing.add(fact.table);
				logger.warn({ table: fact.table, rows: fact.suppressed }, suppressedWords(fact));
			}
			metrics.observe("write_batch_rows", {}, [fact.rows]);
			metrics.observe("write_batch_bytes", {}, [fact.bytes]);
			metrics.count("write_batches_total", { trigger: fact.trigger });
			metrics.observe("write_duration_seconds", { table: fact.table }, [fact.durationMs], 0.001);
			metrics.count("stage_busy_seconds_total", { stage: "write" }, fact.durationMs / 1000);
			for (const { topic, timestamps } of fact.samples ?? []) {
				metrics.observe("end_to_end_latency_seconds", { topic }, agesOf(timestamps, clock.now()), 0.001);
			}
		},
		"write:retried"({ table, sqlstate, delayMs, message, hint }: RetriedFact): void {
			metrics.count("write_retries_total", { sqlstate });
			const held = retries.admit(`${table} ${sqlstate}`);
			if (held === null) return;
			logger.warn(
				{ table, sqlstate, delayMs: Math.round(delayMs), held },
				`a batch for ${table} was not written: ${message}; the same rows are sent again in ${Math.round(delayMs)} ms${hint ? `; ${hint}` : ""}`,
			);
		},
		"rows:stuck"(fact: StuckFact): void {
			const { topic, partition, offset, table, id, rows, sqlstate } = fact;
			if (stuck.admit(`${table} ${partition} ${topic} ${id} ${sqlstate}`) === null) return;
			logger.error({ topic, partition, offset, table, id, rows, sqlstate }, stuckWords(fact));
		},
		"rows:unstuck"({ topic, partition, table }: StuckFact): void {
			logger.info({ topic, partition, table }, `${partitionName({ topic, partition })}: no row of ${table} is stuck any more`);
		},
		"parents:awaited"(fact: AwaitedFact): void {
			const { topic, partition, offset, table, id, rows, constraint } = fact;
			if (awaited.admit(`${table} ${partition} ${topic}`) === null) return;
			logger.warn({ topic, partition, offset, table, id, rows, constraint }, awaitedWords(fact));
		},
		"parents:settled"({ topic, partition, table }: AwaitedFact): void {
			logger.debug({ topic, partition, table }, `${partitionName({ topic, partition })}: no row of ${table} waits for its parent any more`);
		},
		"table:blocked"({ table, sqlstate, message, hint }: { table: string; sqlstate: string; message: string; hint?: string | null }): void {
			toldAway.add(table);
			logger.error({ table, sqlstate, hint: hint ?? null }, `${table} can't be written: ${message}${hint ? `; ${hint}` : ""}`);
		},
		"table:failing"({ table, sqlstate, message, hint }: Omit<RetriedFact, "delayMs">): void {
			if (failing.admit(`${table} ${sqlstate}`) === null) return;
			toldAway.add(table);
			const words = `rows of ${table} can't be written for now: ${message}; they are sent again until they are written`;
			logger.error({ table, sqlstate, hint }, hint ? `${words}; ${hint}` : words);
		},
		"table:unblocked"({ table }: { table: string }): void {
			if (toldAway.delete(table)) logger.info({ table }, `${table} can be written again`);
		},
	};
}

/** Warned once per table; the counter has the number of rows. */
function suppressedWords({ table, suppressed }: WrittenFact): string {
	const what = `${table} did not take ${counted(suppressed, "row")}: there was no error, and no row as new is stored`;
	const why = "a trigger that returns null, or a rule, leaves them out";
	return `${what}; ${why}. Their messages count as finished; verify reports such rows as missing or older`;
}

function countRows(metrics: ObserverParts["metrics"], totals: RunTotals, { table, stale, ...counts }: WrittenFact): void {
	for (const result of ["inserted", "updated", "deleted", "suppressed", "coalesced", "refused"] as const) {
		metrics.count("cas_rows_total", { table, result }, counts[result]);
	}
	const staleRows = stale.replay + stale.older + stale.other_partition;
	metrics.count("cas_rows_total", { table, result: "stale" }, staleRows);
	totals.stale += staleRows;
	for (const result of ["inserted", "updated", "deleted"] as const) totals[result] += counts[result];
	for (const cause of ["replay", "older", "other_partition"] as const) metrics.count("stale_rows_total", { table, cause }, stale[cause]);
}

/** Ages in ms; NaN, which a histogram ignores, if a message has no timestamp. */
function agesOf(timestamps: ArrayLike<number>, now: number): Float64Array {
	return Float64Array.from(timestamps, (timestamp) => (timestamp < 0 ? Number.NaN : now - timestamp));
}
