/**
 * Whether somebody would be charged with a death of the process that was another's: what the notes say beside what the workers know.
 */
import type { Evidence } from "../../src/core/messages/hand-note.ts";

/** A message by its place in the topic. */
export interface Place {
	readonly partition: number;
	readonly offset: number;
}

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

/** Who beside the culprit (null: none of the messages) is charged with one death more than there were before; null for nobody. */
export function wronglyCharged(partitions: readonly DyingPartition[], culprit: Place | null): string | null {
	for (const { partition, evidence, committed, noted } of partitions) {
		const before = new Map(evidence?.deaths ?? []);
		for (const [offset, count] of noted?.deaths ?? []) {
			const isCulprit = partition === culprit?.partition && offset === culprit.offset;
			if (!isCulprit && offset >= committed && count > (before.get(offset) ?? 0))
				return `offset ${offset} of partition ${partition} (death ${count})`;
		}
	}
	return null;
}

/** True where a worker knows that a message may have ended an earlier process: then no other suspect is in hand beside it. */
export function isSuspect({ partition, offset }: Place, evidence: ReadonlyMap<number, Evidence | null>): boolean {
	const { held = null, deaths = [] } = evidence.get(partition) ?? {};
	return deaths.some(([dead]) => dead === offset) || (held !== null && offset >= held.from && offset < held.to);
}
