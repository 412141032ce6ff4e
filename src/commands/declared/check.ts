/** `check`: its name and options. */
import type { Command } from "commander";
import type { CheckOptions } from "../check/check.ts";
import type { CommandContext } from "../command-context.ts";

export function declareCheck(program: Command, context: CommandContext): void {
	program
		.command("check")
		.description("check configuration, handler, broker, topics, codecs, database and tables")
		.option("--json", "print JSON")
		.option("--rights", "print only the commands that grant the missing rights")
		.action(async (options: CheckOptions, command: Command) => (await import("../check/check.ts")).check(options, command, context));
}
