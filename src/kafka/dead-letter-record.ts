/**
 * A dead letter as a record of a topic, and back. Key and value are the message's own; what happened to it is told in headers that
 * other tools read too: Kafka Connect's, and those of Spring's whose values are text (Spring's numbers are binary, and the client
 * can't send a NUL byte in a header). Everything else is in `pockaffe.*`. Pure.
 */
import { z } from "zod";
import { type DeadLetter, type RowName, type StoredLetter, storableText } from "../core/dead-letter.ts";
import type { Header, ReceivedMessage, TopicPartition } from "../core/message.ts";
import type { OmittedParts } from "../core/omitted-parts.ts";

/** Headers as a producer sends them: text without NUL. */
export type TextHeader = readonly [name: string, value: string];

/** Whose letters they are, and who writes them. */
export interface LetterOrigin {
	readonly consumerGroup: string;
	readonly version: string;
}

/** What a record of the topic says: a letter, or that one was replayed. `consumerGroup` tells whose. */
export type LetterRecord =
	| { readonly type: "letter"; readonly consumerGroup: string; readonly letter: StoredLetter }
	| {
			readonly type: "replayed";
			readonly consumerGroup: string;
			readonly of: TopicPartition & { readonly offset: number };
			readonly at: string;
	  };

const ours = /^(?:__connect\.errors\.|kafka_dlt-|pockaffe\.)/;
const packedRows = z.array(z.tuple([z.string(), z.string()]));
const packedHeaders = z.array(z.tuple([z.string(), z.base64().nullable()]));
const omittedPart = z.object({ bytes: z.number(), sha256: z.string() });
const omittedParts = z.object({ key: omittedPart, value: omittedPart, headers: omittedPart }).partial();
/** A record has to stay below the topic's max.message.bytes, so what only explains is cut. */
const LONGEST_TEXT = { usual: 8_192, brief: 200 };
/** Of a message with very many refused rows only so many are named. */
const MOST_ROWS = 200;

/** Headers of a letter: the message's own, then what happened to it; in few words where `isBrief`. */
export function letterHeaders(letter: DeadLetter, { consumerGroup, version }: LetterOrigin, isBrief = false): TextHeader[] {
	const own = letter.headers.map(textHeader);
	// All of them in one header of ours as soon as one can't travel as it is, or could be taken for one of ours.
	const carried = own.every((header) => header !== null && !ours.test(header[0]));
	const failure = exceptionOf(letter, isBrief ? LONGEST_TEXT.brief : LONGEST_TEXT.usual);
	return [
		...own.filter((header): header is TextHeader => header !== null && !ours.test(header[0])),
		...coordinateHeaders(letter, consumerGroup),
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
		["pockaffe.timestamp", String(letter.timestamp)],
		["pockaffe.reason", letter.reason],
		...given("pockaffe.sqlstate", letter.sqlstate),
		...given("pockaffe.table", letter.table),
		...given("pockaffe.row-id", letter.rowId),
		...(letter.refusedRows.length < 2 ? [] : ([["pockaffe.refused-rows", rowsAsJson(letter.refusedRows)]] satisfies TextHeader[])),
		["pockaffe.attempts", String(letter.attempts)],
		["pockaffe.version", version],
		...(letter.state === "open" ? [] : ([["pockaffe.state", letter.state]] satisfies TextHeader[])),
		...(Object.keys(letter.omitted).length === 0 ? [] : ([["pockaffe.omitted", JSON.stringify(letter.omitted)]] satisfies TextHeader[])),
		...(carried ? [] : ([["pockaffe.headers", headersAsJson(letter.headers)]] satisfies TextHeader[])),
	];
}

/** Headers of the record that says that a letter was replayed; its value is null. */
export function replayedHeaders(of: TopicPartition & { readonly offset: number }, { consumerGroup, version }: LetterOrigin): TextHeader[] {
	return [...coordinateHeaders(of, consumerGroup), ["pockaffe.state", "replayed"], ["pockaffe.version", version]];
}

