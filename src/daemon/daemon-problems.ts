/** The present problems of the daemon's parts: the reasons of `/readyz` that are read from their state. Changes nothing. */
import { restoredWords } from "../core/offsets/position-note.ts";
import type { Problem } from "../core/problem.ts";
import type { ReadinessCode } from "../observe/readiness-codes.ts";
import { rowProblems } from "../observe/row-problems.ts";
import type { Daemon } from "./daemon.ts";

/** Reads every part once. */
export function daemonProblems({
	delivery,
	stallDetector,
	stuckThreads,
	parts,
}: Pick<Daemon, "delivery" | "stallDetector" | "stuckThreads" | "parts">): Problem<ReadinessCode>[] {
	const workers = [...delivery.supervisor.children.values()].flatMap(({ topic, partition, child, parked }) => {
		const where = { topic, partition };
		const troubles = child.troubles.map((trouble): Problem<ReadinessCode> => ({ ...trouble, where }));
		return parked ? [...troubles, { code: "parked" as const, where, message: parked.message, sinceMs: parked.sinceMs }] : troubles;
	});
	const restored = delivery.restored.all.map(({ sinceMs, ...each }): Problem<ReadinessCode> => {
		const where = { topic: each.topic, partition: each.partition };
		return { code: "table_restored", where, message: restoredWords(where, each), sinceMs };
	});
	const rows = rowProblems(delivery.writer, parts.clock.now());
	return [...delivery.problems, ...workers, ...rows, ...stallDetector.stalls, ...restored, ...stuckThreads.problems];
}
