/**
 * Decides where a partition begins, from everything that is known about it. Where `kafka.startFrom` decides, start-position.ts looks it up.
 * Pure; the table in docs/delivery.md has a row for each case, and so has the test. start-position.ts collects the facts and stores the
 * result.
 *
 * What is known is never discarded in favour of `kafka.startFrom`, which is only for a partition without any stored or noted position.
 */
import type { PositionNote } from "../../core/offsets/position-note.ts";

/** The bounds of a log: its first offset, and the one that the next message gets. */
export interface LogBounds {
	readonly low: number;
	readonly high: number;
}

/** `kafka.onOffsetOutOfRange`. */
export type OutOfRangePolicy = "park" | "earliest" | "latest";

/** log_begins_after: messages after the position were removed before they were read. log_ends_before: the log lost its end. */
export type OutOfRangeReason = "log_begins_after" | "log_ends_before";

/** What happens to a position outside its log. `offset`: where it goes on (jump), or the position itself (park). */
export interface OutOfRange {
	readonly kind: "jump" | "park";
	readonly position: number;
	readonly offset: number;
	readonly reason: OutOfRangeReason;
}

/** What is known of a partition when it is assigned. */
export interface PartitionFacts {
	/** The offset in the configured store (`offsets.store`); null if there is none. */
	readonly kept: number | null;
	readonly keptIn: "kafka" | "table";
	/** Kafka's own offset of the group: `kept`, or the copy of the table's offset. Not asked for if the log is known. */
	readonly inKafka: number | null;
	readonly noted: PositionNote | null;
	/** Whether the stored or noted position belongs to the present log. */
	readonly sameLog: "same" | "other" | "unknown";
	/** True if the present log has an id. */
	readonly hasId: boolean;
	readonly log: LogBounds;
}

/** choose: nothing is known, `kafka.startFrom` decides. `from`: committed, noted (Kafka forgot), new_log (its beginning). */
export type StartDecision =
	| { readonly kind: "choose" }
	| { readonly kind: "start"; readonly offset: number; readonly from: "committed" | "noted" | "new_log" }
	| OutOfRange;

/** Decides where a partition begins. */
export function decideStart(facts: PartitionFacts, policy: OutOfRangePolicy): StartDecision {
	const { kept, noted, log } = facts;
	const known = kept ?? noted?.reached ?? noted?.start ?? null;
	if (known === null) return { kind: "choose" };
	if (isOtherLog(facts, known)) return { kind: "start", offset: log.low, from: "new_log" };
	return decidePosition(known, log, policy) ?? { kind: "start", offset: known, from: kept === null ? "noted" : "committed" };
}

/** What happens to a position in its own log; null if the log contains it. */
export function decidePosition(position: number, { low, high }: LogBounds, policy: OutOfRangePolicy): OutOfRange | null {
	if (position >= low && position <= high) return null;
	const reason = position < low ? "log_begins_after" : "log_ends_before";
	if (policy === "park") return { kind: "park", position, offset: position, reason };
	return { kind: "jump", position, offset: policy === "earliest" ? low : high, reason };
}

/**
 * Decides whether this is another log when no id says so. Kafka forgets offsets together with their topic, so if Kafka has none, the log is
 * read as a whole: repeating is harmless, a gap is not. If a log begins after the position, something is missing in either case, and that
 * is reported. Otherwise the stored position is trusted as far as the log reaches. Past the log's end the table's position is not trusted;
 * nor is Kafka's if logs have no ids and this group has read the log: a commit for a deleted log may have come late.
 */
function isOtherLog({ keptIn, inKafka, noted, sameLog, hasId, log }: PartitionFacts, known: number): boolean {
	if (sameLog !== "unknown") return sameLog === "other";
	if (inKafka === null) return known >= log.low;
	return known > log.high && (keptIn === "table" || (!hasId && noted !== null));
}

/** Explains a position outside its log, and what can be chosen. */
export function outOfRangeWords(
	{ topic, partition, position }: { readonly topic: string; readonly partition: number; readonly position: number },
	{ low, high }: LogBounds,
): string {
	const gone =
		position < low ? `${low - position} offsets were removed before they were read` : `its last ${position - high} offsets are gone`;
	const command = (to: string) => `pockaffe offsets set --topic ${topic} --partition ${partition} --to ${to}`;
	return (
		`offset ${position} is out of range (the log has ${low} to ${high}): ${gone}. ` +
		`Choose where to go on: \`${command("earliest")}\` (${low}) or \`${command("latest")}\` (${high}). ` +
		"The command asks a running daemon (http.admin: true; --url), or else needs the group's daemons to be stopped. " +
		"kafka.onOffsetOutOfRange decides this beforehand"
	);
}
