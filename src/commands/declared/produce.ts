/** `produce`: its name and options. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { CommandContext } from "../command-context.ts";
import type { ProduceOptions } from "../produce.ts";
import { partitionNumber } from "../terminal/option-values.ts";

export function declareProduce(program: Command, context: CommandContext): void {
	program
		.command("produce")
		.description("produce a record for each line of standard input")
		.argument("<topic>", "name of the topic")
		.option("-k, --key <key>", "key of all records; default: no key")
		.addOption(
			new Option("-K, --key-separator <text>", "each line has a key of its own, before the first of these")
				.conflicts("key")
				.argParser(notEmpty),
		)
		.option("-p, --partition <number>", "partition; default: chosen by the key, as Java clients do", partitionNumber)
		.addOption(new Option("-H, --header <name=value>", "header of all records; may be repeated").argParser(addHeader).default([], "none"))
		.option("--null", "treat an empty value as null (a delete)")
		.option("--json", "print a JSON line for each record")
		.addHelpText("after", "\nA delete of the row with the id 7: echo | pockaffe produce TOPIC -k 7 --null")
		.action(async (topic: string, options: ProduceOptions, command: Command) =>
			(await import("../produce.ts")).produce(topic, options, command, context),
		);
}

function notEmpty(text: string): string {
	if (text === "") throw new InvalidArgumentError("Wanted: a character or several, such as : or a tab.");
	return text;
}

function addHeader(text: string, headers: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
	const at = text.indexOf("=");
	if (at < 1) throw new InvalidArgumentError("Wanted: name=value.");
	return [...headers, [text.slice(0, at), text.slice(at + 1)]];
}
