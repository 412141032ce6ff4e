/**
 * What makes the daemon not ready, and what ends it: listeners of the parts' facts, by part, that set and clear reasons. Decides
 * nothing but when a reason holds.
 */
import type { TopicPartition } from "../core/message.ts";
import type { Readiness } from "./readiness.ts";

/** What is asked of the parts. */
export interface ReadinessParts {
	readonly readiness: Readiness;
	/** True while a systemic fault keeps rows from being written. */
	readonly rowsBlocked: () => boolean;
	/** Failures of a partition's worker since its last progress. */
	readonly failuresInARow: (partition: TopicPartition) => number;
}

/** A retry is a hiccup; the same batch refused twice is a database that is away. */
const RETRIES_UNTIL_AWAY = 2;
/** Two failures of a partition in a row. */
const CRASH_LOOP = 2;

/** Listeners by part; those of emitters by event name. */
export function observeReadiness({ readiness, rowsBlocked, failuresInARow }: ReadinessParts) {
	const rowsGoIn = () => {
		if (!rowsBlocked()) readiness.clear("database");
	};
	return {
		consumer: {
			"connect:failed": ({ message }: { message: string }) => readiness.set("not_in_group", message),
			"look:failed": ({ message }: { message: string }) =>
				readiness.set("not_in_group", `the group's offsets can't be looked at yet: ${message}`),
			"topics:missing": ({ topics }: { topics: readonly string[] }) =>
				readiness.set("starting", `waiting for topic ${topics.join(", ")}: pockaffe topic create`),
			"group:joined": () => {
				readiness.clear("starting");
				readiness.clear("not_in_group");
			},
			rebalanced: ({ kind, partitions }: { kind: string; partitions: readonly TopicPartition[] }) => {
				if (kind !== "assign") for (const partition of partitions) readiness.clearPartition(partition);
			},
			"start:failed": ({ topic, partition, message, failures }: TopicPartition & { message: string; failures: number }) => {
				if (failures >= RETRIES_UNTIL_AWAY) readiness.set("starting", `its start can't be resolved yet: ${message}`, { topic, partition });
			},
			"start:resolved": ({ topic, partition }: TopicPartition) => readiness.clear("starting", { topic, partition }),
			membership: ({ member, message }: { member: boolean; message: string }) =>
				member ? readiness.clear("not_in_group") : readiness.set("not_in_group", message),
		},
		writer: {
			"batch:written": rowsGoIn,
			"table:unblocked": rowsGoIn,
			"write:retried": ({ failures, message }: { failures: number; message: string }) => {
				// A blocked table has said already what is to be mended.
				if (failures >= RETRIES_UNTIL_AWAY && !rowsBlocked()) readiness.set("database", `rows can't be written: ${message}`);
			},
			"table:blocked": ({ message, hint }: { message: string; hint: string | null }) =>
				readiness.set("database", hint ? `${message}; ${hint}` : message),
		},
		deadLetters: {
			"target:blocked": ({ message }: { message: string }) => readiness.set("dead_letter_target", message),
			"target:unblocked": () => readiness.clear("dead_letter_target"),
		},
		workers: {
			handled: (partition: TopicPartition) => readiness.clearPartition(partition),
			crashed: (report: TopicPartition & { error: { message: string } }) => {
				const failures = failuresInARow(report);
				if (failures >= CRASH_LOOP) readiness.set("crash_loop", `${failures} failures in a row: ${report.error.message}`, report);
			},
			parked: (partition: TopicPartition, reason: string) => readiness.set("parked", reason, partition),
		},
		stalls: {
			stalled: (partition: TopicPartition, reason: string) => readiness.set("parked", reason, partition),
			moving: (partition: TopicPartition) => readiness.clear("parked", partition),
		},
		tables: {
			failed: (message: string) => readiness.set("database", `tables can't be prepared: ${message}`),
			prepared: rowsGoIn,
		},
	};
}
