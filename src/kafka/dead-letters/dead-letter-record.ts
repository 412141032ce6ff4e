/**
 * Turns a dead letter into a record of a topic, and back. Key and value are the message's own. Headers tell what happened to it, also in
 * names that other tools read: Kafka Connect's, and those of Spring's whose values are text (Spring's numbers are binary, and the client
 * can't send a NUL byte in a header). Everything else is in `pockaffe.*`. Pure.
 */
import * as z from "zod";
import {
	type DeadLetter,
	type LetterIdentity,
	type LetterRow,
	type StoredLetter,
	storableText,
} from "../../core/dead-letters/dead-letter.ts";
import type { OmittedParts } from "../../core/dead-letters/omitted-parts.ts";
import type { Header, ReceivedMessage } from "../../core/messages/message.ts";

/** Headers as a producer sends them: text without NUL. */
export type TextHeader = readonly [name: string, value: string];

/** The group that the letters belong to, and the version that writes them. */
export interface LetterOrigin {
	readonly consumerGroup: string;
	readonly version: string;
}

/** The contents of a record of the topic. */
export type LetterRecord = RecordOrigin & (LetterContent | LetterMark);

/** The record's group, and its place in the letters' topic. */
export interface RecordOrigin {
	readonly consumerGroup: string;
	readonly partition: number;
	readonly offset: number;
	readonly recordedAtMs: number;
}

/** A letter. `receivedAtMs`: when the message was received, by the same clock as `recordedAtMs`. */
export interface LetterContent {
	readonly type: "letter";
	readonly letter: StoredLetter;
	readonly receivedAtMs: number;
}

/** A letter's new state. `timestamp` is null in records of an earlier version, which name only the position. */
export interface LetterMark {
	readonly type: "mark";
	readonly of: Omit<LetterIdentity, "timestamp"> & { readonly timestamp: number | null };
	readonly state: "replayed" | "discarded";
}

const ours = /^(?:__connect\.errors\.|kafka_dlt-|pockaffe\.)/;
/** Table, id, SQLSTATE; records of an earlier version have no SQLSTATE. */
const packedRows = z.array(z.tuple([z.string(), z.string()]).rest(z.string().nullable()));
const packedHeaders = z.array(z.tuple([z.string(), z.base64().nullable()]));
const omittedPart = z.object({ bytes: z.number(), sha256: z.string() });
const omittedParts = z.object({ key: omittedPart, value: omittedPart, headers: omittedPart }).partial();
/** Maximum characters of explaining texts: a record has to stay below the topic's max.message.bytes. */
const LONGEST_TEXT = { usual: 8_192, brief: 200 };
/** Maximum JSON bytes for the names of refused rows. If a message has more, `verify` accepts any of its rows as refused. */
const MOST_ROWS = { usualBytes: 65_536, briefBytes: 0 };

/** What else writing a letter needs: how long ago its message was received, and whether texts have to be brief. */
export interface LetterWriting {
	readonly ageMs: number;
	readonly isBrief: boolean;
}

