/** A message that could not be handled or written, with everything needed to look at it and to replay it. */
import type { EventEmitter } from "eventemitter3";
import type { Header, TopicPartition } from "../messages/message.ts";
import { compareLogIds, type LogId } from "../offsets/log-identity.ts";
import type { LetterState } from "./letter-state.ts";
import type { OmittedParts } from "./omitted-parts.ts";

/** Why a message became a dead letter; the `reason` column. */
export const deadLetterReasons = ["rejected", "poison", "timeout", "process_died", "row_fault", "future_timestamp", "skipped"] as const;
export type DeadLetterReason = (typeof deadLetterReasons)[number];

/** A refused row: its table, its id, and why; the reason is null in letters of an earlier version. */
export type LetterRow = readonly [table: string, id: string, sqlstate: string | null];

/**
 * The identity of a letter within its consumer group: a message, by its position and its log. A topic that was deleted and created again
 * has other messages at the same offsets; if its id is not known, the records' timestamps distinguish them.
 */
export interface LetterIdentity extends TopicPartition {
	readonly offset: number;
	/** Kafka's id of the topic; null if it could not be known. */
	readonly topicId: LogId;
	/** Record timestamp in ms; -1 if there is none. */
	readonly timestamp: number;
}

/** A dead letter. */
export interface DeadLetter extends LetterIdentity {
	/** When this member received the message, by its monotonic clock, in ms. */
	readonly receivedAtMs: number;
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: readonly Header[];
	/** Parts of the message that are not in the letter, because it was too large for the target. */
	readonly omitted: OmittedParts;
	readonly reason: DeadLetterReason;
	/** What was wrong; may be the handler's own words. */
	readonly error: string;
	readonly stack: string | null;
	readonly sqlstate: string | null;
	readonly table: string | null;
	readonly rowId: string | null;
	/** All rows of the message that were refused so far; `table`, `rowId` and `sqlstate` are those of the last. */
	readonly refusedRows: readonly LetterRow[];
	/** How many more rows were refused, if the target has no room for their names. */
	readonly rowsLeftOut: number;
	/** Failed attempts; 0 if a person skipped the message before it failed. */
	readonly attempts: number;
	/** The version of the handler that had the message; null or absent if it is not known, or if no handler had it. */
	readonly handlerVersion?: string | null;
	/** `skipped`: by `handler.onPoison: skip` or by a person; kept so that it can be found and accounted for. */
	readonly state: "open" | "skipped";
}

/**
 * A letter as its target keeps it. `firstAt`: when its message was first received; `lastAt`: when the letter last changed; both as ISO
 * text.
 */
export interface StoredLetter extends LetterIdentity {
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: Header[];
	readonly omitted: OmittedParts;
	readonly reason: string;
	readonly sqlstate: string | null;
	readonly table: string | null;
	readonly rowId: string | null;
	readonly refusedRows: readonly LetterRow[];
	readonly rowsLeftOut: number;
	readonly error: string;
	readonly stack: string | null;
	readonly attempts: number;
	readonly state: string;
	readonly firstAt: string;
	readonly lastAt: string;
	readonly pockaffeVersion: string;
	/** The version of the handler that had the message; null if it is not known. */
	readonly handlerVersion: string | null;
}

/** Selects letters of a group; an absent field matches everything. */
export interface LetterFilter {
	readonly topic?: string | undefined;
	readonly partition?: number | undefined;
	readonly offset?: number | undefined;
	/** Kafka's id of the topic; null: letters without one. */
	readonly topicId?: string | null | undefined;
	readonly reason?: string | undefined;
	/** In one of these states. */
	readonly states?: readonly LetterState[] | undefined;
}

/** How many letters of a topic are in a state. */
export interface LetterCount {
	readonly topic: string;
	readonly state: string;
	readonly letters: number;
}

/** How a message failed when it was replayed: replaces what its letter said. */
export type ReplayFailure = Pick<
	DeadLetter,
	"handlerVersion" | "reason" | "error" | "stack" | "sqlstate" | "table" | "rowId" | "refusedRows" | "attempts"
>;

/** The result of replaying a letter: `failure` is null if it went through. */
export interface LetterFate {
	/** The letter as `read` returned it. */
	readonly letter: StoredLetter;
	readonly failure: ReplayFailure | null;
}

