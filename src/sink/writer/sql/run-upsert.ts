/**
 * Runs the statement of a batch and says what became of its rows. Where some were neither written nor stale it looks at the table once
 * more: somebody wrote newer ones in that moment, or a trigger or rule of the table keeps them out.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { Database } from "../../database/database.ts";
import { countsOf, isUnexplained, lookAgain, type UpsertCounts } from "./cas-upsert.ts";
import type { StatementLayout } from "./row-parameters.ts";

/** A statement of cas-upsert.ts; `rows` are the parameters of the rows, `more` those behind them. Rejects with the database's error. */
export async function runUpsert(
	database: Pick<Database, "query">,
	layout: StatementLayout,
	statement: string,
	rows: readonly string[],
	...more: readonly string[]
): Promise<UpsertCounts> {
	const [row = {}] = await database.query(statement, [...rows, ...more]);
	if (!isUnexplained(row)) return countsOf(row);
	const [look = null] = await database.query(lookAgain(layout), rows);
	return countsOf(row, look);
}
