/** `run`: its name and options. */
import type { Command } from "commander";
import type { CommandContext } from "../command-context.ts";
import type { RunCommandOptions } from "../run.ts";

/** `optionHelp`: every key of the configuration, if the help of `run` is requested. */
export function declareRun(program: Command, context: CommandContext, optionHelp: () => string): void {
	program
		.command("run", { isDefault: true })
		.description("run the daemon")
		.option("--embedded", "for a demo, or to try your handler: use an embedded broker and database in this folder, not the configured ones")
		.option("--leave", "leave the group at a stop even with kafka.instanceId, so that other members take over at once")
		.addHelpText("after", () => `\n${optionHelp()}`)
		.allowExcessArguments()
		.action(async (options: RunCommandOptions, command: Command) => (await import("../run.ts")).run(options, command, context));
}
