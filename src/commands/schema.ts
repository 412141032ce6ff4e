/** `schema`: prints the DDL of the configured tables and of our own. */
import type { Command } from "commander";
import { tableLayouts } from "../config/table-layouts.ts";
import { startsDdl, startTableName } from "../sink/offsets/start-table.ts";
import { deadLetterDdl, offsetsDdl, tableDdl } from "../sink/tables/schema.ts";
import { type CommandContext, configOf, print } from "./command-context.ts";

export function registerSchema(program: Command, context: CommandContext): void {
	program
		.command("schema")
		.description("print the SQL that creates the tables")
		.option("--json", "as JSON: a list of {table, sql}")
		.action(({ json }: { json?: boolean }, command: Command) => {
			const { config } = configOf(command, context);
			const statements = tableLayouts(config).map((layout) => ({ table: layout.name, sql: tableDdl(layout) }));
			if (config.deadLetters.target === "table")
				statements.push({ table: config.deadLetters.table, sql: deadLetterDdl(config.deadLetters.table) });
			const { store, table } = config.offsets;
			if (store === "postgres") statements.push({ table, sql: offsetsDdl(table) });
			// Every partition's start is noted there, whatever kafka.startFrom says.
			statements.push({ table: startTableName(table), sql: startsDdl(startTableName(table)) });
			print(context.stdout, json ? JSON.stringify(statements) : statements.map(({ sql }) => sql).join("\n\n"));
		});
}
