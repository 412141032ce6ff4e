/** `topic create` and `topic describe`: their names and options. */
import type { Command } from "commander";
import { ExitError, exitCodes } from "../../core/errors.ts";
import type { CommandContext } from "../command-context.ts";
import { parseWholeNumber } from "../terminal/option-values.ts";
import type { CreateTopicOptions, DescribeTopicOptions } from "../topic.ts";

export function declareTopic(program: Command, context: CommandContext): void {
	const topic = program
		.command("topic")
		.description("create and describe topics")
		.allowExcessArguments()
		.action(() => {
			throw new ExitError(
				exitCodes.usage,
				"no_topic_command",
				"type: pockaffe topic create <topic> -p <partitions>, or pockaffe topic describe <topic>",
			);
		});
	topic
		.command("create")
		.description("create a topic")
		.argument("<topic>", "name of the topic")
		.requiredOption("-p, --partitions <count>", "number of partitions", parseWholeNumber)
		.option("-r, --replication <count>", "replicas of each partition", parseWholeNumber, 1)
		.action(async (name: string, options: CreateTopicOptions, command: Command) =>
			(await import("../topic.ts")).createNamed(name, options, command, context),
		);
	topic
		.command("describe")
		.description("show a topic's partitions: leader, replicas, in-sync replicas, watermarks")
		.argument("<topic>", "name of the topic")
		.option("--json", "print JSON")
		.action(async (name: string, options: DescribeTopicOptions, command: Command) =>
			(await import("../topic.ts")).describe(name, options, command, context),
		);
}
