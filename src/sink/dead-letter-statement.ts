/**
 * The statement that stores letters, and its parameters. The letters travel as one JSON document that the server reads once
 * (`json_to_recordset`), with bytes in base64; the value of a large one as a parameter of its own, which the server doesn't have to take
 * out of JSON: 0.01 s of its CPU per MB, a tenth of what an expression per column costs. The client sends every parameter as text. Pure.
 */
import { type DeadLetter, storableText } from "../core/dead-letter.ts";
import { durably } from "./durable-commit.ts";
import { quotedTable } from "./sql-names.ts";

/** Not in tables that were made before they came: letters do without them there. */
export const lateColumns = ["refused_rows", "omitted"] as const;

/** One of them. */
export type LateColumn = (typeof lateColumns)[number];

/** Who stores letters. */
export interface LetterWriter {
	readonly consumerGroup: string;
	readonly version: string;
}

/** A column; `sent`: its type in the document, `value`: how it is made of the document's. */
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
	{ name: "first_at", value: "now()" },
	{ name: "last_at", value: "now()" },
	{ name: "pockaffe_version", sent: "text" },
];

const kept: ReadonlySet<string> = new Set(["consumer_group", "topic", "partition", '"offset"', "first_at"]);
/** What only explains is cut: the target keeps messages, not what handlers say of them. */
const LONGEST_TEXT = 65_536;

/** The statement for a table that has these of the late columns. */
export function storeStatement(table: string, late: ReadonlySet<LateColumn>): string {
	const stored = columns.filter(({ name }) => !isLate(name) || late.has(name));
	const names = stored.map(({ name }) => name);
	const sent = stored.flatMap(({ name, sent: type }) => (type ? [`${name} ${type}`] : []));
	const updates = names.filter((name) => !kept.has(name)).map((name) => `${name} = excluded.${name}`);
	return `insert into ${quotedTable(table)} (${names.join(", ")})
select ${stored.map(({ name, value = `r.${name}` }) => value).join(", ")} from json_to_recordset($1::text::json) as r(${sent.join(", ")})
on conflict (consumer_group, topic, partition, "offset") do update set ${updates.join(", ")} returning ${durably}`;
}

/** Its parameters. With `alone` there is one letter, whose value goes beside the document. Throws where the client can't make texts so long. */
export function storeParameters(letters: readonly DeadLetter[], writer: LetterWriter, alone: boolean): (string | null)[] {
	const value = alone ? (letters[0]?.value ?? null) : null;
	const documents = letters.map((letter) => documentOf(alone ? { ...letter, value: null } : letter, writer));
	return [JSON.stringify(documents), base64(value)];
}

function documentOf(letter: DeadLetter, { consumerGroup, version }: LetterWriter): object {
	return {
		consumer_group: consumerGroup,
		topic: letter.topic,
		partition: letter.partition,
		offset: letter.offset,
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
	};
}

function explanation(text: string): string {
	const clean = storableText(text);
	return clean.length > LONGEST_TEXT ? `${clean.slice(0, LONGEST_TEXT)}…`.toWellFormed() : clean;
}

function base64(bytes: Buffer | null): string | null {
	return bytes === null ? null : bytes.toString("base64");
}

function isLate(name: string): name is LateColumn {
	return (lateColumns as readonly string[]).includes(name);
}