/** Events of the dead letters' target: past facts. */
export interface DeadLetterEvents {
	"target:blocked": (fact: { message: string }) => void;
	"target:unblocked": () => void;
	/** The target may delete letters too early, or nobody can tell whether it does. */
	"target:doubtful": (fact: { message: string }) => void;
	/** A letter was stored without a part of its message, because it is too large for the target. `why`: the target's answer. */
	"letter:cut": (fact: { letter: DeadLetter; why: string }) => void;
}

/** Where a daemon's dead letters go: a table or a topic. */
export interface DeadLetterTarget extends EventEmitter<DeadLetterEvents> {
	/** True while letters can't be stored. */
	readonly blocked: boolean;
	/** True while letters of this partition are being stored, and no attempt has shown that this fails. */
	isMoving(partition: TopicPartition): boolean;
	/** Creates the target if it is missing. Rejects if the start should try again. */
	prepare(): Promise<void>;
	/** Resolves when the letter is durable, and tries for ever; rejects only with the signal's reason. */
	store(letter: DeadLetter, signal: AbortSignal): Promise<void>;
	/** Starts a new connection with the present settings, if the target keeps one of its own. */
	renew?(): Promise<void>;
	/** Gives up letters that are not stored yet. Idempotent. */
	dispose(): Promise<void>;
}

/** The position of a letter's message, and its state. */
export interface LetterPosition extends LetterIdentity {
	readonly reason: string;
	readonly state: string;
	/** The refused rows, if that is the reason. */
	readonly rows: readonly LetterRow[];
	/** How many more rows were refused; their names are not known. */
	readonly rowsLeftOut: number;
}

/** The letters of one consumer group as the commands use them. Calls reject with the database's or Kafka's error. */
export interface LetterStore extends AsyncDisposable {
	/** The number of matching letters, by topic and state, in that order. */
	count(filter: LetterFilter): Promise<readonly LetterCount[]>;
	/**
	 * The first `most` matching letters by topic, partition and offset, one log of a topic after the other. In pages of some hundreds that
	 * fit into memory. A letter opened at a position that was already read comes with a later call.
	 */
	read(filter: LetterFilter, most?: number): AsyncGenerator<readonly StoredLetter[]>;
	/** All letters that were not replayed successfully: open, discarded, skipped. In any order. */
	unreplayed(): Promise<LetterPosition[]>;
	/**
	 * Stores the results of a replay (letter-state.ts): letters whose messages went through become `replayed`, the others' records are
	 * rewritten.
	 */
	settle(fates: readonly LetterFate[]): Promise<void>;
	/** Marks matching letters that are open or skipped as discarded; returns how many. */
	discard(filter: LetterFilter): Promise<number>;
	/** Deletes all matching letters; returns how many. A topic can't delete: ExitError (usage). */
	purge(filter: LetterFilter): Promise<number>;
}

/** The refused rows of a letter. */
export function refusedRowsOf(letter: Pick<StoredLetter, "table" | "rowId" | "sqlstate" | "refusedRows">): readonly LetterRow[] {
	const { table, rowId, sqlstate, refusedRows } = letter;
	if (refusedRows.length > 0) return refusedRows;
	return table === null || rowId === null ? [] : [[table, rowId, sqlstate]];
}

/** A letter's name within its group, for maps. */
export function letterName({ topic, partition, offset, topicId, timestamp }: LetterIdentity): string {
	return `${topic}/${partition}@${offset} ${topicId ?? ""} ${timestamp}`;
}

/** True if both belong to one message, as far as can be known. */
export function isSameMessage(one: LetterIdentity, other: LetterIdentity): boolean {
	const isSamePlace = one.topic === other.topic && one.partition === other.partition && one.offset === other.offset;
	return (
		isSamePlace && compareLogIds(one.topicId, other.topicId) !== "other" && Math.max(0, one.timestamp) === Math.max(0, other.timestamp)
	);
}

/** Text that every target can keep: without NUL, and well-formed. */
export function storableText<T extends string | null>(text: T): T {
	return (text === null ? null : text.replaceAll("\0", "").toWellFormed()) as T;
}
