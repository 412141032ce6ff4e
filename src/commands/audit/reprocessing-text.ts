/** What `reprocess` would do, and what it did, as text. */
import type { ReprocessingReport } from "../../audit/rows-anew/reprocessing.ts";
import { partitionName } from "../../core/messages/message.ts";
import { grouped } from "../../core/text/counted.ts";

/** Maximum failures and refused rows printed; --json prints all. */
const MAX_LINES = 20;

/** True if there is nothing to do. */
export function isNothing({ changed, added, removed, rejected }: ReprocessingReport): boolean {
	return changed + added + removed + rejected === 0;
}

/** What would be done. */
export function planWords({ changed, added, removed, rejected }: ReprocessingReport): string {
	const letters =
		rejected === 0 ? "" : `, and ${counted(rejected, "message")} would become ${rejected === 1 ? "a dead letter" : "dead letters"}`;
	return `${counted(changed, "row")} would change, ${grouped(added)} be added, ${grouped(removed)} be removed${letters}`;
}

/** What was done, or would be, line by line. */
export function* reportLines(report: ReprocessingReport, isDryRun: boolean): Generator<string> {
	const { messages, changed, added, removed, same, moved, rejected, lettered, failed, refused, unknownStart } = report;
	yield `${counted(messages, "message")} handled again.`;
	if (isDryRun) yield `${planWords(report)}; ${grouped(same)} are the same. Nothing was changed (--dry-run).`;
	else
		yield `${counted(changed, "row")} changed, ${grouped(added)} added, ${grouped(removed)} removed, ${grouped(same)} the same, ${grouped(rejected)} rejected.`;
	if (moved > 0) yield `${counted(moved, "row")} stay as they are: they belong to other messages by now.`;
	if (unknownStart.length > 0)
		yield `It is not known where the group began in ${unknownStart.map(partitionName).join(", ")}: added rows may belong to messages that it never read (--from leaves those out).`;
	if (lettered > 0) yield `${counted(lettered, "message")} left out as dead letters (pockaffe dead-letters replay).`;
	if (failed.length > 0) yield `${counted(failed.length, "message")} failed, and their rows stay:`;
	for (const { topic, partition, offset, reason, error } of failed.slice(0, MAX_LINES))
		yield `  ${topic}/${partition} offset ${offset}: ${reason}: ${error.replaceAll(/\s+/g, " ")}`;
	if (refused.length > 0) yield `${counted(refused.length, "row")} refused by the server; the rows that were there stay:`;
	for (const { table, id, sqlstate, message } of refused.slice(0, MAX_LINES))
		yield `  ${table} ${JSON.stringify(id)}: ${message} (${sqlstate})`;
	const more = Math.max(0, failed.length - MAX_LINES) + Math.max(0, refused.length - MAX_LINES);
	if (more > 0) yield `  … and ${grouped(more)} more (--json names all)`;
}

function counted(count: number, what: string): string {
	return `${grouped(count)} ${what}${count === 1 ? "" : "s"}`;
}