/** Headers of a letter: the message's own, then what happened to it. */
export function letterHeaders(
	letter: DeadLetter,
	{ consumerGroup, version }: LetterOrigin,
	{ ageMs, isBrief }: LetterWriting = { ageMs: 0, isBrief: false },
): TextHeader[] {
	const own = letter.headers.map(textHeader);
	// The message's headers go in one header of ours if any of them can't travel as it is, or could be taken for ours.
	const carried = own.every((header) => header !== null && !ours.test(header[0]));
	const failure = exceptionOf(letter, isBrief ? LONGEST_TEXT.brief : LONGEST_TEXT.usual);
	return [
		...own.filter((header): header is TextHeader => header !== null && !ours.test(header[0])),
		...coordinateHeaders(letter, consumerGroup),
		["pockaffe.age-ms", String(Math.round(ageMs))],
		["__connect.errors.stage", letter.table === null ? "TRANSFORMATION" : "TASK_PUT"],
		["__connect.errors.exception.class.name", failure.name],
		["__connect.errors.exception.message", failure.message],
		["kafka_dlt-original-topic", letter.topic],
		["kafka_dlt-original-consumer-group", consumerGroup],
		["kafka_dlt-exception-fqcn", failure.name],
		["kafka_dlt-exception-message", failure.message],
		...(failure.stack === null
			? []
			: ([
					["__connect.errors.exception.stacktrace", failure.stack],
					["kafka_dlt-exception-stacktrace", failure.stack],
				] satisfies TextHeader[])),
		["pockaffe.reason", letter.reason],
		...given("pockaffe.sqlstate", letter.sqlstate),
		...given("pockaffe.table", letter.table),
		...given("pockaffe.row-id", letter.rowId),
		...refusedRowHeaders(letter, isBrief ? MOST_ROWS.briefBytes : MOST_ROWS.usualBytes),
		["pockaffe.attempts", String(letter.attempts)],
		["pockaffe.version", version],
		...given("pockaffe.handler-version", letter.handlerVersion ?? null),
		...(letter.state === "open" ? [] : ([["pockaffe.state", letter.state]] satisfies TextHeader[])),
		...(Object.keys(letter.omitted).length === 0 ? [] : ([["pockaffe.omitted", JSON.stringify(letter.omitted)]] satisfies TextHeader[])),
		...(carried ? [] : ([["pockaffe.headers", headersAsJson(letter.headers)]] satisfies TextHeader[])),
	];
}

/** Headers of the record that sets a letter's state; its value is null. */
export function markHeaders(of: LetterIdentity, state: LetterMark["state"], { consumerGroup, version }: LetterOrigin): TextHeader[] {
	return [...coordinateHeaders(of, consumerGroup), ["pockaffe.state", state], ["pockaffe.version", version]];
}

/** Reads a record of the topic; null if it is not one of ours. */
export function readLetterRecord({ key, value, timestamp: recordedAtMs, headers, ...home }: ReceivedMessage): LetterRecord | null {
	const text = new Map(headers.filter(([name]) => ours.test(name)).map(([name, content]) => [name, content?.toString() ?? ""]));
	const topic = text.get("__connect.errors.topic");
	const consumerGroup = text.get("pockaffe.consumer-group");
	const whole = (name: string) => wholeNumber(text.get(name));
	const [partition, offset] = [whole("__connect.errors.partition"), whole("__connect.errors.offset")];
	if (topic === undefined || consumerGroup === undefined || partition === null || offset === null || Math.min(partition, offset) < 0)
		return null;
	const origin = { consumerGroup, partition: home.partition, offset: home.offset, recordedAtMs };
	const topicId = text.get("pockaffe.topic-id") ?? null;
	const timestamp = whole("pockaffe.timestamp");
	const state = text.get("pockaffe.state") ?? "open";
	if (state === "replayed" || state === "discarded") {
		const of = { topic, partition, offset, topicId, timestamp };
		return { ...origin, type: "mark", of, state };
	}
	const packed = text.get("pockaffe.headers");
	const own = packed === undefined ? headers.filter(([name]) => !ours.test(name)) : headersFromJson(packed);
	const omitted = omittedFromJson(text.get("pockaffe.omitted"));
	if (own === null || omitted === null) return null;
	const receivedAtMs = recordedAtMs - (whole("pockaffe.age-ms") ?? 0);
	const letter: StoredLetter = {
		topic,
		partition,
		offset,
		topicId,
		timestamp: timestamp ?? -1,
		key,
		value,
		headers: own,
		omitted,
		reason: text.get("pockaffe.reason") ?? "",
		sqlstate: text.get("pockaffe.sqlstate") ?? null,
		table: text.get("pockaffe.table") ?? null,
		rowId: text.get("pockaffe.row-id") ?? null,
		refusedRows: rowsFromJson(text.get("pockaffe.refused-rows")),
		rowsLeftOut: whole("pockaffe.refused-rows-left-out") ?? 0,
		error: text.get("__connect.errors.exception.message") ?? "",
		stack: text.get("__connect.errors.exception.stacktrace") ?? null,
		attempts: whole("pockaffe.attempts") ?? 1,
		state,
		firstAt: new Date(receivedAtMs).toISOString(),
		lastAt: new Date(recordedAtMs).toISOString(),
		pockaffeVersion: text.get("pockaffe.version") ?? "",
		handlerVersion: text.get("pockaffe.handler-version") ?? null,
	};
	return { ...origin, type: "letter", letter, receivedAtMs };
}

