/** A verification's report as text, line by line. */
import type { CoveredPartition } from "../../audit/log/log-coverage.ts";
import type { Difference } from "../../audit/verification/findings.ts";
import type { VerificationReport } from "../../audit/verification/verification-report.ts";
import { partitionName } from "../../core/messages/message.ts";
import { counted, grouped } from "../../core/text/counted.ts";
import type { RowOrigin } from "../../sink/comparison/table-comparison.ts";

/** What was looked at, what was not, what differs, and the verdict as the last line. */
export function* reportLines(report: VerificationReport): Generator<string> {
	const { group, partitions, messages, behind, absentOffsets, passedOver, letters, lettersOfOtherLogs, lettersMissing } = report;
	const { counts, differences, begunOnly } = report;
	yield `group ${group}: ${counted(messages, "message")} read, in ${counted(partitions.length, "partition")}`;
	for (const range of partitions) yield `  ${partitionName(range)}  ${rangeText(range)}`;
	const begun = begunOnly > 0 ? `; in ${counted(begunOnly, "partition")} a daemon began, and nothing is committed` : "";
	yield `not looked at: ${counted(behind, "message")} after the committed offsets${begun}`;
	if (report.recordsLeftOut) yield "records that the handler produces: left out, only rows are compared";
	const { open = 0, discarded = 0, skipped = 0 } = letters;
	yield `dead letters, left out: ${open} open, ${discarded} discarded, ${skipped} skipped`;
	if (lettersOfOtherLogs > 0)
		yield `  and ${lettersOfOtherLogs} of earlier logs of these topics, which were deleted and created again: they explain nothing here`;
	if (lettersMissing !== null)
		yield `  there is no ${lettersMissing}: if the daemon stores letters elsewhere, their messages count as lost here (is deadLetters the daemon's?)`;
	yield `rows: ${counts.matched} as the log says, ${counts.purged} deleted and purged, ${counts.ahead} ahead (newer than the committed offsets), ${counts.lettered} of dead letters`;
	if (passedOver > 0) yield `passed over unread: ${passedOver} offsets; no rows are expected of them`;
	yield `unchecked: ${absentOffsets} offsets that the log doesn't hold, ${counts.unchecked} rows of messages that were not read`;
	const { missing, older, newer, different, extra, unwritable, failed, beyond } = counts;
	yield `differences: ${missing} missing, ${older} older, ${newer} newer, ${different} different, ${extra} extra, ${unwritable} unwritable, ${failed} failed, ${beyond} beyond`;
	for (const difference of differences) yield `  ${differenceLine(difference)}`;
	const sum = missing + older + newer + different + extra + unwritable + failed + beyond;
	if (sum > differences.length) yield `  … and ${sum - differences.length} more (--limit)`;
	yield `${verdict(report, sum)}${notLookedAt(report)}${advice(counts)}`;
}

/** How much was compared, and with what result. */
function verdict({ verified, lookedAt: { ids, of }, unmet }: VerificationReport, differences: number): string {
	const share = `${grouped(ids)} of ${grouped(of)} ids`;
	if (differences > 0) return `NOT verified: ${named(differences, "difference", "differences")}, ${share} compared`;
	if (!verified) return `NOT verified: ${share}, so nothing is known`;
	const required = unmet.length > 0 ? `NOT as required (${unmet.join("; ")}): ` : "";
	return `${required}verified ${share}: the tables are what the log says`;
}

/** What the verdict does not cover. */
function notLookedAt({ counts: { ahead, unchecked, lettered }, behind, passedOver, letters: { open = 0 } }: VerificationReport): string {
	const parts: [count: number, one: string, more: string][] = [
		[ahead, "id is ahead", "ids are ahead"],
		[unchecked, "is of a message that was not read", "are of messages that were not read"],
		[lettered, "is of a dead letter", "are of dead letters"],
		[behind, "message is unread", "messages are unread"],
		[open, "dead letter is open", "dead letters are open"],
		[passedOver, "offset was passed over", "offsets were passed over"],
	];
	const told = parts.filter(([count]) => count > 0).map((part) => named(...part));
	return told.length > 0 ? `; ${told.join("; ")}` : "";
}

