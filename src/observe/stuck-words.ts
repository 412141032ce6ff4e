/** What is said of rows that don't go in though others of their table do: in the log and by `/readyz`. */
import { partitionName, type TopicPartition } from "../core/messages/message.ts";

/** The first such row of a partition and table, of so many; see the writer's StuckFact. */
export interface StuckFact extends TopicPartition {
	readonly table: string;
	readonly id: string;
	readonly offset: number;
	readonly rows: number;
	readonly sqlstate: string;
	readonly message: string;
	readonly hint: string | null;
	readonly sinceMs: number;
}

/** Which row, what it meets, what to do. */
export function stuckWords(fact: StuckFact): string {
	const { table, id, offset, rows, message, hint } = fact;
	const which = `row ${JSON.stringify(id)} of ${table} (${partitionName(fact)} at offset ${offset})`;
	const others = rows > 1 ? ` and ${rows - 1} more of the partition do` : " does";
	const remedy = hint ?? "mend what it meets there (a trigger, a function, an extension); it goes on by itself";
	return `${which}${others} not go in, the partition's commits wait: ${message}; ${remedy}`;
}
