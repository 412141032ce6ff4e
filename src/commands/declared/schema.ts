/** `schema`: its name and options. */
import type { Command } from "commander";
import type { CommandContext } from "../command-context.ts";
import type { SchemaOptions } from "../schema.ts";

export function declareSchema(program: Command, context: CommandContext): void {
	program
		.command("schema")
		.description("print the SQL that creates the tables")
		.option("--json", "print JSON: a list of {table, sql}")
		.action(async (options: SchemaOptions, command: Command) => (await import("../schema.ts")).schema(options, command, context));
}