/** What a record of the topic says; null for one that is none of ours. */
export function readLetterRecord({ key, value, timestamp, headers }: ReceivedMessage): LetterRecord | null {
	const text = new Map(headers.filter(([name]) => ours.test(name)).map(([name, content]) => [name, content?.toString() ?? ""]));
	const topic = text.get("__connect.errors.topic");
	const consumerGroup = text.get("pockaffe.consumer-group");
	const partition = Number(text.get("__connect.errors.partition"));
	const offset = Number(text.get("__connect.errors.offset"));
	if (topic === undefined || consumerGroup === undefined || !Number.isInteger(partition) || !Number.isInteger(offset)) return null;
	const at = new Date(timestamp).toISOString();
	if (text.get("pockaffe.state") === "replayed") return { type: "replayed", consumerGroup, of: { topic, partition, offset }, at };
	const packed = text.get("pockaffe.headers");
	const own = packed === undefined ? headers.filter(([name]) => !ours.test(name)) : headersFromJson(packed);
	const omitted = omittedFromJson(text.get("pockaffe.omitted"));
	if (own === null || omitted === null) return null;
	const letter: StoredLetter = {
		topic,
		partition,
		offset,
		timestamp: Number(text.get("pockaffe.timestamp") ?? -1),
		key,
		value,
		headers: own,
		omitted,
		reason: text.get("pockaffe.reason") ?? "",
		sqlstate: text.get("pockaffe.sqlstate") ?? null,
		table: text.get("pockaffe.table") ?? null,
		rowId: text.get("pockaffe.row-id") ?? null,
		refusedRows: rowsFromJson(text.get("pockaffe.refused-rows")),
		error: text.get("__connect.errors.exception.message") ?? "",
		stack: text.get("__connect.errors.exception.stacktrace") ?? null,
		attempts: Number(text.get("pockaffe.attempts") ?? 1),
		state: text.get("pockaffe.state") ?? "open",
		firstAt: at,
		lastAt: at,
		pockaffeVersion: text.get("pockaffe.version") ?? "",
	};
	return { type: "letter", consumerGroup, letter };
}

function coordinateHeaders({ topic, partition, offset }: TopicPartition & { offset: number }, consumerGroup: string): TextHeader[] {
	return [
		["__connect.errors.topic", topic],
		["__connect.errors.partition", String(partition)],
		["__connect.errors.offset", String(offset)],
		["__connect.errors.connector.name", storableText(consumerGroup)],
		["pockaffe.consumer-group", storableText(consumerGroup)],
	];
}

/** Connect and Spring name an exception's class: the error's own name where the stack begins with it, else the reason or SQLSTATE. */
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

/** A header as text; null where its value is null, or not UTF-8 without NUL. */
function textHeader([name, value]: Header): TextHeader | null {
	if (value === null || value.includes(0) || name.includes("\0")) return null;
	const text = value.toString("utf8");
	return Buffer.from(text).equals(value) ? [name, text] : null;
}

function headersAsJson(headers: readonly Header[]): string {
	return JSON.stringify(headers.map(([name, value]) => [name, value === null ? null : value.toString("base64")]));
}

function rowsAsJson(rows: readonly RowName[]): string {
	return JSON.stringify(rows.slice(-MOST_ROWS));
}

function rowsFromJson(json: string | undefined): RowName[] {
	try {
		return json === undefined ? [] : packedRows.parse(JSON.parse(json));
	} catch {
		return [];
	}
}

/** Null where it says nothing that can be read: a letter without its value must not pass for a whole one. */
function omittedFromJson(json: string | undefined): OmittedParts | null {
	try {
		return json === undefined ? {} : (omittedParts.parse(JSON.parse(json)) as OmittedParts);
	} catch {
		return null;
	}
}

/** Null where it isn't what `headersAsJson` writes. */
function headersFromJson(json: string): Header[] | null {
	try {
		return packedHeaders.parse(JSON.parse(json)).map(([name, value]) => [name, value === null ? null : Buffer.from(value, "base64")]);
	} catch {
		return null;
	}
}
