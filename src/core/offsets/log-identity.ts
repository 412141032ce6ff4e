/**
 * What tells one log from another of the same name. Offsets mean something in their own log only: a topic that is deleted and made again
 * has other messages at the same offsets.
 */

/** Kafka's topic id as Kafka prints it; null where the broker has none or can't be asked. */
export type LogId = string | null;

/** A record that is known to be in a log. It stands in where there is no topic id. `timestamp` is the record's, in ms. */
export interface Witness {
	readonly offset: number;
	readonly timestamp: number;
}

/** All that is known of which log a position belongs to. */
export interface LogIdentity {
	readonly id: LogId;
	readonly witness: Witness | null;
}

/** No id of Kafka's: what was kept belongs to a log that was deleted, whichever log has its name now. */
export const deletedLog = "deleted";

/** Nothing is known. */
export const unknownLog: LogIdentity = { id: null, witness: null };

/** How two identities stand to each other, as far as ids tell. */
export function compareIds(kept: LogId, current: LogId): "same" | "other" | "unknown" {
	if (kept === deletedLog) return "other";
	if (kept === null || current === null) return "unknown";
	return kept === current ? "same" : "other";
}