function named(count: number, one: string, more: string): string {
	return `${grouped(count)} ${count === 1 ? one : more}`;
}

const CHANGED = ". After a change of the handler: pockaffe reprocess";
const HARMLESS = ". A handler whose rows depend on more than the message (time, state, other systems) differs without anything being lost.";
const LOST = ". Find out why; then pockaffe reprocess writes missing and older rows again.";

/** What to do. Missing or older rows are lost, whatever the handler does; other differences may come from a change of the handler. */
function advice({ missing, older, newer, different, extra, failed, beyond }: VerificationReport["counts"]): string {
	if (missing + older > 0) return LOST;
	const others = newer + different + extra;
	if (beyond > 0 || others + failed === 0) return "";
	return `${others > 0 ? CHANGED : ""}${HARMLESS}`;
}

function rangeText({ hasBegun, from, to, low, start, startIs, committed, isNoted, skipped, disbelieved }: CoveredPartition): string {
	if (startIs === "new_log")
		return "the topic was created again, and the committed offset belongs to the earlier log: nothing of this one is committed";
	if (committed === null) return hasBegun ? "nothing is committed, though a daemon began here: not looked at" : "nothing is committed";
	const gone = low > start ? `; offsets ${start} to ${low - 1} are no longer in the log` : "";
	const beginning = {
		recorded: start > low ? `; the group began at ${start}: what the log holds before it is not looked at` : "",
		assumed: `; the group had committed before its first note: its offset then, ${start}, is taken for its beginning`,
		unknown: "; where the group began is not recorded: 0 is assumed",
	};
	const noted = isNoted ? "; Kafka has no offset of the group: its note says how far it came" : "";
	const stretches = skipped.map((stretch) => `; ${stretchText(stretch)} were passed over (${stretch.reason})`).join("");
	const impossible = disbelieved
		.map((stretch) => `; ${stretchText(stretch)} are noted as passed over (${stretch.reason}), but the log has them: they are looked at`)
		.join("");
	return `offsets ${from} to ${to}${gone}${beginning[startIs]}${noted}${stretches}${impossible}`;
}

function stretchText({ from, to }: CoveredPartition["skipped"][number]): string {
	return `${from} to ${to - 1}`;
}

function differenceLine(difference: Difference): string {
	if (difference.kind === "failed") {
		const { reason, error } = difference;
		return `failed     ${partitionName(difference)}@${difference.offset}: ${reason}, and there is no dead letter of it: ${error.replaceAll(/\s+/g, " ").slice(0, 200)}`;
	}
	if (difference.kind === "beyond") {
		const { offset, high } = difference;
		return `beyond     ${partitionName(difference)}@${offset} is committed, and the log ends at ${high}: it lost its end, or somebody set the offset`;
	}
	const { kind, table, id, expected, stored, columns, sqlstate } = difference;
	const parts = [
		`${kind.padEnd(10)} ${table} ${JSON.stringify(id)}`,
		expected ? `expected ${originText(expected)}` : "",
		stored ? `stored ${originText(stored)}` : "",
		stored === null && isThere(kind) ? "stored without coordinates" : "",
		kind === "different" ? `columns ${columns.join(", ")}` : "",
		sqlstate ? `SQLSTATE ${sqlstate}` : "",
	];
	return parts.filter(Boolean).join(" · ");
}

/** True if there is a row in the table; its origin may be unknown. */
function isThere(kind: Difference["kind"]): boolean {
	return kind === "older" || kind === "newer" || kind === "different" || kind === "extra";
}

function originText({ topic, partition, offset, timestamp, deleted }: RowOrigin): string {
	return `${topic ?? "partition "}${topic ? "/" : ""}${partition}@${offset} (timestamp ${timestamp}${deleted ? ", a delete" : ""})`;
}
