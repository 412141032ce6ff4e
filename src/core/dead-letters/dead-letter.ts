/** What is kept of a message that could not be handled or written: everything needed to look at it and to replay it. */
import type { EventEmitter } from "eventemitter3";
import type { Header, TopicPartition } from "../messages/message.ts";
import { compareIds, type LogId } from "../offsets/log-identity.ts";
import type { LetterState } from "./letter-state.ts";
import type { OmittedParts } from "./omitted-parts.ts";

/** Why a message became a dead letter; the `reason` column. */
export type DeadLetterReason = "rejected" | "poison" | "timeout" | "process_died" | "row_fault" | "future_timestamp" | "skipped";

/** A row that was refused, by its table and its id, and why; null where an earlier version stored it. */
export type RefusedRow = readonly [table: string, id: string, sqlstate: string | null];

/**
 * What tells one letter of a consumer group from another: a message, by its place and its log. A topic that was deleted and made again has
 * other messages at the same offsets; where its id is not known the records' timestamps tell them apart.
 */
export interface LetterIdentity extends TopicPartition {
	readonly offset: number;
	/** Kafka's id of the topic; null where it could not be known. */
	readonly topicId: LogId;
	/** Record timestamp in ms, -1 where there is none. */
	readonly timestamp: number;
}

/** A dead letter. */
export interface DeadLetter extends LetterIdentity {
	/** When this member received the message, by its monotonic clock, in ms. */
	readonly receivedAtMs: number;
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: readonly Header[];
	/** What of the message is not in the letter, for it was too large for the target. */
	readonly omitted: OmittedParts;
	readonly reason: DeadLetterReason;
	/** Says what was wrong; may be the handler's own words. */
	readonly error: string;
	readonly stack: string | null;
	readonly sqlstate: string | null;
	readonly table: string | null;
	readonly rowId: string | null;
	/** All rows of the message that were refused so far; `table`, `rowId` and `sqlstate` are those of the last. */
	readonly refusedRows: readonly RefusedRow[];
	/** How many more there are, where the target has no room for their names. */
	readonly rowsLeftOut: number;
	/** Attempts made; 0 where a person had it skipped. */
	readonly attempts: number;
	/** Which handler it met; null or absent where that is not known, or it met none. */
	readonly handlerVersion?: string | null;
	/** `skipped`: `handler.onPoison: skip` or a person passed it over; kept so that it can be found and accounted for. */
	readonly state: "open" | "skipped";
}

/** A letter as its target keeps it. Times as ISO text: when the message was received that first became it, and when it last changed. */
export interface StoredLetter extends LetterIdentity {
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: Header[];
	readonly omitted: OmittedParts;
	readonly reason: string;
	readonly sqlstate: string | null;
	readonly table: string | null;
	readonly rowId: string | null;
	readonly refusedRows: readonly RefusedRow[];
	readonly rowsLeftOut: number;
	readonly error: string;
	readonly stack: string | null;
	readonly attempts: number;
	readonly state: string;
	readonly firstAt: string;
	readonly lastAt: string;
	readonly pockaffeVersion: string;
	/** Which handler it met; null where that is not known. */
	readonly handlerVersion: string | null;
}

/** Which letters of a group; what is left out matches everything. */
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

/** What a message met when it was replayed: it takes the place of what its letter said. */
export type ReplayFailure = Pick<
	DeadLetter,
	"handlerVersion" | "reason" | "error" | "stack" | "sqlstate" | "table" | "rowId" | "refusedRows" | "attempts"
>;

/** What a replay made of a letter: `failure` is null where it went through. */
export interface LetterFate {
	/** As `read` gave it. */
	readonly letter: StoredLetter;
	readonly failure: ReplayFailure | null;
}

/** Past facts of the dead letters' target. */
export interface DeadLetterEvents {
	"target:blocked": (fact: { message: string }) => void;
	"target:unblocked": () => void;
	/** Letters may not live there as long as they should, or that can't be known. */
	"target:doubtful": (fact: { message: string }) => void;
	/** A letter was stored without a part of its message: it is too large for the target. `why` is the target's answer. */
	"letter:cut": (fact: { letter: DeadLetter; why: string }) => void;
}

/** Where a daemon's dead letters go: a table or a topic. */
export interface DeadLetterTarget extends EventEmitter<DeadLetterEvents> {
	/** True while letters can't be stored. */
	readonly blocked: boolean;
	/** True while letters of this partition are on their way and none of their tries has shown that they can't be stored now. */
	isMoving(partition: TopicPartition): boolean;
	/** Makes the target where it is missing; rejects where the start should be tried again. */
	prepare(): Promise<void>;
	/** Resolves when the letter is durable, for ever trying; rejects only with the signal's reason. */
	store(letter: DeadLetter, signal: AbortSignal): Promise<void>;
	/** Begins anew with what its settings name by now, where it keeps a connection of its own. */
	renew?(): Promise<void>;
	/** Gives up what is not stored. Idempotent. */
	dispose(): Promise<void>;
}

/** Where a letter's message is, and what it came to. */
export interface LetterPosition extends LetterIdentity {
	readonly reason: string;
	readonly state: string;
	/** The rows that were refused, where that is the reason. */
	readonly rows: readonly RefusedRow[];
	/** How many more there are: which is not known. */
	readonly rowsLeftOut: number;
}

/** The letters of one consumer group as people work with them. Calls reject with the database's or Kafka's error. */
export interface LetterStore extends AsyncDisposable {
	/** How many match, by topic and state, in their order. */
	count(filter: LetterFilter): Promise<readonly LetterCount[]>;
	/**
	 * The first `most` that match, by topic, partition and offset, the logs of a topic one after the other. In pages of some hundreds
	 * that fit into memory; what is opened behind the page that was read last comes with a later one.
	 */
	read(filter: LetterFilter, most?: number): AsyncGenerator<readonly StoredLetter[]>;
	/** All letters that were not replayed with success: open, discarded, skipped. In no order. */
	unreplayed(): Promise<LetterPosition[]>;
	/** Says what a replay made of letters (letter-state.ts): those that went through are replayed, the others' records are written anew. */
	settle(fates: readonly LetterFate[]): Promise<void>;
	/** Marks those that match and are open or skipped as discarded; returns how many. */
	discard(filter: LetterFilter): Promise<number>;
	/** Deletes all that match; returns how many. A topic can't: ExitError (usage). */
	purge(filter: LetterFilter): Promise<number>;
}

/** The refused rows of a letter. */
export function rowsOf(letter: Pick<StoredLetter, "table" | "rowId" | "sqlstate" | "refusedRows">): readonly RefusedRow[] {
	const { table, rowId, sqlstate, refusedRows } = letter;
	if (refusedRows.length > 0) return refusedRows;
	return table === null || rowId === null ? [] : [[table, rowId, sqlstate]];
}

/** A letter's name within its group, for maps. */
export function letterName({ topic, partition, offset, topicId, timestamp }: LetterIdentity): string {
	return `${topic}/${partition}@${offset} ${topicId ?? ""} ${timestamp}`;
}

/** True where both are of one message, as far as can be known. */
export function isSameMessage(one: LetterIdentity, other: LetterIdentity): boolean {
	const isSamePlace = one.topic === other.topic && one.partition === other.partition && one.offset === other.offset;
	return isSamePlace && compareIds(one.topicId, other.topicId) !== "other" && Math.max(0, one.timestamp) === Math.max(0, other.timestamp);
}

/** Text that every target can keep: without NUL, and well-formed. */
export function storableText<T extends string | null>(text: T): T {
	return (text === null ? null : text.replaceAll("\0", "").toWellFormed()) as T;
}
