/** `consume`: its name and options. */
import type { Command } from "commander";
import type { CommandContext } from "../command-context.ts";
import type { ConsumeOptions } from "../consume.ts";
import { parseWholeNumber } from "../terminal/option-values.ts";

export function declareConsume(program: Command, context: CommandContext): void {
	program
		.command("consume")
		.description("print messages as JSON lines, and commit their offsets")
		.argument("<topic>", "name of the topic")
		.requiredOption("-g, --group <group>", "consumer group; partitions without a committed offset are read from their beginning")
		.option("-n, --number <count>", "end after this many messages", parseWholeNumber)
		.option("--exit-at-end", "end when all partitions are read to their ends")
		.action(async (topic: string, options: ConsumeOptions, command: Command) =>
			(await import("../consume.ts")).consume(topic, options, command, context),
		);
}
