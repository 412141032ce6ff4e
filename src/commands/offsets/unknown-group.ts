/** A group that nobody knows: a mistyped name, or one that has not begun yet. */
import type { Config } from "../../config/config.ts";
import { nearest } from "../../config/schema/problems.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import type { Database } from "../../sink/database/database.ts";
import { quotedTable } from "../../sink/database/sql-names.ts";
import { startTableName } from "../../sink/offsets/start-table.ts";
import { exists } from "../../sink/tables/schema.ts";

/** Groups with notes in this database; empty if it can't be asked. */
export async function notedGroups({ offsets }: Pick<Config, "offsets">, database: Database): Promise<string[]> {
	const table = startTableName(offsets.table);
	try {
		if (!(await exists(database, table))) return [];
		const rows = await database.query(`select distinct consumer_group from ${quotedTable(table)} limit 1000`);
		return rows.map(({ consumer_group }) => String(consumer_group));
	} catch {
		return [];
	}
}

/** The error that names the group. `known`: names that the user may have meant. */
export function noGroup(group: string, known: readonly string[], otherwise = ""): ExitError {
	const meant = nearest(
		group,
		known.filter((name) => name !== "" && name !== group),
	);
	const words = `there is no group ${group}${meant}: nothing is committed, and it has no members${otherwise}`;
	return new ExitError(exitCodes.found, "no_group", words);
}
