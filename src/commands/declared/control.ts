/** `status`, `pause`, `resume` and `restart`: their names and options. */
import type { Command } from "commander";
import type { CommandContext } from "../command-context.ts";
import type { ControlOptions } from "../control.ts";
import { once, partitionNumber } from "../terminal/option-values.ts";

const actions = {
	pause: ["pause a partition of a running daemon: the running call finishes, and no other begins", "paused"],
	resume: ["let a paused or parked partition go on at once", "goes on"],
	restart: ["replace a partition's thread: its running call is cut off, and the messages are handled again", "gets a new thread"],
} as const;

export function declareControl(program: Command, context: CommandContext): void {
	withUrl(program.command("status").description("show the partitions of a running daemon: state, lag, last failure"))
		.option("--json", "print the JSON document of /status")
		.action(async (options: ControlOptions, command: Command) => (await import("../control.ts")).showStatus(options, command, context));
	for (const [action, [description, done]] of Object.entries(actions)) {
		withUrl(program.command(action).description(description))
			.argument("<topic>", "name of the topic")
			.argument("<partition>", "number of the partition", partitionNumber)
			.option("--json", "print JSON")
			.action(async (topic: string, partition: number, options: ControlOptions, command: Command) =>
				(await import("../control.ts")).control({ topic, partition, action, done }, options, command, context),
			);
	}
}

function withUrl(command: Command): Command {
	return command.option(
		"--url <url>",
		"HTTP address of the daemon; default: the configuration's, or the embedded daemon of this folder",
		once,
	);
}
