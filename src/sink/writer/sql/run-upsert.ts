/**
 * Runs the statement of a batch and counts the results of its rows. If some were neither written nor stale, it reads the table once more:
 * either somebody wrote newer rows in that moment, or a trigger or rule of the table keeps them out.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { Database } from "../../database/database.ts";
import { countsOf, isUnexplained, lookAgain, type UpsertCounts } from "./cas-upsert.ts";
import type { StatementLayout } from "./row-parameters.ts";

/**
 * Runs a statement of cas-upsert.ts. `rows`: the parameters of the rows; `more`: the parameters after them. Rejects with the database's
 * error.
 */
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
