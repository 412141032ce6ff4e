/** The daemon's present state as plain data, read from its parts for `/status`, the gauges and the summary line. Changes nothing. */
import { partitionName } from "../core/messages/message.ts";
import type { SummaryFigures } from "../embedded/summary-line.ts";
import type { ReadinessReport } from "../observe/readiness.ts";
import { lagOf, type PartitionSnapshot, type StatusSnapshot } from "../observe/status.ts";
import { describeTarget } from "../sink/database/connecting/connection-settings.ts";
import type { Daemon } from "./daemon.ts";

/** Reads every part once. */
export function buildSnapshot(daemon: Daemon): StatusSnapshot {
	const { parts } = daemon;
	const { writer, consumer } = daemon.delivery;
	const { config, clock, version, isEmbedded = false } = parts;
	const now = clock.now();
	const report = daemon.readiness.report();
	return {
		version,
		embedded: isEmbedded,
		handler: { module: config.handler.module, ...daemon.handler },
		now,
		startedAt: daemon.startedAt,
		state: daemon.state,
		notReady: report.ready ? [] : report.reasons,
		group: config.kafka.group,
		protocol: config.kafka.protocol,
		memberState: consumer.memberState,
		rebalances: consumer.rebalances,
		partitions: partitionsOf(daemon),
		threadsStuck: daemon.stuckThreads.count,
		writer: {
			queuedRows: writer.queueRows,
			queuedBytes: writer.queueBytes,
			oldestSince: writer.oldestAgeMs === null ? null : now - writer.oldestAgeMs,
			awaitingParents: writer.awaitingParents,
			choices: writer.choices,
			inFlight: writer.inFlight,
			lastError: writer.lastError,
		},
		connections: [
			{
				name: "kafka",
				target: config.kafka.brokers.join(","),
				state: !consumer.connected ? "connecting" : consumer.away === null ? "connected" : "away",
				message: consumer.away,
			},
			{
				name: "database",
				target: describeTarget(config.database.url, process.env),
				state: daemon.databaseProblem ? "away" : "connected",
				message: daemon.databaseProblem,
			},
		],
	};
}

/** Present figures and sums since the start (`totals`), for the summary line. */
export function buildSummary(
	{ partitions }: StatusSnapshot,
	report: ReadinessReport,
	totals: Omit<SummaryFigures, "lag" | "notReady">,
): SummaryFigures {
	const lags = partitions.map(lagOf);
	const reasons = report.ready ? [] : report.reasons;
	return {
		...totals,
		lag: lags.includes(null) ? null : lags.reduce<number>((sum, lag) => sum + (lag ?? 0), 0),
		notReady: reasons.map(({ code, topic, partition }) => (topic === null ? code : `${code} ${topic}/${partition}`)),
	};
}

function partitionsOf(daemon: Daemon): PartitionSnapshot[] {
	const { delivery, lagClock, stallDetector } = daemon;
	const { supervisor, ledger, consumer, writer } = delivery;
	const restored = new Map(delivery.restored.all.map((each) => [partitionName(each), each.to - each.from]));
	return [...supervisor.children.values()].flatMap(({ topic, partition, epoch, paused, pausedByHand, parked, child }) => {
		const offsets = ledger.of({ topic, partition });
		if (!offsets) return [];
		const { state, queue, threadId, restarts, attempts, reports } = child;
		const stalled = stallDetector.reasonOf({ topic, partition });
		const highWatermark = consumer.client?.cachedHighWatermark({ topic, partition }) ?? null;
		return [
			{
				topic,
				partition,
				worker: parked
					? { name: "parked", reason: parked.message, code: parked.code }
					: stalled === null
						? state
						: { name: "parked", reason: stalled, code: "standstill" },
				pauseReason: pausedByHand ? "admin" : paused ? (writer.stuck ? "database" : "queue_full") : null,
				assignmentEpoch: epoch,
				position: offsets.position,
				committed: offsets.committed,
				highWatermark,
				oldestUnfinishedTimestamp: lagClock.oldestKnown({ topic, partition }, { ...offsets, highWatermark }, daemon.parts.clock.now()),
				queued: queue.queued,
				inFlight: queue.handed,
				thread: threadId,
				handlerVersion: child.handlerVersion,
				restarts,
				attempts,
				careful: child.isCareful,
				breakerOpen: child.breakerOpen,
				restoredOffsets: restored.get(partitionName({ topic, partition })) ?? 0,
				failures: reports,
			},
		];
	});
}
