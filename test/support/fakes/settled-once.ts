/** The oracle of a fault: every row was told its fate once, and none was refused. */
import { expect } from "vitest";
import type { TestRow, TrackedSubmission } from "./row-submissions.ts";

/** Waits for the submission, and expects each of its offsets settled exactly once. */
export async function expectSettledOnce(submission: TrackedSubmission, rows: readonly TestRow[]): Promise<void> {
	await submission.done;
	expect([...submission.refusedOffsets]).toEqual([]);
	const ascending = (offsets: number[]) => offsets.sort((left, right) => left - right);
	expect(ascending([...submission.settledOffsets])).toEqual(ascending(rows.map(({ offset }) => offset)));
}

/** Rows of as many ids, `id-<from>` and on; their names say from which offset they are. */
export function rowsFrom(from: number, count: number): TestRow[] {
	return Array.from({ length: count }, (_, i) => ({
		id: `id-${String(from + i).padStart(6, "0")}`,
		offset: from + i,
		values: [`name ${from + i}`, "1"],
	}));
}
