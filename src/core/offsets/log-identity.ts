/**
 * What distinguishes one log from another of the same name. Offsets have a meaning only in their own log: a topic that is deleted and
 * created again has other messages at the same offsets.
 */

/** Kafka's topic id as Kafka prints it; null if the broker has none or can't be asked. */
export type LogId = string | null;

/** A record that is known to be in a log; used if there is no topic id. `timestamp` is the record's, in ms. */
export interface Witness {
	readonly offset: number;
	readonly timestamp: number;
}

/** Everything known about which log a position belongs to. */
export interface LogIdentity {
	readonly id: LogId;
	readonly witness: Witness | null;
}

/** Stands for an id: the stored position belongs to a deleted log, whichever log has its name now. */
export const deletedLog = "deleted";

/** Nothing is known. */
export const unknownLog: LogIdentity = { id: null, witness: null };

/** How two ids compare, as far as they are known. */
export function compareLogIds(kept: LogId, current: LogId): "same" | "other" | "unknown" {
	if (kept === deletedLog) return "other";
	if (kept === null || current === null) return "unknown";
	return kept === current ? "same" : "other";
}
