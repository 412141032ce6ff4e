/** `reprocess`: its name and options. */
import type { Command } from "commander";
import type { ReprocessOptions } from "../audit/reprocess.ts";
import type { CommandContext } from "../command-context.ts";
import { partitionNumber, whereTo } from "../terminal/option-values.ts";

export function declareReprocess(program: Command, context: CommandContext): void {
	program
		.command("reprocess")
		.description("after you corrected the handler: run it again on old messages, and replace the rows that they made before")
		.option("--from <where>", "begin here: earliest, a time (2024-05-01T12:00:00Z), or an offset; default: the log's beginning", whereTo)
		.option("--to <where>", "end here: latest, a time, or an offset (excluded); default: the committed offset", whereTo)
		.option("--topic <topic>", "only this topic")
		.option("--partition <number>", "only this partition", partitionNumber)
		.option("--keys <file>", "only messages with the keys in this file, one per line")
		.option("--dry-run", "only say what would change")
		.option("-y, --yes", "do not ask; needed without a terminal")
		.option("--json", "print JSON")
		.addHelpText(
			"after",
			`
First restart the daemons with the corrected handler: messages that they handle while this runs are not reprocessed.

Reads the log without joining a group, up to the committed offsets, and runs the handler on it (init gets purpose "reprocess"). Daemons
may run meanwhile: a row of a newer message stays. If a message no longer makes its row, the row of the id's previous message takes its
place, or the row is removed. If the handler rejects a message, it becomes a dead letter. If the handler fails at a message, its row stays.
Messages that are already dead letters are left out (use dead-letters replay). After an interruption or a kill run the same command again.`,
		)
		.action(async (options: ReprocessOptions, command: Command) =>
			(await import("../audit/reprocess.ts")).reprocess(options, command, context),
		);
}
