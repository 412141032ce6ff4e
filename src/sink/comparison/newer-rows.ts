/** Finds which messages' rows are not in their table because a newer message's row is there. */
import type { TopicPartitionOffset } from "../../core/messages/message.ts";
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Database } from "../database/database.ts";
import { quoted, quotedTable } from "../database/sql-names.ts";
import { rowParameters, rowsParameter, type UpsertRow } from "../writer/sql/row-parameters.ts";

/** A row's id and its message. */
export type MessageRow = Pick<UpsertRow, "id" | "topic" | "partition" | "offset">;

/** Such a row, and the message of the stored one; null if that one has no coordinates. */
export interface OvertakenRow extends MessageRow {
	readonly by: TopicPartitionOffset | null;
}

/** Checks settled rows, by id and offset. Rejects with the database's error. */
export async function newerRows(database: Database, layout: TableLayout, rows: readonly MessageRow[]): Promise<OvertakenRow[]> {
	if (rows.length === 0) return [];
	const id = quoted(layout.id.column);
	const isOthers = ["kafka_offset", "kafka_partition", ...(layout.withTopic ? ["kafka_topic"] : [])].map(
		(name) => `t.${name} is distinct from n.${name}`,
	);
	const topics = layout.withTopic ? ", n.kafka_topic as of_topic, t.kafka_topic as by_topic" : "";
	const text = `select n.${id}::text as id, n.kafka_offset::text as of_offset, n.kafka_partition as of_partition,
	t.kafka_offset::text as by_offset, t.kafka_partition as by_partition${topics}
from ${rowsParameter(layout)} n join ${quotedTable(layout.name)} t on t.${id} = n.${id} where ${isOthers.join(" or ")}`;
	const sent = rows.map((row): UpsertRow => ({ ...row, isDelete: true, timestamp: 0, values: [] }));
	const found = await database.query(text, rowParameters(layout, sent));
	const topic = rows[0]?.topic ?? "";
	return found.map((row) => ({
		id: String(row.id),
		topic: String(row.of_topic ?? topic),
		partition: Number(row.of_partition),
		offset: Number(row.of_offset),
		by:
			row.by_offset === null || row.by_partition === null
				? null
				: { topic: String(row.by_topic ?? topic), partition: Number(row.by_partition), offset: Number(row.by_offset) },
	}));
}
