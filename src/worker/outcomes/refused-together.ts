/** For tables with `atomic: message`: if the thread found a fault in one row, the other rows of its message are refused as well. Pure. */
import { type RowFault, refusedTogether, rowsOf, withoutMessages } from "../../core/rows/rows.ts";
import type { BatchOutcome } from "../thread/handler-thread.ts";

/** Returns the outcome with the other rows of such messages refused too. `tables`: those with `atomic: message`. */
export function withRefusedTogether(outcome: BatchOutcome, tables: ReadonlySet<string>): BatchOutcome {
	if (tables.size === 0 || outcome.faults.length === 0) return outcome;
	const spoiled = new Map<number, RowFault>();
	for (const { message, fault } of outcome.faults) if (tables.has(fault.table) && !spoiled.has(message)) spoiled.set(message, fault);
	if (spoiled.size === 0) return outcome;
	const faults = [...outcome.faults];
	const blocks = outcome.blocks.flatMap((block) => {
		if (!tables.has(block.table) || !block.messages.some((message) => spoiled.has(message))) return [block];
		for (const { message, id } of rowsOf(block)) {
			const fault = spoiled.get(message);
			if (fault) faults.push({ message, fault: refusedTogether(fault, block.table, id) });
		}
		const kept = withoutMessages(block, spoiled);
		return kept.length > 0 ? [kept] : [];
	});
	return { ...outcome, faults, blocks };
}
