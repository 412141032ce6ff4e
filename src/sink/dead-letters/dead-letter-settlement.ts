/**
 * The statements that store the results of a replay, many letters per statement as one JSON document. A letter whose message went through
 * becomes `replayed`. If it failed again, its record is rewritten as a whole and its state stays (core/dead-letters/letter-state.ts). A
 * letter that somebody else has replayed meanwhile stays replayed. Pure.
 */
import { type LetterFate, type LetterIdentity, type ReplayFailure, storableText } from "../../core/dead-letters/dead-letter.ts";
import type { Statement } from "../database/database.ts";
import { durably } from "../database/durable-commit.ts";
import { quotedTable } from "../database/sql-names.ts";
import { explanation, type LateColumn, type LetterWriter } from "./dead-letter-statement.ts";

/** Limits of one statement. */
const STATEMENT = { letters: 500, characters: 4 * 2 ** 20 };

/** A table without `topic_id` identifies a letter by its position and timestamp. */
const identity = ["consumer_group text", "topic text", "partition int4", '"offset" bigint', "kafka_ts bigint"];
const failure = ["reason text", "sqlstate text", "table_name text", "row_id text", "error text", "stack text", "pockaffe_version text"];

/** The statements for these fates. */
export function settlement(table: string, fates: readonly LetterFate[], writer: LetterWriter, late: ReadonlySet<LateColumn>): Statement[] {
	const key = [...identity, ...(late.has("topic_id") ? ["topic_id text"] : [])];
	const whose = `${key
		.map(nameOf)
		.map((name) => `l.${name} = r.${name}`)
		.join(" and ")} and l.state <> 'replayed'`;
	const through = fates.filter((fate) => fate.failure === null).map(({ letter }) => identityOf(letter, writer));
	const failed = fates.flatMap(({ letter, failure: met }) => (met ? [{ ...identityOf(letter, writer), ...failureOf(met, writer) }] : []));
	const renewed = [
		...failure,
		...(late.has("refused_rows") ? ["refused_rows jsonb"] : []),
		...(late.has("handler_version") ? ["handler_version text"] : []),
	];
	const sets = renewed.map(nameOf).map((name) => `${name} = r.${name}`);
	return [
		...statements(
			through,
			`update ${quotedTable(table)} as l set state = 'replayed', last_at = now()
from json_to_recordset($1::text::json) as r(${key.join(", ")}) where ${whose} returning ${durably}`,
		),
		// The time of the discard identifies attempts from before it.
		...statements(
			failed,
			`update ${quotedTable(table)} as l set ${sets.join(", ")}, attempts = l.attempts + r.attempts,
last_at = case when l.state = 'discarded' then l.last_at else now() end
from json_to_recordset($1::text::json) as r(${[...key, ...renewed, "attempts int4"].join(", ")}) where ${whose} returning ${durably}`,
		),
	];
}

function statements(documents: readonly object[], text: string): Statement[] {
	const cut: Statement[] = [];
	for (let waiting: string[] = [], characters = 0, at = 0; at < documents.length; at++) {
		const json = JSON.stringify(documents[at]);
		waiting.push(json);
		characters += json.length;
		if (waiting.length < STATEMENT.letters && characters < STATEMENT.characters && at < documents.length - 1) continue;
		cut.push({ text, parameters: [`[${waiting.join()}]`] });
		waiting = [];
		characters = 0;
	}
	return cut;
}

function identityOf({ topic, partition, offset, topicId, timestamp }: LetterIdentity, { consumerGroup }: LetterWriter): object {
	return { consumer_group: consumerGroup, topic, partition, offset, topic_id: topicId ?? "", kafka_ts: timestamp };
}

function failureOf(met: ReplayFailure, { version }: LetterWriter): object {
	return {
		reason: met.reason,
		sqlstate: met.sqlstate,
		table_name: storableText(met.table),
		row_id: storableText(met.rowId),
		refused_rows: met.refusedRows.length > 1 ? met.refusedRows.map((row) => row.map(storableText)) : null,
		error: explanation(met.error),
		stack: met.stack === null ? null : explanation(met.stack),
		attempts: met.attempts,
		pockaffe_version: version,
		handler_version: storableText(met.handlerVersion ?? null),
	};
}

/** `name type` → `name` */
function nameOf(column: string): string {
	return column.slice(0, column.lastIndexOf(" "));
}
