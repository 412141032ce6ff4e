/** `skip`: its name and options. */
import type { Command } from "commander";
import type { CommandContext } from "../command-context.ts";
import type { SkipOptions } from "../offsets/skip.ts";
import { offsetNumber, once, partitionNumber } from "../terminal/option-values.ts";

export function declareSkip(program: Command, context: CommandContext): void {
	program
		.command("skip")
		.description("skip one message for good: it becomes a dead letter with the state skipped, and its partition goes on")
		.argument("<topic>", "name of the topic")
		.argument("<partition>", "number of the partition", partitionNumber)
		.argument("<offset>", "offset of the message", offsetNumber)
		.option("--reason <reason>", "why; stored in the letter")
		.option("--url <url>", "HTTP address of the daemon; default: the configuration's, or the embedded daemon of this folder", once)
		.option("--json", "print JSON")
		.addHelpText(
			"after",
			`
While daemons run, the one that has the partition does it (http.admin: true), whether the partition is running, backing off, parked or
paused. While none runs, the command itself stores the dead letter and sets the group's offset after the message; then the message has to be
the partition's next one. A message that was already handled can't be skipped, because its rows are there. To bring a skipped message back:
pockaffe dead-letters replay --state skipped --topic T --partition P --offset O`,
		)
		.action(async (topic: string, partition: number, offset: number, options: SkipOptions, command: Command) =>
			(await import("../offsets/skip.ts")).skip({ topic, partition, offset }, options, command, context),
		);
}
