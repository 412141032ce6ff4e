/** `offsets`: its name and options. */
import type { Command } from "commander";
import type { CommandContext } from "../command-context.ts";
import type { OffsetsOptions } from "../offsets/offsets.ts";
import { declareOffsetsSet } from "./offsets-set.ts";

export function declareOffsets(program: Command, context: CommandContext): void {
	const offsets = program
		.command("offsets")
		.description("show a group's committed offsets, lag and members, as Kafka has them; or set its offsets")
		.argument("<group>", "consumer group")
		.option("--topic <topic>", "only this topic, even if nothing is committed for it")
		.option("--json", "print JSON")
		.action(async (group: string, options: OffsetsOptions, command: Command) =>
			(await import("../offsets/offsets.ts")).showOffsets(group, options, command, context),
		);
	declareOffsetsSet(offsets, context);
}
