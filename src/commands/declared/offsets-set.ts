/** `offsets set`: its name and options. */
import type { Command } from "commander";
import type { CommandContext } from "../command-context.ts";
import { each, partitionNumber, whereTo } from "../terminal/option-values.ts";

export function declareOffsetsSet(offsets: Command, context: CommandContext): void {
	offsets
		.command("set")
		.description("set the offsets of a group: back to read messages again, or forward to pass over messages")
		.argument("[group]", "consumer group; default: kafka.group")
		.requiredOption("--to <where>", "earliest, latest, a time (2024-05-01T12:00:00Z), or an offset", whereTo)
		.option("--topic <topic>", "only this topic")
		.option("--partition <number>", "only this partition", partitionNumber)
		.option("--url <url>", "HTTP address of a daemon, repeated for each daemon; default: the configuration's", each)
		.option("--dry-run", "only say what would be set, read again or passed over")
		.option("-y, --yes", "do not ask; needed without a terminal")
		.option("--json", "print JSON")
		.addHelpText(
			"after",
			`
While daemons run, they do it (http.admin: true): each finishes and commits what it has in hand, and goes on at the new offset. Give --url
once for each daemon. With offsets.store postgres, a daemon that the command can't reach finds the new offset within some seconds. While
no daemon runs, the command itself sets the group's offsets.

Messages that are read again are handled again; rows that are there already do not change. What is passed over is noted, and verify
reports it. If the command is killed in the middle, run it again.`,
		)
		.action(async (group: string | undefined, _: unknown, command: Command) =>
			(await import("../offsets/offsets-set.ts")).setGroupsOffsets(group, command, context),
		);
}
