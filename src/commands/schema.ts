/** `schema`: prints the DDL of the configured tables and of PocKaffe's own. */
import type { Command } from "commander";
import { tableLayouts } from "../config/table-layouts.ts";
import { startsDdl, startTableName } from "../sink/offsets/start-table.ts";
import { deadLetterDdl, offsetsDdl, tableDdl } from "../sink/tables/schema.ts";
import { type CommandContext, print } from "./command-context.ts";
import { configOf } from "./configured.ts";

/** How to print it. */
export interface SchemaOptions {
	readonly json?: boolean;
}

/** Prints the DDL. */
export function schema({ json }: SchemaOptions, command: Command, context: CommandContext): void {
	const { config } = configOf(command, context, true);
	const statements = tableLayouts(config).map((layout) => ({ table: layout.name, sql: tableDdl(layout) }));
	if (config.deadLetters.target === "table")
		statements.push({ table: config.deadLetters.table, sql: deadLetterDdl(config.deadLetters.table) });
	const { store, table } = config.offsets;
	if (store === "postgres") statements.push({ table, sql: offsetsDdl(table) });
	// Always needed: it has a note for every partition.
	statements.push({ table: startTableName(table), sql: startsDdl(startTableName(table)) });
	print(context.stdout, json ? JSON.stringify(statements) : statements.map(({ sql }) => sql).join("\n\n"));
}
