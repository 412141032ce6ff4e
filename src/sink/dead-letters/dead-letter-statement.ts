/**
 * The statement that stores letters, and its parameters. Letters go as one JSON document that the server reads once (`json_to_recordset`),
 * with bytes in base64. The value of a large letter is a parameter of its own, so that the server need not extract it from JSON: 0.01 s of
 * its CPU per MB, a tenth of the cost of an expression per column. The client sends every parameter as text. Pure.
 */
import { type DeadLetter, storableText } from "../../core/dead-letters/dead-letter.ts";
import { durably } from "../database/durable-commit.ts";
import { quotedTable } from "../database/sql-names.ts";

/** Columns that tables of earlier versions lack; letters are then stored without them. */
export const lateColumns = ["refused_rows", "omitted", "topic_id", "handler_version"] as const;

/** The name of a late column. */
export type LateColumn = (typeof lateColumns)[number];

/** Who stores letters. */
export interface LetterWriter {
	readonly consumerGroup: string;
	readonly version: string;
}

/** A column. `sent`: its type in the document; `value`: the expression that makes it from the document's. */
interface Column {
	readonly name: string;
	readonly sent?: string;
	readonly value?: string;
}

const columns: readonly Column[] = [
	{ name: "consumer_group", sent: "text" },
	{ name: "topic", sent: "text" },
	{ name: "partition", sent: "int4" },
	{ name: '"offset"', sent: "bigint" },
	{ name: "topic_id", sent: "text" },
	{ name: "kafka_ts", sent: "bigint" },
	{ name: "key", sent: "text", value: "decode(r.key, 'base64')" },
	{ name: "value", sent: "text", value: "decode(coalesce($2::text, r.value), 'base64')" },
	{ name: "headers", sent: "jsonb" },
	{ name: "omitted", sent: "jsonb" },
	{ name: "reason", sent: "text" },
	{ name: "sqlstate", sent: "text" },
	{ name: "table_name", sent: "text" },
	{ name: "row_id", sent: "text" },
	{ name: "refused_rows", sent: "jsonb" },
	{ name: "error", sent: "text" },
	{ name: "stack", sent: "text" },
	{ name: "attempts", sent: "int4" },
	{ name: "state", sent: "text" },
	{ name: "first_at", value: "to_timestamp(extract(epoch from now()) - r.age_ms / 1000)" },
	{ name: "last_at", value: "now()" },
	{ name: "pockaffe_version", sent: "text" },
	{ name: "handler_version", sent: "text" },
];

const place = ["consumer_group", "topic", "partition", '"offset"'] as const;

/** The columns that identify a letter: in tables as they are created now, and as an earlier version created them. */
export const letterKeys = { own: [...place, "topic_id", "kafka_ts"], earlier: place } as const;

/** Maximum characters of an explaining text; longer ones are cut. The table is for messages, not for what handlers say about them. */
const LONGEST_TEXT = 65_536;

/** The form of a letters' table. */
export interface LetterTableForm {
	readonly late: ReadonlySet<LateColumn>;
	readonly key: keyof typeof letterKeys;
}

/** The form of a table that is created now. */
export const usualForm: LetterTableForm = { late: new Set(lateColumns), key: "own" };

/**
 * The statement for a table. It returns a row for each letter that is stored. A letter is not stored if an open letter of another message
 * has its place: under the earlier key, or if neither topic id nor timestamp distinguishes them.
 */
export function storeStatement(table: string, { late, key }: LetterTableForm): string {
	const stored = columns.filter(({ name }) => !isLate(name) || late.has(name));
	const names = stored.map(({ name }) => name);
	const sent = [...stored.flatMap(({ name, sent: type }) => (type ? [`${name} ${type}`] : [])), "age_ms float8"];
	const kept: ReadonlySet<string> = new Set([...letterKeys[key], ...(key === "own" ? ["first_at"] : [])]);
	const updates = names.filter((name) => !kept.has(name)).map((name) => `${name} = ${changed.get(name) ?? `excluded.${name}`}`);
	return `insert into ${quotedTable(table)} as l (${names.join(", ")})
select ${stored.map(({ name, value = `r.${name}` }) => value).join(", ")} from json_to_recordset($1::text::json) as r(${sent.join(", ")})
on conflict (${letterKeys[key].join(", ")}) do update set ${updates.join(", ")}
where l.state <> 'open' or ${isSameMessage(late, key)} returning 1 as stored, ${durably}`;
}

/**
 * The statement that gives letters without a topic id the id of these, if they are the same message's. Takes the first of
 * `storeParameters`' parameters.
 */
