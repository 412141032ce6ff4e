/** Gauges that show the daemon's present state: set anew from a snapshot at every scrape, so that no released partition stays behind. */
import { readinessCodeNames } from "../readiness-codes.ts";
import { lagOf, type PartitionSnapshot, partitionState, type StatusSnapshot } from "../status.ts";
import { partitionStates } from "./metric-catalogue.ts";
import type { Metrics } from "./metrics.ts";

/** Sets the gauges of partitions, workers, lag and the writer's queue. */
export function setSnapshotGauges(metrics: Metrics, snapshot: StatusSnapshot): void {
	const { partitions, writer, now } = snapshot;
	metrics.set("ready", [[{}, snapshot.notReady.length === 0 ? 1 : 0]]);
	const reasons = countBy(snapshot.notReady.map(({ code }) => code));
	metrics.set(
		"not_ready_reasons",
		readinessCodeNames.map((code) => [{ code }, reasons.get(code) ?? 0]),
	);
	metrics.set("embedded", [[{}, snapshot.embedded ? 1 : 0]]);
	const { module, version } = snapshot.handler;
	const versions = countBy([...partitions.flatMap(({ handlerVersion }) => handlerVersion ?? [])]);
	metrics.set(
		"handler_info",
		[...new Set([version ?? "", ...versions.keys()])].map((each) => [{ module, version: each }, versions.get(each) ?? 0]),
	);
	metrics.set("threads_stuck", [[{}, snapshot.threadsStuck]]);
	metrics.set("partitions_assigned", [[{}, partitions.length]]);
	setStateGauges(metrics, partitions);
	setOffsetGauges(metrics, snapshot);
	metrics.set("write_queue_rows", [[{}, writer.queuedRows]]);
	metrics.set("write_queue_bytes", [[{}, writer.queuedBytes]]);
	metrics.set("write_queue_oldest_seconds", [[{}, writer.oldestSince === null ? 0 : secondsBetween(writer.oldestSince, now)]]);
	metrics.set(
		"write_awaiting_parent_rows",
		[...writer.awaitingParents].map(([table, rows]) => [{ table }, rows]),
	);
	const chosen = (figure: (choice: (typeof writer.choices)[number]) => number) =>
		writer.choices.map((choice) => [{ table: choice.table }, figure(choice)] as const);
	metrics.set(
		"write_statement_rows",
		chosen(({ statementRows }) => statementRows),
	);
	metrics.set(
		"write_lanes",
		chosen(({ lanes }) => lanes),
	);
	metrics.set(
		"write_linger_seconds",
		chosen(({ lingerMs }) => lingerMs / 1000),
	);
}

function setStateGauges(metrics: Metrics, partitions: readonly PartitionSnapshot[]): void {
	const states = countBy(partitions.map(partitionState));
	metrics.set(
		"workers",
		partitionStates.map((state) => [{ state }, states.get(state) ?? 0]),
	);
	const paused = partitions
		.filter((each) => partitionState(each) === "paused")
		.flatMap(({ pauseReason }) => (pauseReason === null ? [] : [pauseReason]));
	metrics.set(
		"partitions_paused",
		[...countBy(paused)].map(([reason, count]) => [{ reason }, count]),
	);
	const parked = partitions
		.filter((each) => partitionState(each) === "parked")
		.flatMap(({ worker }) => (worker.name === "parked" ? [worker.code] : []));
	metrics.set(
		"partitions_parked",
		[...countBy(parked)].map(([reason, count]) => [{ reason }, count]),
	);
}

function setOffsetGauges(metrics: Metrics, { partitions, group: consumergroup, now }: StatusSnapshot): void {
	const labelled = partitions.map((snapshot) => ({ snapshot, labels: { topic: snapshot.topic, partition: snapshot.partition } }));
	metrics.set(
		"committed_offset",
		labelled.map(({ snapshot, labels }) => [labels, snapshot.committed]),
	);
	metrics.set(
		"high_watermark",
		labelled.map(({ snapshot, labels }) => [labels, snapshot.highWatermark]),
	);
	metrics.set(
		"restored_offsets",
		labelled.map(({ snapshot, labels }) => [labels, snapshot.restoredOffsets]),
	);
	metrics.set(
		"breaker_open",
		labelled.map(({ snapshot, labels }) => [labels, snapshot.breakerOpen ? 1 : 0]),
	);
	metrics.set(
		"consumer_lag_messages",
		labelled.map(({ snapshot, labels }) => [{ consumergroup, ...labels }, lagOf(snapshot)]),
	);
	metrics.set(
		"consumer_lag_seconds",
		labelled.map(({ snapshot, labels }) => [{ consumergroup, ...labels }, lagSeconds(snapshot, now)]),
	);
}

/** 0 without lag, or if only the commit lags; null if it is not known. */
function lagSeconds(snapshot: PartitionSnapshot, now: number): number | null {
	const { position, highWatermark, queued, inFlight } = snapshot;
	if (lagOf(snapshot) === 0) return 0;
	if (position !== null && highWatermark !== null && position >= highWatermark && queued + inFlight === 0) return 0;
	const oldest = snapshot.oldestUnfinishedTimestamp;
	return oldest === null || oldest < 0 ? null : secondsBetween(oldest, now);
}

function secondsBetween(earlier: number, later: number): number {
	return Math.max(0, later - earlier) / 1000;
}

function countBy<T>(values: readonly T[]): Map<T, number> {
	const counts = new Map<T, number>();
	for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
	return counts;
}
