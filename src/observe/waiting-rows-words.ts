/** The words for rows that wait for their parents: in the log and in `/readyz`. */
import { partitionName } from "../core/messages/message.ts";
import type { AwaitedFact } from "../core/rows/waiting-rows.ts";

/** A wait is reported after this time at the latest: by then the lag shows, and people ask why. */
const MOST_UNTOLD_MS = 30_000;

/** True if rows wait longer than expected: half of their time is over. `now` is the wall clock. */
export function isLongAwaited({ waitMs, sinceMs }: AwaitedFact, now: number): boolean {
	return now - sinceMs >= Math.min(waitMs / 2, MOST_UNTOLD_MS);
}

/** Says which row waits, for what, and what happens then. */
export function awaitedWords(fact: AwaitedFact): string {
	const { table, id, offset, rows, constraint, waitMs } = fact;
	const which = `row ${JSON.stringify(id)} of ${table} (${partitionName(fact)} at offset ${offset})`;
	const others = rows > 1 ? ` and ${rows - 1} more of the partition wait` : " waits";
	const what = `${others} for the row that ${constraint === null ? "its foreign key" : `its foreign key ${constraint}`} refers to`;
	const then = "after that it becomes a dead letter. The partition's commits wait with it: find out why the other row does not come";
	return `${which}${what}, at most ${waitMs} ms; ${then}`;
}