/**
 * A whole number; null for anything else, because anybody may have written the record. 15 digits fit into a JavaScript number and a date.
 */
function wholeNumber(text: string | undefined): number | null {
	return text !== undefined && /^-?\d{1,15}$/.test(text) ? Number(text) : null;
}

function coordinateHeaders({ topic, partition, offset, topicId, timestamp }: LetterIdentity, consumerGroup: string): TextHeader[] {
	return [
		["__connect.errors.topic", topic],
		["__connect.errors.partition", String(partition)],
		["__connect.errors.offset", String(offset)],
		["__connect.errors.connector.name", storableText(consumerGroup)],
		["pockaffe.consumer-group", storableText(consumerGroup)],
		...given("pockaffe.topic-id", topicId),
		["pockaffe.timestamp", String(timestamp)],
	];
}

/** The exception class that Connect and Spring name: the error's name if the stack begins with it, else the reason or SQLSTATE. */
function exceptionOf(
	{ error, stack, reason, sqlstate }: DeadLetter,
	longest: number,
): { name: string; message: string; stack: string | null } {
	const name = /^([A-Za-z_$][\w$]{0,99})(?::|\n|$)/.exec(stack ?? "")?.[1] ?? (sqlstate === null ? reason : `SQLSTATE ${sqlstate}`);
	return { name, message: shortened(error, longest), stack: stack === null ? null : shortened(stack, longest) };
}

function shortened(text: string, longest = LONGEST_TEXT.usual): string {
	const clean = storableText(text);
	return clean.length > longest ? `${clean.slice(0, longest)}…`.toWellFormed() : clean;
}

function given(name: string, value: string | null): TextHeader[] {
	return value === null ? [] : [[name, shortened(value)]];
}

/** A header as text; null if its value is null, or not UTF-8 without NUL. */
function textHeader([name, value]: Header): TextHeader | null {
	if (value === null || value.includes(0) || name.includes("\0")) return null;
	const text = value.toString("utf8");
	return Buffer.from(text).equals(value) ? [name, text] : null;
}

function headersAsJson(headers: readonly Header[]): string {
	return JSON.stringify(headers.map(([name, value]) => [name, value === null ? null : value.toString("base64")]));
}

function refusedRowHeaders({ refusedRows }: DeadLetter, mostBytes: number): TextHeader[] {
	if (refusedRows.length < 2) return [];
	const named: string[] = [];
	let bytes = 0;
	for (const row of refusedRows) {
		const json = JSON.stringify(row.map(storableText));
		bytes += json.length + 1;
		if (bytes > mostBytes) break;
		named.push(json);
	}
	const leftOut = refusedRows.length - named.length;
	return [
		["pockaffe.refused-rows", `[${named.join()}]`],
		...(leftOut === 0 ? [] : ([["pockaffe.refused-rows-left-out", String(leftOut)]] satisfies TextHeader[])),
	];
}

function rowsFromJson(json: string | undefined): LetterRow[] {
	try {
		return json === undefined ? [] : packedRows.parse(JSON.parse(json)).map(([table, id, sqlstate = null]) => [table, id, sqlstate]);
	} catch {
		return [];
	}
}

/** The parts that were left out; null if that can't be read: a letter without its value must not pass for a complete one. */
function omittedFromJson(json: string | undefined): OmittedParts | null {
	try {
		return json === undefined ? {} : (omittedParts.parse(JSON.parse(json)) as OmittedParts);
	} catch {
		return null;
	}
}

/** Null if the text was not written by `headersAsJson`. */
function headersFromJson(json: string): Header[] | null {
	try {
		return packedHeaders.parse(JSON.parse(json)).map(([name, value]) => [name, value === null ? null : Buffer.from(value, "base64")]);
	} catch {
		return null;
	}
}
