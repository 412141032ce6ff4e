/** Finds which messages' rows are not in their table because a newer message's row is there. */
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Database } from "../database/database.ts";
import { quoted, quotedTable } from "../database/sql-names.ts";
import { rowParameters, rowsParameter, type UpsertRow } from "../writer/sql/row-parameters.ts";

/** A row's id and its message. */
export type MessageRow = Pick<UpsertRow, "id" | "topic" | "partition" | "offset">;

/** Checks settled rows, by id and offset. Rejects with the database's error. */
export async function newerRows(database: Database, layout: TableLayout, rows: readonly MessageRow[]): Promise<MessageRow[]> {
	if (rows.length === 0) return [];
	const id = quoted(layout.id.column);
	const isOthers = ["kafka_offset", "kafka_partition", ...(layout.withTopic ? ["kafka_topic"] : [])].map(
		(name) => `t.${name} is distinct from n.${name}`,
	);
	const text = `select n.${id}::text as id, n.kafka_offset::text as of_offset, n.kafka_partition as of_partition
from ${rowsParameter(layout)} n join ${quotedTable(layout.name)} t on t.${id} = n.${id} where ${isOthers.join(" or ")}`;
	const sent = rows.map((row): UpsertRow => ({ ...row, isDelete: true, timestamp: 0, values: [] }));
	const found = await database.query(text, rowParameters(layout, sent));
	const topic = rows[0]?.topic ?? "";
	return found.map((row) => ({ id: String(row.id), topic, partition: Number(row.of_partition), offset: Number(row.of_offset) }));
}
