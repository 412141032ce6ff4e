/** The words for rows that can't be written although others of their table can: in the log and in `/readyz`. */
import { partitionName } from "../core/messages/message.ts";
import type { StuckFact } from "../core/rows/waiting-rows.ts";

/** Says which row is stuck, why, and what to do. */
export function stuckWords(fact: StuckFact): string {
	const { table, id, offset, rows, message, hint } = fact;
	const which = `row ${JSON.stringify(id)} of ${table} (${partitionName(fact)} at offset ${offset})`;
	const others = rows > 1 ? `, nor can ${rows - 1} more of the partition` : "";
	const remedy = hint ?? "correct what fails there (a trigger, a function, an extension): then it goes on by itself";
	return `${which} can't be written${others}; the partition's commits wait: ${message}; ${remedy}`;
}