export function adoptStatement(table: string): string {
	const own = (of: string, as: string) => place.map((name) => `${of}.${name} = ${as}.${name}`).join(" and ");
	return `update ${quotedTable(table)} as l set topic_id = r.topic_id
from json_to_recordset($1::text::json) as r(consumer_group text, topic text, partition int4, "offset" bigint, topic_id text, kafka_ts bigint, key text)
where ${own("l", "r")} and l.topic_id = '' and r.topic_id <> '' and l.kafka_ts = r.kafka_ts and r.kafka_ts >= 0
and l.key is not distinct from decode(r.key, 'base64')
and not exists (select from ${quotedTable(table)} o where ${own("o", "r")} and o.topic_id = r.topic_id) returning ${durably}`;
}

/** Query whether a group has letters without a topic id. One parameter. */
export function namelessQuery(table: string): string {
	return `select exists (select from ${quotedTable(table)} where consumer_group = $1::text and topic_id = '') as found`;
}

/** A letter without an id is recognised by its contents. What was left out of one of them can't be compared. */
function isSameMessage(late: ReadonlySet<LateColumn>, key: LetterTableForm["key"]): string {
	const isWhole = late.has("omitted") ? "coalesce(l.omitted, excluded.omitted) is null" : "true";
	const isSameContent = `l.key is not distinct from excluded.key and (l.value is not distinct from excluded.value or not (${isWhole}))`;
	if (key === "own") return `excluded.topic_id <> '' or (${isSameContent})`;
	const isSameLog = late.has("topic_id") ? "(l.topic_id = excluded.topic_id or l.topic_id = '' or excluded.topic_id = '')" : "true";
	return `(l.kafka_ts = excluded.kafka_ts and ${isSameLog} and ${isSameContent})`;
}

/** The letter was replayed or discarded after the message was received (`excluded.first_at`). */
const isOlder = "l.last_at > excluded.first_at";
/** `stateAfterFailure` of core/dead-letters/letter-state.ts, in SQL. */
const state = `case when l.state = 'skipped' then excluded.state when l.state = 'open' or ${isOlder} then l.state
when l.state = 'discarded' and excluded.state = 'skipped' then l.state else excluded.state end`;
const changed: ReadonlyMap<string, string> = new Map([
	["state", state],
	["last_at", `case when l.state in ('replayed', 'discarded') and ${isOlder} then l.last_at else excluded.last_at end`],
]);

/**
 * The statement's parameters at `nowMs` (monotonic). With `alone` there is one letter, and its value goes beside the document. Throws if
 * the texts are too long for the client.
 */
export function storeParameters(letters: readonly DeadLetter[], writer: LetterWriter, nowMs: number, alone = false): (string | null)[] {
	const value = alone ? (letters[0]?.value ?? null) : null;
	const documents = letters.map((letter) => ({
		...documentOf(alone ? { ...letter, value: null } : letter, writer),
		age_ms: Math.max(0, nowMs - letter.receivedAtMs),
	}));
	return [JSON.stringify(documents), base64(value)];
}

function documentOf(letter: DeadLetter, { consumerGroup, version }: LetterWriter): object {
	return {
		consumer_group: consumerGroup,
		topic: letter.topic,
		partition: letter.partition,
		offset: letter.offset,
		topic_id: letter.topicId ?? "",
		kafka_ts: letter.timestamp,
		key: base64(letter.key),
		value: base64(letter.value),
		headers: letter.headers.map(([name, value]) => [storableText(name), base64(value)]),
		omitted: Object.keys(letter.omitted).length > 0 ? letter.omitted : null,
		reason: letter.reason,
		sqlstate: letter.sqlstate,
		table_name: storableText(letter.table),
		row_id: storableText(letter.rowId),
		refused_rows: letter.refusedRows.length > 1 ? letter.refusedRows.map((row) => row.map(storableText)) : null,
		error: explanation(letter.error),
		stack: letter.stack === null ? null : explanation(letter.stack),
		attempts: letter.attempts,
		state: letter.state,
		pockaffe_version: version,
		handler_version: storableText(letter.handlerVersion ?? null),
	};
}

/** An explaining text, cut to its maximum length. */
export function explanation(text: string): string {
	const clean = storableText(text);
	return clean.length > LONGEST_TEXT ? `${clean.slice(0, LONGEST_TEXT)}…`.toWellFormed() : clean;
}

function base64(bytes: Buffer | null): string | null {
	return bytes === null ? null : bytes.toString("base64");
}

function isLate(name: string): name is LateColumn {
	return (lateColumns as readonly string[]).includes(name);
}
