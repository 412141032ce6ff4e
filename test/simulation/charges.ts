/**
 * Whether somebody would be charged with a death of the process that was nobody's message: what the notes say beside what the workers know.
 */
import type { Evidence } from "../../src/core/messages/hand-note.ts";

/** A partition in the hands of a process as it dies. */
export interface DyingPartition {
	readonly partition: number;
	/** What its worker knows of earlier deaths. */
	readonly evidence: Evidence | null;
	/** What lies before does not come again. */
	readonly committed: number;
	/** `in_hand` of its row. */
	readonly noted: Pick<Evidence, "deaths"> | null;
}

/** Who is charged with one death more than there were before; null for nobody. */
export function wronglyCharged(partitions: readonly DyingPartition[]): string | null {
	for (const { partition, evidence, committed, noted } of partitions) {
		const before = new Map(evidence?.deaths ?? []);
		for (const [offset, count] of noted?.deaths ?? []) {
			if (offset >= committed && count > (before.get(offset) ?? 0)) return `offset ${offset} of partition ${partition} (death ${count})`;
		}
	}
	return null;
}
