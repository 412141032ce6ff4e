/**
 * Runs the statement that writes a table's rows for zero rows, and rolls it back: so the server judges the table as it will judge the
 * daemon's rows. It does not show what only a row would meet (a null, a trigger).
 */
import type { TableLayout } from "../../core/rows/rows.ts";
import type { Database } from "../database/database.ts";
import { mayPass, problemOf } from "../database/sql-faults.ts";
import { readFirstUpsert } from "../writer/sql/cas-upsert.ts";
import { noRowParameters } from "../writer/sql/row-parameters.ts";
import { tableDdl } from "./schema.ts";

/** Why the server refuses the statement, in words; null if it accepts it. `isMissing`: the table is created first, and rolled back too. */
export async function refusalOfStatement(database: Database, layout: TableLayout, isMissing: boolean): Promise<string | null> {
	const made = isMissing ? [{ text: tableDdl(layout), parameters: [] }] : [];
	const statement = { text: readFirstUpsert(layout), parameters: noRowParameters(layout) };
	try {
		await database.transaction([...made, statement, { text: "rollback", parameters: [] }]);
		return null;
	} catch (error) {
		if (mayPass(error)) throw error;
		const { code, message } = problemOf(error);
		if (code === "42P10") return `column ${layout.id.column} is neither primary key nor unique: on conflict needs it`;
		const isTables = isMissing && (error as { statement?: number }).statement === 0;
		return `${isTables ? "can't be created" : "no row can be written"}: ${message}`;
	}
}
