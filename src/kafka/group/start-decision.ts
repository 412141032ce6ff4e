/**
 * Where a partition begins, from everything that is known of it: the one place that decides. Pure; the table in docs/delivery.md has a
 * row for each case, and so has the test. Start-position.ts asks and stores.
 *
 * What is known is never thrown away for `kafka.startFrom`: that is for a partition of which nothing is kept and nothing is noted.
 */
import type { PositionNote } from "../../core/offsets/position-note.ts";

/** The offsets a log has: the first, and the one that the next message gets. */
export interface LogBounds {
	readonly low: number;
	readonly high: number;
}

/** `kafka.onOffsetOutOfRange`. */
export type OutOfRangePolicy = "park" | "earliest" | "latest";

/** log_begins_after: messages behind the position were removed before they were read. log_ends_before: the log lost its end. */
export type OutOfRangeReason = "log_begins_after" | "log_ends_before";

/** What becomes of a position outside its log; `offset` is where it goes on (jump), or the position itself (park). */
export interface OutOfRange {
	readonly kind: "jump" | "park";
	readonly position: number;
	readonly offset: number;
	readonly reason: OutOfRangeReason;
}

/** What is known of a partition when it is assigned. */
export interface PartitionFacts {
	/** The offset that is kept where the configuration says; null where none is. */
	readonly kept: number | null;
	readonly keptIn: "kafka" | "table";
	/** Kafka's own offset of the group: `kept`, or the copy of what the table keeps. Not asked for where the log is known. */
	readonly inKafka: number | null;
	readonly noted: PositionNote | null;
	/** Whether what is kept or noted belongs to the log that is there now. */
	readonly sameLog: "same" | "other" | "unknown";
	/** The log that is there now has an id. */
	readonly hasId: boolean;
	readonly log: LogBounds;
}

/** choose: nothing is known, and `kafka.startFrom` says. `from`: committed, noted (Kafka forgot), new_log (its beginning). */
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

/** What becomes of a position in its own log; null where the log has it. */
export function decidePosition(position: number, { low, high }: LogBounds, policy: OutOfRangePolicy): OutOfRange | null {
	if (position >= low && position <= high) return null;
	const reason = position < low ? "log_begins_after" : "log_ends_before";
	if (policy === "park") return { kind: "park", position, offset: position, reason };
	return { kind: "jump", position, offset: policy === "earliest" ? low : high, reason };
}

/**
 * Where nothing tells the logs apart: Kafka forgets offsets together with their topic, so where it has none the log is read whole. To
 * repeat is harmless, a gap is not; of a log that begins behind the position something is missing whichever it is, and that is told. Else
 * what is kept is believed as far as the log goes. Past its end a table's is not, nor is Kafka's where logs have no ids and it was us who
 * read the log: a commit for one that was gone may have come late.
 */
function isOtherLog({ keptIn, inKafka, noted, sameLog, hasId, log }: PartitionFacts, known: number): boolean {
	if (sameLog !== "unknown") return sameLog === "other";
	if (inKafka === null) return known >= log.low;
	return known > log.high && (keptIn === "table" || (!hasId && noted !== null));
}

/** Tells people what a position outside its log is, and what there is to choose from. */
export function outOfRangeWords(
	{ topic, partition, position }: { readonly topic: string; readonly partition: number; readonly position: number },
	{ low, high }: LogBounds,
): string {
	const gone =
		position < low ? `${low - position} offsets were removed before they were read` : `its last ${position - high} offsets are gone`;
	const command = (to: string) => `pockaffe offsets set --topic ${topic} --partition ${partition} --to ${to}`;
	return (
		`offset ${position} is out of range (the log has ${low} to ${high}): ${gone}. ` +
		`Choose where it goes on: \`${command("earliest")}\` (${low}) or \`${command("latest")}\` (${high}), ` +
		"a running daemon does it (http.admin: true; --url), else stop it first; kafka.onOffsetOutOfRange decides it beforehand"
	);
}
